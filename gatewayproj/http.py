"""Uvicorn's HTTP, with the limits to a slow, endless or odd client that it does not have itself.

A request must have come within REQUEST_SECONDS, its head within 64 KiB; a caller must take an answer, and may pause for
STALLED_SECONDS. Whoever does not keep to that is cut off, which the application sees as leaving.
"""

from __future__ import annotations

import asyncio

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.response import UNREAD

LONGEST_HEAD = 64 * 1024


class Protocol(HttpToolsProtocol):
    """One connection of a caller; named to uvicorn as `gatewayproj.http:Protocol`."""

    _coming: asyncio.TimerHandle | None = None  # until when the request must have come
    _taking: asyncio.TimerHandle | None = None  # until when what was sent must have been taken
    _in_body = False
    _is_websocket = False  # another protocol has the connection by now
    _head = 0  # bytes of the head so far

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.resume_writing()
        super().connection_lost(exc)
        # A reset instead of an end: what was sent last lies unread at the other side, or never got there.
        state = self.cycle.scope.get("state", {}) if bool(self.cycle) else {}
        if isinstance(exc, ConnectionResetError) and UNREAD in state:
            state[UNREAD]()

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self._is_websocket:
            return
        # What came in one piece with the end of its head was small enough: it is what one read gives.
        if self._head > LONGEST_HEAD and not self._in_body:
            self.send_400_response("The head of the request is too long.")
        elif self._coming is None and not self._is_answering():
            self._expect()

    def _is_answering(self) -> bool:
        """Say whether a request has come to its end and its answer has not; what follows it waits, and is not read."""
        cycle = self.cycle  # None before the first one, which uvicorn hides from the type checker
        return bool(cycle) and not cycle.response_complete and not cycle.more_body

    def handle_websocket_upgrade(self) -> None:
        self._arrived()
        self._is_websocket = True
        super().handle_websocket_upgrade()
        # What the other protocol cannot read it leaves open, without a word and for ever.
        if not getattr(self.transport.get_protocol(), "handshake_initiated", True):
            self.send_400_response("Invalid WebSocket request received.")

    def on_headers_complete(self) -> None:
        # The parser takes HTTP/0.9 and HTTP/2.0 on the first line as well, whose rules for bodies are others.
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError("another version of HTTP")
        # Of a request that asks for an upgrade the parser reads no body, and WebSockets begin with a GET alone.
        if self.parser.should_upgrade() and self.parser.get_method() != b"GET":
            raise ValueError("only a GET may ask for another protocol")
        self._in_body, self._head = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body, self._head = False, 0
        self._arrived()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(settings.STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # Closing waits for the rest of an answer to be taken, however long that takes.
        if self.transport.get_write_buffer_size():
            self.loop.call_later(settings.STALLED_SECONDS, self.transport.abort)

    def _expect(self) -> None:
        self._coming = self.loop.call_later(settings.REQUEST_SECONDS, self.transport.abort)

    def _arrived(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
