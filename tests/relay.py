"""A way to a server that can be stopped up or cut: everything that comes is passed on, later, or not at all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Relay:
    """Listens on `port` of this machine and passes on to the server behind it."""

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
        self._open.set()
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [caller, server]
                for source, target in ((caller, server), (server, caller)):
                    threading.Thread(target=pass_on, args=(source, target, self._open.wait), daemon=True).start()


def pass_on(source: socket.socket, target: socket.socket, wait: Callable[[], object] = lambda: None) -> None:
    """Write to one connection what comes from the other, until either ends; `wait` before each piece."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            wait()
            target.sendall(data)
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
