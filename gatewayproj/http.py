"""Uvicorn's HTTP, with the limits to a slow, endless or odd client that it does not have itself.

A request must have come within REQUEST_SECONDS, its head within 64 KiB; a caller must take an answer, and may pause for
STALLED_SECONDS. Whoever does not keep to that is cut off, which the application sees as leaving.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from proxy.response import UNREAD

if TYPE_CHECKING:
    from proxy.responder import Unread

LONGEST_HEAD = 64 * 1024
# After a caller's end was heard: when it is looked whether a reset followed it.
_LOOKS = (0.02, 0.1, 0.3, 0.6)
# Seconds after its answer, within which a caller hangs up who has read it, or wants it no more.
_AT_ONCE = 1.0
# Of a WebSocket: more than a frame of an agent, far less than what would fill a memory.
LONGEST_MESSAGE = 512 * 1024
AGENTS = "/ws/agent/"


class Protocol(HttpToolsProtocol):
    """One connection of a caller; named to uvicorn as `gatewayproj.http:Protocol`."""

    _coming: asyncio.TimerHandle | None = None  # until when the request must have come
    _taking: asyncio.TimerHandle | None = None  # until when what was sent must have been taken
    _in_body = False
    _is_websocket = False  # another protocol has the connection by now
    _head = 0  # bytes of the head so far
    _answered = 0.0  # when the last answer was complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self.resume_writing()
        super().connection_lost(exc)
        # A reset instead of an end: what was sent last lies unread at the other side, or never got there. After an end
        # that was not looked at yet it is a broken pipe.
        if isinstance(exc, ConnectionError) and (unread := self._unread()):
            unread.keep()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Stay for a moment where it matters whether the answer was read.

        Clients in Python say that they send no more, and close in a later turn of their loop: only then a reset tells
        that something was unread.
        """
        unread = self._unread()
        if not unread or not self.cycle.response_complete:
            return False
        if self.loop.time() - self._answered < _AT_ONCE:
            unread.doubt()
        if self.scheme != "http":  # nothing is half open there
            return False
        self._look(unread, *_LOOKS)
        return True

    def _look(self, unread: Unread, pause: float, *later: float) -> None:
        """Look after this many seconds whether the caller's end was followed by a reset, and go when that is clear."""

        def look() -> None:
            if self.transport.is_closing():
                return
            if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                unread.keep()
            elif later:
                self._look(unread, *later)
                return
            self.transport.close()

        self.loop.call_later(pause, look)

    def _unread(self) -> Unread | None:
        """Return what the last answer of this connection leaves to do when nobody has read it; None for nothing."""
        state = self.cycle.scope.get("state", {}) if bool(self.cycle) else {}
        return state.get(UNREAD) or None

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

    def on_response_complete(self) -> None:
        self._answered = self.loop.time()
        super().on_response_complete()

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


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket. When the server stops, that of an agent stays: calls that run have their answers through it.

    `proxy.tunnel.door` closes it as soon as none runs.
    """

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent and self.scope["path"] == AGENTS:
            return
        super().shutdown()
