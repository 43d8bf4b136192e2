"""The MCP endpoint: one bare ASGI callable at `/mcp/<connection>`.

It reads the request, learns who calls, and sends each message through `proxy.pipeline`. Channels' own HTTP consumer is
not used here: it does not see the caller leave while it works.
"""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from django.conf import settings

from approvals import access, keys, known
from approvals.config.schema import BUILT_IN
from approvals.database import in_database
from approvals.origins import Own, host_allowed, origin_allowed
from proxy import handles, mcp, polling, replies, rounds, tasks
from proxy import knobs as wishes
from proxy.body import BodyTooLarge, CallerGone, read_body
from proxy.builtin import server as builtin
from proxy.entrance import Entrance, NoAccess
from proxy.envelope import Rejection
from proxy.errors import Fault
from proxy.exchange import Exchange
from proxy.headers import Headers, accepts
from proxy.large import apart
from proxy.oauth.tokens import Asker
from proxy.protected_resource import challenge
from proxy.refusals import Refusal
from proxy.responder import Responder, Unread
from proxy.response import UNREAD, send_json
from proxy.server_requests import answered
from proxy.standing import Standing, listening
from proxy.tokens import TokenRejected
from sessions.events import Event
from sessions.ids import uuid7

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.counts import Counts
    from proxy.entrance import Admitted
    from proxy.headers import RawHeaders
    from proxy.identity import Identity
    from proxy.legacy import LegacySessions, Session
    from proxy.responder import Service
    from proxy.steps import GatewaySteps
    from proxy.transport import Transport

log = logging.getLogger("holdgate.endpoint")

DRAIN_SECONDS = 30.0
LONGEST_HOST = 300
_MISDIRECTED = {
    421: "This gateway does not answer to that host name.",
    403: "Requests from that origin are not accepted.",
}
TOO_MANY_STREAMS = "You listen to too many streams already."
_NO_ACCESS = "There is no such connection, or you may not use it."


class Gateway:
    """The endpoint of one process. `begin_shutdown` refuses new calls; `drain` waits for the running ones."""

    def __init__(
        self,
        *,
        house: Runtime,
        identity: Identity,
        sessions: LegacySessions,
        steps: GatewaySteps,
        transport: Transport,
        background: Background,
        counts: Counts,
    ) -> None:
        self._house = house
        self._entrance = Entrance(house.policies, identity, house.windows)
        self._sessions = sessions
        self._steps = steps
        self._transport = transport
        self._background = background
        self._counts = counts
        self._builtin = builtin.BuiltIn(house, steps, background, counts)
        self._standing = Standing()
        self._stopping = False
        self.running = 0  # requests that are being served now

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = scope["url_route"]["kwargs"]["connection"]
        self.running += 1
        try:
            await self._serve(connection, scope, receive, send)
        except CallerGone:
            return
        finally:
            self.running -= 1

    def begin_shutdown(self) -> None:
        """Refuse new calls and give held ones their pending result now."""
        self._stopping = True
        self._steps.asking.stopping.set()
        self._house.waiting.dismiss()
        self._standing.end()

    async def drain(self) -> None:
        """Wait until the running calls are done, half a minute at most."""
        self.begin_shutdown()
        await self._steps.discovery.stop()
        await self._background.finish(DRAIN_SECONDS)
        await self.flush_counts()
        await self._steps.close()

    async def flush_counts(self) -> None:
        """Record what was refused before it was a call, as counts."""
        await self._counts.flush(self._house)

    async def discover(self) -> None:
        """Look at the tools of connections that are due, without any caller."""
        await self._steps.discovery.look()

    async def _serve(self, connection: str, scope: Any, receive: Any, send: Any) -> None:
        headers: RawHeaders = scope["headers"]
        if status := _misdirected(headers):
            refusal = Refusal(reason="forbidden", executed="false", message=_MISDIRECTED[status])
            await send_json(send, status, replies.http_refusal(refusal)[2])
            return
        if self._stopping:
            await self._refuse(send, Refusal(reason="shutting_down", executed="false", message="", retry_after=2.0))
            return
        guest = await self._admit(connection, headers, send)
        if guest is None:
            return
        if scope["method"] != "POST":
            await self._control(connection, guest, scope, receive, send)
            return
        await self._post(connection, guest, scope, receive, send)

    async def _admit(self, connection: str, headers: RawHeaders, send: Any) -> Admitted | None:
        try:
            guest = await self._entrance.admit(connection, headers)
            known.token_in_use.set(guest.token.reveal())
            return guest
        except NoAccess:
            self._counts.add("forbidden", connection)
            await self._refuse(send, Refusal(reason="forbidden", executed="false", message=_NO_ACCESS))
            return None
        except TokenRejected as rejected:
            self._counts.add("unauthenticated", connection)
            log.info("a caller of %s is not known: %s", connection[:63], rejected.detail or rejected.message)
            value = challenge(self._house.public_url, connection, error=rejected.error, description=rejected.message)
            refusal = Refusal(
                reason="unauthenticated",
                executed="false",
                message=rejected.message,
                retry_after=rejected.retry_after,
            )
            await self._refuse(send, refusal, (b"www-authenticate", value.encode("latin-1", "replace")))
            return None

    async def _post(self, connection: str, guest: Admitted, scope: Any, receive: Any, send: Any) -> None:
        headers, configured = scope["headers"], self._configured(connection)
        try:
            # Gone since a moment ago: then not a byte is read for it, and it is refused below.
            body = await read_body(receive, headers, configured.max_body if configured else 0)
        except BodyTooLarge as error:
            self._counts.add("too_large", connection)
            await self._refuse(send, Refusal(reason="too_large", executed="false", message=str(error)))
            return
        fields = Headers(headers)
        parsed = await apart(len(body), lambda: mcp.parse(body, fields))
        if isinstance(parsed, Rejection):
            await self._reject(connection, send, parsed)
            return
        messages = parsed if isinstance(parsed, tuple) else (parsed,)
        exchanges = []
        for message in messages:
            made = await self._exchange(connection, guest, message, headers, fields)
            if isinstance(made, Rejection):
                await self._reject(connection, send, made)
                return
            if len(messages) > 1:
                made.accepts = "json"  # a batch is answered as one array, so nothing is heard while one of it waits
            exchanges.append(made)
        scope.setdefault("state", {})[UNREAD] = Unread(exchanges, self._background, self._house.waiting)
        service = self._builtin if connection == BUILT_IN else self._steps
        if isinstance(parsed, tuple):
            await self._responder(service, receive, send).answer_batch(exchanges)
        else:
            await self._answer(exchanges[0], service, receive, send)

    def _responder(self, service: Service, receive: Any, send: Any) -> Responder:
        return Responder(service, self._background, self._house.waiting, self._standing, receive, send)

    async def _answer(self, exchange: Exchange, service: Service, receive: Any, send: Any) -> None:
        """Answer one message, but for a standing stream of a caller who has too many already."""
        if exchange.is_standing and self._standing.is_full(exchange.actor):
            self._counts.add("rate_limited", exchange.connection_name)
            refusal = Refusal(reason="rate_limited", executed="false", message=TOO_MANY_STREAMS, retry_after=30.0)
            await self._refuse(send, refusal)
            return
        await self._responder(service, receive, send).answer(exchange)

    async def _exchange(
        self, connection: str, guest: Admitted, message: mcp.Message, headers: RawHeaders, fields: Headers
    ) -> Exchange | Rejection:
        snapshot = self._house.policies.current
        configured = self._configured(connection)
        asked = wishes.read(fields, message.meta)
        if isinstance(asked, Rejection):
            return asked
        if configured is None:
            return Rejection(status=403, code=-33002, message=_NO_ACCESS, reason="forbidden", id=message.id)
        actor = keys.actor(guest.caller.key)
        session = None
        if message.session is not None:
            session = await self._sessions.find(message.session, actor=actor, connection=connection)
            if session is None:
                return Rejection(status=404, code=-32600, message="There is no such session.", id=message.id)
        addressed = _opened(message, actor, connection, session)
        if isinstance(addressed, Rejection):
            return addressed
        exchange = Exchange(
            call_id=uuid7(),
            caller=guest.caller,
            identify=guest.identify,
            identified_under=guest.revision,
            token=guest.token,
            connection_name=connection,
            connection=configured,
            message=addressed,
            knobs=asked,
            snapshot=snapshot,
            headers=tasks.mirrored(headers, addressed),
            session=session,
            actor=actor,
            accepts=accepts(fields),
        )
        self._steps.places.place(exchange)
        return exchange

    def _configured(self, connection: str) -> Connection | None:
        """Return what a connection is by the policy in force; None when it is gone."""
        return (
            builtin.CONNECTION if connection == BUILT_IN else self._house.policies.current.policy.connection(connection)
        )

    async def _control(self, connection: str, guest: Admitted, scope: Any, receive: Any, send: Any) -> None:
        """GET and DELETE of the legacy era: the stream and the end of a session."""
        caller = guest.caller
        asked = mcp.control(scope["method"], scope["headers"])
        if isinstance(asked, Rejection):
            await self._reject(connection, send, asked)
            return
        actor = keys.actor(caller.key)
        session = asked.session and await self._sessions.find(asked.session, actor=actor, connection=connection)
        if not session and (asked.session or asked.verb == "DELETE"):
            status, what = (404, "no such") if asked.session else (400, "no")
            rejection = Rejection(status=status, code=-32600, message=f"There is {what} session.")
            await self._reject(connection, send, rejection)
            return
        if session and asked.verb == "DELETE":
            await self._end_session(connection, guest, session)
            house = self._house
            await in_database(partial(access.end_with_session, house, caller, connection))
            await send_json(send, 204, b"")
            return
        if session:
            await self._listen(connection, guest, asked, scope["headers"], receive, send)
            return
        # Without a session there is nothing to listen to. Clients go on without a stream; with any other status than
        # 405 some take the whole server for broken.
        rejection = Rejection(status=405, code=-32600, message="No stream is offered here.", allow="POST, DELETE")
        await self._reject(connection, send, rejection)

    async def _listen(
        self, connection: str, guest: Admitted, asked: mcp.Control, headers: RawHeaders, receive: Any, send: Any
    ) -> None:
        """Open the stream of a session, or take up a stream where its caller lost it."""
        made = await self._exchange(connection, guest, listening(asked), headers, Headers(headers))
        if isinstance(made, Rejection):
            await self._reject(connection, send, made)
            return
        holder, last = handles.holder_of(made), asked.last_event_id
        if (held := handles.take("held", last, holder)) is not None:
            await self._wait_on(connection, guest, held, headers, receive, send)
            return
        made.last_event_id, made.resumes = handles.take("event", last, holder), handles.take("call", last, holder)
        if last is not None and made.last_event_id is None and made.resumes is None:
            rejection = Rejection(status=400, code=-32600, message="Last-Event-ID is not of a stream of this session.")
            await self._reject(connection, send, rejection)
            return
        service: Service = self._steps.resuming if made.resumes else self._steps
        await self._answer(made, service, receive, send)

    async def _wait_on(
        self, connection: str, guest: Admitted, held: Any, headers: RawHeaders, receive: Any, send: Any
    ) -> None:
        """Go on with a held call whose caller has come back."""
        parked = await polling.taken(held)
        if parked is None:
            rejection = Rejection(status=404, code=-32600, message="The call has its answer already.")
            await self._reject(connection, send, rejection)
            return
        made = await self._exchange(connection, guest, parked.message, headers, Headers(headers))
        if isinstance(made, Rejection):
            await self._reject(connection, send, made)
            return
        if await self._steps.asking.cancelling.was_given_up(made):
            await polling.forget(parked.key)
            rejection = Rejection(status=404, code=-32600, message="The call was cancelled.")
            await self._reject(connection, send, rejection)
            return
        polling.resume(made, parked)
        await self._answer(made, self._steps, receive, send)

    async def _end_session(self, connection: str, guest: Admitted, session: Session) -> None:
        """End a session on both sides; ours ends whatever the upstream says."""
        await self._sessions.close(session.token)
        configured = self._house.policies.current.policy.connection(connection)
        actor, asker = keys.actor(guest.caller.key), Asker(guest.caller, guest.token)
        await self._house.journal.append(Event(kind="session.ended", connection=connection, actor=actor))
        if configured is not None:
            try:
                await self._transport.end_session(connection, configured, asker, actor, session)
            except Fault as fault:
                log.info("the upstream of %s did not end a session: %s", connection, fault.reason)

    async def _reject(self, connection: str, send: Any, rejection: Rejection) -> None:
        self._counts.add(rejection.reason, connection)
        extra = [(b"allow", rejection.allow.encode())] if rejection.allow else []
        await send_json(send, rejection.status, replies.rejection(rejection), *extra)

    async def _refuse(self, send: Any, refusal: Refusal, *extra: tuple[bytes, bytes]) -> None:
        status, headers, body = replies.http_refusal(refusal)
        await send_json(send, status, body, *headers[1:], *extra)


def _opened(message: mcp.Message, actor: str, connection: str, session: Session | None) -> mcp.Message | Rejection:
    """Return a message with what its caller holds only as handles as the upstream knows it."""
    holder = handles.holder(actor, connection, session)
    if message.kind == "response":
        return answered(message, holder)
    found = rounds.opened(message, holder)
    # A task outlives the session in which it was begun.
    return found if isinstance(found, Rejection) else tasks.opened(found, handles.holder(actor, connection, None))


def _misdirected(headers: RawHeaders) -> int:
    """Return 421 for a foreign Host and 403 for a foreign Origin (DNS rebinding), 0 when the request is for us."""
    hosts = [value for name, value in headers if name == b"host"]
    origins = [value for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or len(hosts[0]) > LONGEST_HOST:
        return 421
    if len(origins) > 1 or sum(map(len, origins)) > LONGEST_HOST:
        return 403
    own = Own(settings.PUBLIC_URL, tuple(settings.EXTRA_HOSTS))
    return _standing(hosts[0].decode("latin-1"), origins[0].decode("latin-1") if origins else None, own)


@lru_cache(maxsize=256)
def _standing(host: str, origin: str | None, own: Own) -> int:
    """Judge a Host and an Origin, which are the same few for nearly all requests."""
    if not host_allowed(host, own):
        return 421
    return 0 if origin is None or origin_allowed(origin, host, own) else 403
