"""Reading a request body from ASGI, never more of it than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.headers import RawHeaders


class BodyTooLarge(Exception):
    """The body is larger than the connection allows."""


class CallerGone(Exception):
    """The caller left before the body was complete."""


async def read_body(receive: Any, headers: RawHeaders, limit: int) -> bytes:
    """Return the whole body, at most `limit` bytes. Raises BodyTooLarge, before reading where the length is told."""
    told = next((value for name, value in headers if name == b"content-length"), b"")
    if told.isdigit() and int(told) > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    chunks: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise CallerGone
        chunk: bytes = event.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"The body is larger than {limit} bytes.")
        chunks.append(chunk)
        if not event.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunk
