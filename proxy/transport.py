"""From an exchange to its upstream and back: address, credential, session, and what the answer's head says."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from proxy.between import translation
from proxy.errors import CredentialUnavailable, NoStream, SessionLost
from proxy.legacy import Session
from proxy.oauth.tokens import Asker
from proxy.outgoing import body_of
from proxy.refused import UNAUTHORIZED, Whose
from proxy.routes import Routes
from proxy.standing import pulsed
from proxy.stdio.door import Door, fields, owner
from proxy.stdio.launches import secrets_of
from proxy.tunnel.sender import AgentUpstream, address_of
from proxy.upstream import Answer, Credential, Upstream, UpstreamRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from approvals.config.schema import Connection
    from approvals.secrets import Secret
    from proxy.between.told import Told
    from proxy.credentials import Credentials
    from proxy.envelope import Id
    from proxy.errors import Fault
    from proxy.exchange import Exchange
    from proxy.headers import RawHeaders
    from proxy.legacy import LegacySessions
    from proxy.oauth.tokens import Tokens

SESSION_GONE = 404
POLLING = "2025-11-25"  # since when an event without data opens a stream that can be taken up again
Verb = Literal["GET", "POST"]
_WHOSE: dict[str, Whose] = {
    "client_credentials": "client",
    "refresh_token": "client",
    "authorization_code": "account",
    "token_exchange": "exchanged",
}


class Transport:
    """Sends for exchanges; one per process."""

    def __init__(
        self,
        upstream: Upstream,
        credentials: Credentials,
        tokens: Tokens,
        sessions: LegacySessions,
        runner: Door,
        agents: AgentUpstream,
        between: translation.Translation,
    ) -> None:
        self._upstream = upstream
        self._runner = runner
        self._agents = agents
        self._credentials = credentials
        self._tokens = tokens
        self._sessions = sessions
        self._routes = Routes(credentials)
        self._between = between

    async def note_secret(self, exchange: Exchange) -> None:
        """Learn the upstream's credential before anything is written down of the call, so that it is hidden there."""
        try:
            exchange.secrets = await self._secrets_at_hand(
                exchange.connection_name, exchange.connection, _asker(exchange)
            )
        except CredentialUnavailable:
            return  # said by the step that needs it

    async def send(self, exchange: Exchange) -> AsyncGenerator[list[bytes]]:
        """Send the caller's own bytes once and yield the upstream's messages; note what the answer's head says.

        Raises the faults of `proxy.errors`.
        """
        message = exchange.message
        is_stream, is_request = message.kind == "stream", message.kind == "request"
        request = await self._request(
            exchange, b"" if is_stream else body_of(exchange), message.id if is_request else None
        )
        if exchange.is_standing:
            verb: Verb = "GET" if is_stream else "POST"
            request = replace(request, verb=verb, timeout=None, last_event_id=exchange.last_event_id)
        async with await self._exchange(exchange, request) as answer:
            exchange.status = answer.status
            if answer.status == SESSION_GONE and exchange.session is not None:
                await self._sessions.close(exchange.session.token)
            if is_stream and not answer.streamed:
                raise _no_stream(answer.status)
            exchange.streamed = answer.streamed
            await self._note_session(exchange, answer)
            async with aclosing(self._groups(exchange, answer)) as groups:
                async for group in groups:
                    yield group

    async def _groups(self, exchange: Exchange, answer: Answer | Told) -> AsyncGenerator[list[bytes]]:
        """Yield what comes; an empty group when the head of a stream has come, and while nothing else does."""
        groups = answer.groups()
        if answer.streamed and exchange.is_standing:
            groups = pulsed(groups)
        exchange.is_resumable = answer.streamed and _is_resumable(exchange)
        if answer.streamed and (exchange.is_resumable or exchange.is_standing):
            yield []
        async with aclosing(groups):
            async for group in groups:
                exchange.event_id, exchange.is_paused = answer.last_id, answer.is_paused
                yield group

    async def ask(
        self, exchange: Exchange, body: bytes, *, request_id: Id | None = None, method: str = ""
    ) -> AsyncIterator[list[bytes]]:
        """Send a message of the gateway's own in the exchange's session and era; yield what comes back.

        A session that is opened so is the exchange's own; no caller has a token for it.
        """
        request = await self._request(exchange, body, request_id, method=method)
        async with await self._exchange(exchange, request) as answer:
            if method == "initialize" and answer.session is not None:
                exchange.session = Session("", answer.session)
            async for group in answer.groups():
                yield group

    async def _exchange(self, exchange: Exchange, request: UpstreamRequest) -> Answer | Told:
        send = partial(self._renewing, exchange)
        if translation.is_needed(exchange.connection, exchange.message.era):
            return await self._between.exchange(exchange, request, send)
        return await send(request)

    async def _renewing(self, exchange: Exchange, request: UpstreamRequest) -> Answer:
        """Send a request. A token that was kept and is refused is got anew, and the request sent once more with it.

        That repeats nothing: who answers 401 has executed nothing.
        """
        upstream, begun = self._upstream_of(exchange.connection), time.monotonic()
        try:
            return await upstream.exchange(request)
        except CredentialUnavailable as fault:
            self._forget(exchange, request)
            if fault.status != UNAUTHORIZED or request.credential is None or not request.credential.was_kept:
                raise
        credential = await self._credential(exchange.connection_name, exchange.connection, _asker(exchange))
        left = None if request.timeout is None else max(1.0, request.timeout - (time.monotonic() - begun))
        renewed = replace(request, credential=credential, timeout=left)
        exchange.renewed = True
        if renewed.credential is not None:
            exchange.secrets = (*exchange.secrets, renewed.credential.secret)
        try:
            return await upstream.exchange(renewed)
        except CredentialUnavailable:
            self._forget(exchange, renewed)
            raise

    def _forget(self, exchange: Exchange, request: UpstreamRequest) -> None:
        """Drop what was refused: it was probably rotated, so the next call gets it anew."""
        configured, sent = exchange.connection.credential, request.credential
        if configured is None or sent is None:
            return
        if configured.value is not None:
            self._credentials.forget(configured.value)
        else:
            self._tokens.forget(exchange.connection_name, exchange.connection, _asker(exchange), sent.secret)

    async def end_session(self, name: str, connection: Connection, asker: Asker, actor: str, session: Session) -> None:
        """Tell the upstream that a session of the legacy era is over, if it knows of sessions. Raises faults."""
        if translation.is_needed(connection, "legacy"):
            return
        request = UpstreamRequest(
            url=self._url(name, connection),
            verb="DELETE",
            session=session.upstream,
            credential=await self._credential(name, connection, asker),
            fields=owner(actor) if connection.is_told_callers else (),
            timeout=10.0,
            route=None if connection.is_kept else await self._routes.of(connection),
        )
        async with await self._upstream_of(connection).exchange(request):
            return

    async def aclose(self) -> None:
        """Close all connections."""
        await self._upstream.aclose()
        await self._runner.upstream.aclose()
        await self._agents.aclose()
        self._credentials.close()

    async def _request(
        self, exchange: Exchange, body: bytes, request_id: Id | None, *, method: str = ""
    ) -> UpstreamRequest:
        name, connection = exchange.connection_name, exchange.connection
        credential = await self._credential(name, connection, _asker(exchange))
        exchange.secrets = await self._secrets(connection, credential)
        return UpstreamRequest(
            url=self._url(name, connection),
            body=body,
            id=request_id,
            headers=_own_headers(exchange, method) if method else exchange.headers,
            session=exchange.session.upstream if exchange.session else None,
            credential=credential,
            fields=fields(exchange.caller, exchange.snapshot.revision) if connection.is_told_callers else (),
            timeout=float(connection.timeout),
            max_answer=connection.max_answer,
            route=None if connection.is_kept else await self._routes.of(connection),
        )

    def _upstream_of(self, connection: Connection) -> Upstream | AgentUpstream:
        if connection.agent is not None:
            return self._agents
        return self._runner.upstream if connection.is_kept else self._upstream

    def _url(self, name: str, connection: Connection) -> str:
        if connection.agent is not None:
            return address_of(connection.agent, name)
        return self._runner.url(name) if connection.is_kept else str(connection.url)

    async def _secrets_at_hand(self, name: str, connection: Connection, asker: Asker) -> tuple[Secret, ...]:
        """Return those of the secrets that are there already: no token is got for a call that may never be sent."""
        configured = connection.credential
        if configured is None or configured.oauth is None:
            return await self._secrets(connection, await self._credential(name, connection, asker))
        token = self._tokens.peek(name, connection, asker)
        return (*(() if token is None else (token,)), *await self._routes.secrets(connection))

    async def _secrets(self, connection: Connection, credential: Credential | None) -> tuple[Secret, ...]:
        """Return what the upstream knows and nobody else may."""
        if connection.transport == "stdio":
            return await secrets_of(connection, self._credentials)
        own = (credential.secret,) if credential and not connection.is_kept else await self._of_the_runner(connection)
        return own if connection.proxy is None else (*own, *await self._routes.secrets(connection))

    async def _of_the_runner(self, connection: Connection) -> tuple[Secret, ...]:
        """Return the credential that the runner adds, where it keeps the way to a server on the network."""
        configured = connection.credential
        if configured is None or configured.value is None:
            return ()
        return (await self._credentials.resolve(configured.value),)

    async def _credential(self, name: str, connection: Connection, asker: Asker) -> Credential | None:
        if connection.is_kept:
            return self._runner.credential
        configured = connection.credential
        if configured is None:
            return None
        header, prefix = configured.header, configured.prefix
        if configured.value is not None:
            return Credential(header=header, prefix=prefix, secret=await self._credentials.resolve(configured.value))
        token = await self._tokens.get(name, connection, asker)
        whose = _WHOSE[configured.oauth.grant] if configured.oauth is not None else "secret"
        return Credential(header=header, prefix=prefix, secret=token.secret, whose=whose, was_kept=token.was_kept)

    async def _note_session(self, exchange: Exchange, answer: Answer | Told) -> None:
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


def _asker(exchange: Exchange) -> Asker:
    return Asker(exchange.caller, exchange.token)


def _is_resumable(exchange: Exchange) -> bool:
    """Say whether a caller who loses the stream of a call may take it up again: clients of 2025-11-25 in a session."""
    message = exchange.message
    return message.kind == "request" and exchange.session is not None and message.version >= POLLING


def _no_stream(status: int) -> Fault:
    """Say why there is no stream, by the status of the upstream."""
    if status == SESSION_GONE:
        return SessionLost("The upstream no longer knows the session.", status=status)
    return NoStream("The server offers no stream of this session.", status=status)


def _own_headers(exchange: Exchange, method: str) -> RawHeaders:
    """Return the routing fields of a message of our own: of the caller's revision, naming our method."""
    version = [(name, value) for name, value in exchange.headers if name == b"mcp-protocol-version"]
    if exchange.message.era == "modern":
        return [*version, (b"mcp-method", method.encode())]
    return version
