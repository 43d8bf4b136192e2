"""What a caller sees on the wire: JSON when one message answers, a stream of events when there is more to say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from proxy import sse
from proxy.pipeline import Pulse, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.exchange import Exchange

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
HTTP_OK = 200
# In the state of an ASGI scope, for our own server: `proxy.responder.Unread`, for callers who leave unread answers.
UNREAD = "holdgate.unread"
_TURNS = 5  # of the event loop, in which it notices what has reached its sockets
RETRY_MILLISECONDS = 500


async def send_json(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send one complete answer; an empty body has no content type."""
    fields = [(b"content-length", str(len(body)).encode()), *headers]
    if all(name != b"cache-control" for name, _ in headers):
        fields.append((b"cache-control", b"no-store"))
    if body:
        fields.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


class ResponseWriter:
    """Writes what one exchange says. Sending waits for a slow caller, so nothing is read ahead for them.

    `complete` says that nothing may follow.
    """

    __slots__ = ("_exchange", "_send", "_streaming", "complete")

    def __init__(self, exchange: Exchange, send: Any) -> None:
        self._exchange = exchange
        self._send = send
        self._streaming = False
        self.complete = False

    async def say(self, items: Sequence[Reply | Pulse]) -> None:
        """Write what came together, in one piece; of an exchange that is no stream only the final message counts."""
        if self.complete or not self._exchange.heard:
            return
        if not self._streaming and self._exchange.accepts_stream and self._needs_stream(items[0]):
            self._streaming = True
            headers = [*STREAM_HEADERS, *self._exchange.reply_headers, *_applied(self._exchange)]
            await self._send({"type": "http.response.start", "status": HTTP_OK, "headers": headers})
        last = items[-1]
        final = isinstance(last, Reply) and last.final
        if final and self._exchange.delivers and await self._is_gone():
            return
        if self._streaming:
            body = b"".join(map(_framed, items))
            await self._send({"type": "http.response.body", "body": body, "more_body": not final})
        elif isinstance(last, Reply) and final:
            preferences = _applied(self._exchange) if last.body else ()
            await send_json(self._send, last.status, last.body, *last.headers, *preferences)
        if final:
            self._exchange.handed_over = self.complete = True
        elif self._streaming and self._exchange.is_paused and self._exchange.is_resumable:
            await self._pause()

    async def _is_gone(self) -> bool:
        """Say whether a caller who was given leave has hung up meanwhile: their identical call gets the answer."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return not self._exchange.heard

    async def _pause(self) -> None:
        """End the stream as the upstream did: its caller comes back for the rest of it."""
        self.complete = True
        await self._send({"type": "http.response.body", "body": b""})

    async def end(self) -> None:
        """End the response when the final message did not: 202 where nothing was said at all."""
        if self.complete or not self._exchange.heard:
            return
        self.complete = True
        if self._streaming:
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await send_json(self._send, 202, b"")

    def _needs_stream(self, item: Reply | Pulse) -> bool:
        if isinstance(item, Pulse) or not item.final or item.streamed:
            return True
        # A caller that takes nothing but a stream gets even a plain answer as one; errors of HTTP stay what they are.
        return self._exchange.accepts == "sse" and item.status == HTTP_OK and bool(item.body)


def _applied(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Say that `Prefer: wait` was honoured, where it came and the call was held (RFC 7240 §3)."""
    if exchange.knobs.wait is None or not exchange.approval_id:
        return []
    return [(b"preference-applied", f"wait={exchange.knobs.wait:g}".encode())]


def _framed(item: Reply | Pulse) -> bytes:
    if isinstance(item, Reply):
        retry = None if item.body or not item.event_id else RETRY_MILLISECONDS
        return sse.encode(item.body, event_id=item.event_id or None, retry=retry)
    note = sse.encode(item.progress) if item.progress is not None else b""
    return sse.comment(item.comment) + note
