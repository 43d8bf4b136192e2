"""A way to a server that can be stopped up or cut: everything that comes is passed on, later, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass
class Brake:
    """What becomes of what the server says in one connection: all is passed on, or `left` more bytes; `came` counts."""

    came: int = 0
    left: int | None = None

    def __call__(self, data: bytes) -> bytes:
        """Return what of a piece is passed on."""
        self.came += len(data)
        if self.left is None:
            return data
        kept = data[: self.left]
        self.left -= len(kept)
        return kept


class Relay:
    """Listens on `port` of this machine and passes on to the server behind it. `brake` is of the newest connection."""

    brake = Brake()

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._sockets: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def stopped_up(self) -> Iterator[None]:
        """Keep what comes, in both directions, and pass it on at the end."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self._close(self._listener)
        self.hang_up()

    def hang_up(self) -> None:
        """Break every connection."""
        self._open.set()
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            self._close(one)

    @staticmethod
    def _close(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:  # it is not there just now
                    caller.close()
                    continue
                self._sockets += [caller, server]
                self.brake = brake = Brake()
                for source, target, through in ((caller, server, bytes), (server, caller, brake)):
                    passing = (source, target, through, self._open.wait)
                    threading.Thread(target=pass_on, args=passing, daemon=True).start()


def pass_on(
    source: socket.socket,
    target: socket.socket,
    through: Callable[[bytes], bytes] = bytes,
    wait: Callable[[], object] = lambda: None,
) -> None:
    """Write to one connection what of the other gets `through`, until either ends; `wait` before each piece."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            wait()
            target.sendall(through(data))
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """Give a relay to this server; it is cut at the end."""
    made = Relay((host, port))
    try:
        yield made
    finally:
        made.cut()
