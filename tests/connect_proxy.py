"""A real HTTP proxy that knows CONNECT alone, asks for a login where it has one, and notes what it was asked."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

from tests.relay import pass_on


class ConnectProxy:
    """Listens on `url`. `names` maps host names to where they really are."""

    def __init__(self, login: str = "", names: dict[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self._login = base64.b64encode(login.encode()).decode()
        self._names = names or {}
        self._sockets: list[socket.socket] = []
        plain = socket.create_server(("127.0.0.1", 0))
        self._listener = plain if tls is None else tls.wrap_socket(plain, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Break every connection and take no new one."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self._sockets.append(caller)
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (more := caller.recv(4096)):
            head += more
        text = head.decode("latin-1")
        self.heads.append(text)
        verb, target, *_ = text.split(" ")
        if verb != "CONNECT":
            caller.sendall(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            caller.close()
            return
        if self._login and f"proxy-authorization: basic {self._login}".lower() not in text.lower():
            caller.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            caller.close()
            return
        host, _, port = target.rpartition(":")
        server = socket.create_connection((self._names.get(host, host), int(port)))
        self._sockets.append(server)
        caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pass_on, args=(server, caller), daemon=True).start()
        pass_on(caller, server)


@contextlib.contextmanager
def connect_proxy(
    login: str = "", names: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[ConnectProxy]:
    """Give a proxy that wants this login, `user:password`; it is closed at the end."""
    made = ConnectProxy(login, names, tls)
    try:
        yield made
    finally:
        made.close()
