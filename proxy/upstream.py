"""The HTTP client of upstream MCP servers. The one file of the data path that knows httpx and aiohttp.

httpx gives the types and aiohttp the connections: httpx's own pool collapses under concurrency, and its
client around a transport costs as much again as the transport (notes/performance.md, 3.2), so the transport
is called directly.

What this client never does: send a request twice (aiohttp repeats GET and DELETE on a connection that was
dropped while idle, which is switched off; POST it never repeats), follow a redirect, read the environment for
proxies, keep cookies, or pass on a header field of the caller that is not on a list.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from proxy.errors import Fault, OutcomeUnknown, UpstreamInvalid, UpstreamTimeout, UpstreamUnavailable
from proxy.upstream_answer import MAX_ANSWER, Answer, Credential, Opened, UpstreamRequest

__all__ = ["MAX_ANSWER", "Answer", "Credential", "Upstream", "UpstreamRequest"]

CONNECT_SECONDS = 10.0
# Shorter than the five seconds after which uvicorn, Node and others close: a request must not meet a closing
# connection, for its outcome would then be unknown.
KEEP_ALIVE_SECONDS = 4.0
MAX_CONNECTIONS = 2000

_TRACING = frozenset({b"traceparent", b"tracestate"})
_OWN = frozenset({b"mcp-session-id"})
_FIXED = [
    (b"accept", b"application/json, text/event-stream"),
    (b"accept-encoding", b"identity"),  # masking needs the text itself
    (b"user-agent", b"holdgate"),
]


class Upstream:
    """The connections of this process to all upstreams. Made once; used in one event loop; closed at the end.

    `transport` makes the httpx transport when the first request comes; by default one aiohttp pool for
    everything. `tls` replaces the system's trust store.
    """

    def __init__(
        self,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = CONNECT_SECONDS,
    ) -> None:
        self._make = transport or (lambda: _aiohttp_transport(tls or ssl.create_default_context()))
        self._transport: httpx.AsyncBaseTransport | None = None
        self._connect_timeout = connect_timeout

    async def exchange(self, request: UpstreamRequest) -> Answer:
        """Send one request and return its answer, of which the head has come: a plain body is read and
        checked.

        Use the answer in `async with`; leaving it early cancels the request upstream. Raises the faults of
        `proxy.errors`, each of which says whether the call was executed.
        """
        deadline = None if request.timeout is None else asyncio.get_running_loop().time() + request.timeout
        answer = Answer(self._send, request, await self._send(request, deadline), deadline)
        try:
            await answer.begin()
        except BaseException:
            await answer.aclose()
            raise
        return answer

    async def _send(self, request: UpstreamRequest, deadline: float | None) -> Opened:
        if self._transport is None:
            self._transport = self._make()
        connect = self._connect_timeout
        outgoing = httpx.Request(
            request.verb,
            _url(request.url),
            headers=_headers(request),
            content=request.body,
            extensions={"timeout": {"connect": connect, "pool": connect, "read": None, "write": None}},
        )
        sending = _Sending()
        token = _sending.set(sending)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._transport.handle_async_request(outgoing)
        except _TROUBLE as error:
            raise _sending_fault(error, sending) from error
        finally:
            _sending.reset(token)
        chunks = _chunks(response)
        return Opened(response.status_code, response.headers, chunks, _closer(response, chunks))

    async def aclose(self) -> None:
        """Close every connection."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


@dataclass(slots=True)
class _Sending:
    """Whether a byte of the request may have left; None where the transport does not say."""

    sent: bool | None = None


_sending: ContextVar[_Sending | None] = ContextVar("_sending", default=None)
# What httpx, aiohttp and the operating system raise. TimeoutError is an OSError.
_TROUBLE = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)


def _sending_fault(error: Exception, sending: _Sending) -> Fault:
    early = isinstance(
        error, httpx.ConnectError | httpx.PoolTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL
    )
    if sending.sent is False or (sending.sent is None and early):
        return UpstreamUnavailable("The upstream cannot be reached.")
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The upstream did not answer in time.")
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamInvalid("The upstream did not answer with HTTP.")
    return OutcomeUnknown("The connection broke before the upstream answered.")


def pooled_transport(tls: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
    """Return a transport with the same habits for other requests of ours, such as an issuer's keys."""
    return _aiohttp_transport(tls or ssl.create_default_context())


def _aiohttp_transport(tls: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return AiohttpTransport(client=lambda: _aiohttp_session(tls), verify=tls, trust_env=False)


def _aiohttp_session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(_note_start)
    tracing.on_request_headers_sent.append(_note_sent)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=tls),
        # Otherwise a cookie that one caller's call was given would travel with the next caller's call.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[tracing],
    )
    # No public switch exists for this one; a repeated GET or DELETE could be executed twice.
    session._retry_connection = False
    return session


async def _note_start(_session: Any, _context: Any, _parameters: Any) -> None:
    if (sending := _sending.get()) is not None:
        sending.sent = False


async def _note_sent(_session: Any, _context: Any, _parameters: Any) -> None:
    if (sending := _sending.get()) is not None:
        sending.sent = True


@lru_cache(maxsize=256)
def _url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _headers(request: UpstreamRequest) -> list[tuple[bytes, bytes]]:
    """Build the fields of a request: fixed ones, the caller's on the list, the upstream's session, the
    credential.
    """
    fields = list(_FIXED)
    if request.verb == "POST":
        fields.append((b"content-type", b"application/json"))
    for name, value in request.headers:
        lower = name.lower()
        if (lower.startswith(b"mcp-") and lower not in _OWN) or lower in _TRACING:
            fields.append((lower, value))
    if request.session is not None:
        fields.append((b"mcp-session-id", request.session.encode("ascii")))
    if request.last_event_id is not None:
        fields.append((b"last-event-id", request.last_event_id.encode()))
    if (credential := request.credential) is not None:
        injected = credential.header.lower().encode("ascii")
        fields = [(name, value) for name, value in fields if name != injected]
        fields.append((injected, (credential.prefix + credential.secret.reveal()).encode("ascii")))
    return fields


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        msg = "the transport gave a stream that cannot be awaited"
        raise TypeError(msg)
    try:
        async for chunk in stream:
            yield chunk
    except _TROUBLE as error:
        raise OutcomeUnknown("The connection broke before the answer was complete.") from error


def _closer(response: httpx.Response, chunks: AsyncGenerator[bytes, None]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await chunks.aclose()
        with contextlib.suppress(*_TROUBLE):
            await response.aclose()

    return close
