"""A small HTTP/1.1 client on a bare asyncio protocol: httpx would cost more than the gateway that is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast


class Connection(asyncio.Protocol):
    """One connection that asks one question at a time. Made by `connect`."""

    def __init__(self) -> None:
        self.head = b""  # of the answer, in small letters
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._body = bytearray()
        self._left: int | None = None  # bytes of a body with a length, None before its head
        self._chunked = False
        self._status = 0
        self._heard: Callable[[bytes], None] | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"closed before the answer: {exc}"))

    async def ask(self, request: bytes, heard: Callable[[bytes], None] | None = None) -> tuple[int, bytes]:
        """Send a request and return status and body; `heard` gets the pieces of a stream as they come."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._left, self._chunked, self._heard = None, False, heard
        self._body.clear()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection, also in the middle of an answer."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._left is None and not self._chunked and not self._read_head():
            return
        if self._chunked:
            self._read_chunks()
        elif self._left is not None and len(self._data) >= self._left:
            self._body += self._data[: self._left]
            del self._data[: self._left]
            self._done()

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._data[: end + 2]).lower()
        del self._data[: end + 4]
        self._status = int(head[9:12])
        self.head = head
        if (at := head.find(b"\r\ncontent-length:")) >= 0:
            self._left = int(head[at + 17 : head.index(b"\r\n", at + 2)])
        elif self._status in {202, 204} and b"chunked" not in head:
            self._left = 0
        else:
            assert b"\r\ntransfer-encoding: chunked" in head, head
            self._chunked = True
        return True

    def _read_chunks(self) -> None:
        at = 0
        while (end := self._data.find(b"\r\n", at)) >= 0:
            size = int(self._data[at:end], 16)
            if len(self._data) < end + size + 4:
                break
            chunk = self._data[end + 2 : end + 2 + size]
            at = end + size + 4
            if self._heard is not None and size:
                self._heard(bytes(chunk))
            self._body += chunk
            if not size:
                del self._data[:at]
                self._done()
                return
        del self._data[:at]

    def _done(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._status, bytes(self._body)))


async def connect(port: int) -> Connection:
    """Open one connection to a port of this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection
