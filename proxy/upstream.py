"""The HTTP client of upstream MCP servers. The one file of the data path that knows an HTTP library.

aiohttp is called directly: httpx's own pool collapses under concurrency, and its request, header and response
objects around another transport cost as much as the request itself (docs/decisions/0006).

What this client never does: send a request twice (aiohttp repeats GET and DELETE on a connection that was
dropped while idle, which is switched off; POST it never repeats), follow a redirect, read the environment for
proxies, keep cookies, or pass on a header field of the caller that is not on a list.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from approvals.addresses import Networks
from proxy.dialling import Sending, guarded, literal, sending
from proxy.errors import (
    CredentialUnavailable,
    Fault,
    OutcomeUnknown,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from proxy.stdio import faults
from proxy.upstream_answer import MAX_ANSWER, Answer, Credential, Opened, UpstreamRequest, deadline_of, exchange

if TYPE_CHECKING:
    import httpx
    from aiohttp.connector import Connection

    from proxy.routes import Route

__all__ = ["MAX_ANSWER", "Answer", "Credential", "Upstream", "UpstreamRequest"]

CONNECT_SECONDS = 10.0
# Shorter than the five seconds after which uvicorn, Node and others close: a request must not meet a closing
# connection, for its outcome would then be unknown.
KEEP_ALIVE_SECONDS = 4.0
MAX_CONNECTIONS = 2000
# So many connections in a row that cannot be used are given up before the call is.
MAX_UNUSABLE = 5
# What is read at once is masked at once, and recorded as one entry of the record, whose size is limited.
CHUNK_BYTES = 16 * 1024
ANY = Networks()

_FIXED = [
    ("accept", "application/json, text/event-stream"),
    ("accept-encoding", "identity"),  # masking needs the text itself
    ("user-agent", "holdgate"),
]


class Upstream:
    """The connections of this process to all upstreams. Made once; used in one event loop; closed at the end.

    `tls` replaces the system's trust store; `connect_timeout` is in seconds; `networks` may be dialled. With `socket`
    every request goes to the runner of stdio servers on that Unix socket. It may tell faults, as whatever is asked with
    `hears_faults` may.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = CONNECT_SECONDS,
        socket: Callable[[], str] | None = None,
        hears_faults: bool = False,
        networks: Networks = ANY,
    ) -> None:
        self._tls = tls
        self._socket = socket
        self._hears_faults = hears_faults or socket is not None
        self._networks = networks
        self._session: aiohttp.ClientSession | None = None
        # A connection that one of these allowed must serve nobody whom another one governs.
        self._narrower: dict[Networks, aiohttp.ClientSession] = {}
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=connect_timeout)

    async def exchange(self, request: UpstreamRequest) -> Answer:
        """Send one request and return its answer, of which the head has come: a plain body is read and
        checked.

        Use the answer in `async with`; leaving it early cancels the request upstream. Raises the faults of
        `proxy.errors`, each of which says whether the call was executed.
        """
        return await exchange(self._send, request)

    async def open(self, request: UpstreamRequest) -> Opened:
        """Send one request and return its answer unread, to be closed by whoever asked. Raises faults."""
        return await self._send(request, deadline_of(request))

    async def _send(self, request: UpstreamRequest, deadline: float | None) -> Opened:
        session = self._session_for(request)
        for _ in range(MAX_UNUSABLE):
            with contextlib.suppress(_Unusable):
                response = await self._request(session, request, deadline)
                if self._hears_faults and (told := response.headers.get(faults.FIELD)):
                    response.release()
                    raise faults.heard(told)
                chunks = _chunks(response)
                return Opened(response.status, response.headers, chunks, _closer(response, chunks))
        raise UpstreamUnavailable("The upstream speaks before it is asked.")

    def _session_for(self, request: UpstreamRequest) -> aiohttp.ClientSession:
        """Return what may dial for a request. Raises UpstreamUnavailable for a target that its proxy may not dial."""
        if self._session is None:
            path = self._socket() if self._socket else ""
            self._tls = None if path else self._tls or ssl.create_default_context()
            self._session = _aiohttp_session(self._tls, [self._networks], path=path)
        if (route := request.route) is None:
            return self._session
        narrower = route.networks
        target = literal(_url(request.url).host or "") if route.proxy else ""
        # A name is looked up by the proxy, whose own rules hold for what it finds.
        if target and (refused := self._networks.refusal(target) or (narrower or ANY).refusal(target)):
            raise _refused(refused)
        if narrower is None:
            return self._session
        if narrower not in self._narrower:
            self._narrower[narrower] = _aiohttp_session(self._tls, [self._networks, narrower])
        return self._narrower[narrower]

    async def _request(
        self, session: aiohttp.ClientSession, request: UpstreamRequest, deadline: float | None
    ) -> aiohttp.ClientResponse:
        now = Sending()
        token = sending.set(now)
        try:
            async with asyncio.timeout_at(deadline):
                return await session.request(
                    request.verb,
                    _url(request.url),
                    headers=_headers(request),
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=self._timeout,
                    **_along(request.route),
                )
        except _TROUBLE as error:
            raise _sending_fault(error, now) from error
        finally:
            sending.reset(token)

    async def aclose(self) -> None:
        """Close every connection."""
        for session in (self._session, *self._narrower.values()):
            if session is not None:
                await session.close()
        self._session, self._narrower = None, {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


# What aiohttp and the operating system raise, ValueError for an address that is none. TimeoutError is an OSError.
_TROUBLE = (aiohttp.ClientError, OSError, ValueError)


class _Unusable(Exception):
    """The upstream said something on this connection that nobody had asked. Nothing was sent."""


class _Request(aiohttp.ClientRequest):
    """A request that says when it begins to be written; aiohttp's tracing would say so too, at twice the cost."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        # What came while the connection lay idle, such as a second answer, would be taken for the answer to this one.
        if conn.protocol is None or conn.protocol.should_close:
            raise _Unusable
        if (now := sending.get()) is not None:
            now.begun = True
        return await super().send(conn)


def _along(route: Route | None) -> dict[str, Any]:
    if route is None:
        return {}
    chosen = {"ssl": route.tls, "server_hostname": route.server_name, "proxy": route.proxy}
    found: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    return found | ({"proxy_headers": route.proxy_headers} if route.proxy_headers else {})


def _sending_fault(error: Exception, now: Sending) -> Fault:
    if _is_refused_certificate(error):
        message = "The server refused the client certificate of the gateway, or wants one (`tls.certificate`)."
        return CredentialUnavailable(message, detail="client_certificate")
    if not now.begun:
        return _refused(now.refused) if now.refused else _unreached(error)
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The upstream did not answer in time.")
    if isinstance(error, aiohttp.ClientResponseError):
        return UpstreamInvalid("The upstream did not answer with HTTP.")
    return OutcomeUnknown("The connection broke before the upstream answered.")


def _refused(why: str) -> Fault:
    message = f"The gateway does not dial the address of this server: it is {why}."
    return UpstreamUnavailable(message, detail="address_refused")


def _unreached(error: Exception) -> Fault:
    """Say at what the way to a server ended, without a name or an address."""
    match error:
        case aiohttp.ClientHttpProxyError():
            message = f"The proxy of this connection refused to connect, with status {error.status}."
            return UpstreamUnavailable(message, detail="proxy_refused")
        case aiohttp.ClientProxyConnectionError():
            return UpstreamUnavailable("The proxy of this connection cannot be reached.", detail="proxy_unreachable")
        case aiohttp.ClientConnectorCertificateError():
            message = "The certificate of the server is not trusted (`tls.ca`), or is of another name."
            return UpstreamUnavailable(message, detail="certificate")
        case aiohttp.ClientConnectorSSLError():
            message = "The server and the gateway do not agree on TLS (`tls`)."
            return UpstreamUnavailable(message, detail="tls")
    return UpstreamUnavailable("The upstream cannot be reached.")


def _is_refused_certificate(error: BaseException | None) -> bool:
    """Say whether the server ended the handshake over our certificate: with TLS 1.3 after we began to send.

    It sends this alert before it reads anything of the request.
    """
    while error is not None:
        # aiohttp derives errors of its own from SSLError, without its attributes.
        reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
        if reason and "ALERT" in reason:
            return "CERTIFICATE" in reason or "UNKNOWN_CA" in reason
        error = error.__cause__ or error.__context__
    return False


def pooled_transport(tls: ssl.SSLContext | None = None, networks: Networks = ANY) -> httpx.AsyncBaseTransport:
    """Return an httpx transport with the same habits for other requests of ours, such as an issuer's keys."""
    context = tls or ssl.create_default_context()
    # What httpx-aiohttp sends is not ours to observe, so it gets aiohttp's own request class.
    return AiohttpTransport(
        client=lambda: _aiohttp_session(context, [networks], aiohttp.ClientRequest), verify=context, trust_env=False
    )


def _aiohttp_session(
    tls: ssl.SSLContext | None,
    networks: Sequence[Networks],
    request_class: type[aiohttp.ClientRequest] = _Request,
    *,
    path: str = "",
) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector = (
        aiohttp.UnixConnector(path, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        if path
        else aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            ssl=tls or True,
            socket_factory=guarded(networks),
        )
    )
    session = aiohttp.ClientSession(
        connector=connector,
        # Otherwise a cookie that one caller's call was given would travel with the next caller's call.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        request_class=request_class,
    )
    # No public switch exists for this one; a repeated GET or DELETE could be executed twice.
    session._retry_connection = False
    return session


@lru_cache(maxsize=256)
def _url(url: str) -> URL:
    return URL(url)


def _headers(request: UpstreamRequest) -> list[tuple[str, str]]:
    """Build the fields of a request: fixed ones, the caller's on the list, the upstream's session, the
    credential.
    """
    fields = list(_FIXED)
    if request.verb == "POST":
        fields.append(("content-type", "application/json"))
    fields += request.passed_on()
    if request.session is not None:
        fields.append(("mcp-session-id", request.session))
    if request.last_event_id is not None:
        fields.append(("last-event-id", request.last_event_id))
    fields += request.fields
    if (credential := request.credential) is not None:
        injected = credential.header.lower()
        fields = [(name, value) for name, value in fields if name != injected]
        fields.append((injected, credential.prefix + credential.secret.reveal()))
    return fields


async def _chunks(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            yield chunk
    except _TROUBLE as error:
        raise OutcomeUnknown("The connection broke before the answer was complete.") from error


def _closer(response: aiohttp.ClientResponse, chunks: AsyncGenerator[bytes, None]) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        await chunks.aclose()
        # An answer that was not read to its end takes its connection with it.
        response.release()
        with contextlib.suppress(*_TROUBLE):
            await response.wait_for_close()

    return close
