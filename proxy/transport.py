"""From an exchange to its upstream and back: address, credential, session, and what the answer's head says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.errors import CredentialUnavailable
from proxy.upstream import Credential, Upstream, UpstreamRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from approvals.config.schema import Connection
    from proxy.credentials import Credentials
    from proxy.envelope import Id
    from proxy.errors import CredentialUnavailable
    from proxy.exchange import Exchange
    from proxy.headers import RawHeaders
    from proxy.legacy import LegacySessions, Session
from proxy.upstream import Answer

SESSION_GONE = 404


class Transport:
    """Sends for exchanges; one per process."""

    def __init__(self, upstream: Upstream, credentials: Credentials, sessions: LegacySessions) -> None:
        self._upstream = upstream
        self._credentials = credentials
        self._sessions = sessions

    async def note_secret(self, exchange: Exchange) -> None:
        """Learn the upstream's credential before anything is written down of the call, so that it is hidden there."""
        try:
            credential = await self._credential(exchange.connection)
        except CredentialUnavailable:
            return  # said by the step that needs it
        exchange.secret = credential.secret if credential else None

    async def send(self, exchange: Exchange) -> AsyncGenerator[list[bytes]]:
        """Send the caller's own bytes once and yield the upstream's messages; note what the answer's head says.

        Raises the faults of `proxy.errors`.
        """
        message = exchange.message
        request = await self._request(exchange, message.raw, message.id if message.kind == "request" else None)
        async with await self._exchange(exchange, request) as answer:
            exchange.status = answer.status
            if answer.status == SESSION_GONE and exchange.session is not None:
                await self._sessions.close(exchange.session.token)
            exchange.streamed = answer.streamed
            await self._note_session(exchange, answer)
            async for group in answer.groups():
                yield group

    async def ask(
        self, exchange: Exchange, body: bytes, *, request_id: Id | None = None, method: str = ""
    ) -> AsyncIterator[list[bytes]]:
        """Send a message of the gateway's own in the exchange's session and era; yield what comes back."""
        request = await self._request(exchange, body, request_id, method=method)
        async with await self._exchange(exchange, request) as answer:
            async for group in answer.groups():
                yield group

    async def _exchange(self, exchange: Exchange, request: UpstreamRequest) -> Answer:
        try:
            return await self._upstream.exchange(request)
        except CredentialUnavailable:
            if exchange.connection.credential is not None:
                # Refused: it was probably rotated, so the next call reads it anew.
                self._credentials.forget(exchange.connection.credential.value)
            raise

    async def end_session(self, connection: Connection, session: Session) -> None:
        """Tell the upstream that a session of the legacy era is over. Raises faults."""
        request = UpstreamRequest(
            url=str(connection.url),
            verb="DELETE",
            session=session.upstream,
            credential=await self._credential(connection),
            timeout=10.0,
        )
        async with await self._upstream.exchange(request):
            return

    async def aclose(self) -> None:
        """Close all connections."""
        await self._upstream.aclose()
        self._credentials.close()

    async def _request(
        self, exchange: Exchange, body: bytes, request_id: Id | None, *, method: str = ""
    ) -> UpstreamRequest:
        connection = exchange.connection
        credential = await self._credential(connection)
        exchange.secret = credential.secret if credential else None
        return UpstreamRequest(
            url=str(connection.url),
            body=body,
            id=request_id,
            headers=_own_headers(exchange, method) if method else exchange.headers,
            session=exchange.session.upstream if exchange.session else None,
            credential=credential,
            timeout=float(connection.timeout),
            max_answer=connection.max_answer,
        )

    async def _credential(self, connection: Connection) -> Credential | None:
        configured = connection.credential
        if configured is None:
            return None
        secret = await self._credentials.resolve(configured.value)
        return Credential(header=configured.header, prefix=configured.prefix, secret=secret)

    async def _note_session(self, exchange: Exchange, answer: Answer) -> None:
        """Bind a session that the upstream opens to this caller; the caller gets a token of ours for it."""
        if exchange.message.method != "initialize" or answer.session is None:
            return
        session = await self._sessions.open(
            actor=exchange.actor,
            connection=exchange.connection_name,
            upstream=answer.session,
            version=exchange.message.version,
        )
        exchange.reply_headers = ((b"mcp-session-id", session.token.encode()),)


def _own_headers(exchange: Exchange, method: str) -> RawHeaders:
    """Return the routing fields of a message of our own: of the caller's revision, naming our method."""
    version = [(name, value) for name, value in exchange.headers if name == b"mcp-protocol-version"]
    if exchange.message.era == "modern":
        return [*version, (b"mcp-method", method.encode())]
    return version
