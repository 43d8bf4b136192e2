"""What a translated exchange answers, in the shape in which an upstream's own answer comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from masking import documents
from proxy.errors import UpstreamInvalid
from proxy.headers import RawHeaders
from proxy.upstream_answer import Answer, UpstreamRequest

Send = Callable[[UpstreamRequest], Awaitable[Answer]]
_TRACING = frozenset({b"traceparent", b"tracestate"})


class Told:
    """An answer in the caller's era. `session` is what the gateway keeps of a session that begins with it."""

    last_id: str | None = None
    is_paused = False

    def __init__(
        self,
        groups: AsyncGenerator[list[bytes]] | None = None,
        *,
        status: int = 200,
        streamed: bool = False,
        session: str | None = None,
    ) -> None:
        self._groups = groups or given(())
        self.status, self.streamed, self.session = status, streamed, session

    def groups(self) -> AsyncGenerator[list[bytes]]:
        """Yield the messages, as `proxy.upstream_answer.Answer` does."""
        return self._groups

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._groups.aclose()


async def given(groups: Sequence[list[bytes]]) -> AsyncGenerator[list[bytes]]:
    """Yield what is known already."""
    for group in groups:
        yield group


def read(message: bytes) -> dict[str, Any]:
    """Return a message, every number in its own spelling. Raises UpstreamInvalid."""
    try:
        content, _ = documents.read(message.decode("utf-8"))
    except (ValueError, documents.Unreadable) as error:
        raise UpstreamInvalid("The upstream sent something that is not one JSON-RPC message.") from error
    if not isinstance(content, dict):
        raise UpstreamInvalid("The upstream sent something that is not one JSON-RPC message.")
    return content


def result(request_id: Any, value: Any) -> bytes:
    """Return a response."""
    return documents.write({"jsonrpc": "2.0", "id": request_id, "result": value})


def error(request_id: Any, value: Any) -> bytes:
    """Return an error."""
    return documents.write({"jsonrpc": "2.0", "id": request_id, "error": value})


def in_words(
    request: UpstreamRequest, message: dict[str, Any], headers: RawHeaders, session: str | None
) -> UpstreamRequest:
    """Return a request like another one, with a message, header fields and a session of the gateway's own."""
    kept = [(name, value) for name, value in request.headers if name.lower() in _TRACING]
    return replace(
        request,
        verb="POST",
        body=documents.write(message),
        id=message.get("id") if "method" in message else None,
        headers=[*headers, *kept],
        session=session,
        last_event_id=None,
    )


async def whole(send: Send, request: UpstreamRequest) -> tuple[dict[str, Any], Answer]:
    """Send a request that nobody else hears of and return its answer; of a notification the answer is empty."""
    found: dict[str, Any] = {}
    async with await send(request) as answer:
        async for group in answer.groups():
            for message in group:
                content = read(message)
                if "method" not in content:
                    found = content
    return found, answer
