"""A caller at its socket: what is sent, when, and when it goes away is up to the test, byte by byte."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from tests.line import Line

GUARD = 20.0


class Wire:
    """One connection to the gateway. `small` keeps what the kernel buffers for it small."""

    def __init__(self, url: str, *, small: bool = False) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.sock = socket.socket()
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(GUARD)
        self.sock.connect((where.hostname, where.port or 80))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.sock.sendall(data)

    def drip(self, data: Iterator[bytes], pause: float) -> bool:
        """Send piece after piece; say whether the gateway ended it before the pieces did."""
        deadline = time.monotonic() + GUARD
        for piece in data:
            assert time.monotonic() < deadline, "the gateway takes it for ever"
            try:
                self.sock.sendall(piece)
            except OSError:
                return True
            time.sleep(pause)
        return False

    def rest(self) -> bytes:
        """Read to the end, which a reset is as well."""
        found = b""
        try:
            while piece := self.sock.recv(65536):
                found += piece
        except ConnectionError:
            pass
        return found

    def until(self, word: bytes) -> bytes:
        """Read until a word has come."""
        found = b""
        while word not in found:
            piece = self.sock.recv(65536)
            assert piece, found
            found += piece
        return found

    def finish(self) -> None:
        """Say that nothing more is sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def request(line: Line, message: Mapping[str, Any], **headers: str) -> bytes:
    """Return a POST with this message as bytes; `headers` add or replace fields."""
    body = json.dumps(message).encode()
    return head(line, message, **{"content_length": str(len(body)), **headers}) + body


def head(line: Line, message: Mapping[str, Any], **headers: str) -> bytes:
    """Return only the head of a POST; with an empty value a field is left out."""
    where = urlsplit(line.url)
    fields = {"host": where.netloc, **line.headers(message, headers)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"POST {where.path} HTTP/1.1\r\n{lines}\r\n".encode()


def statuses(data: bytes) -> list[int]:
    """Return the statuses of the answers in these bytes."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]
