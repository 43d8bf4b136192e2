"""The MCP endpoint: one bare ASGI callable at `/mcp/<connection>`.

It reads the request, learns who calls, and sends each message through `proxy.pipeline`. Channels' own HTTP consumer is
not used here: it does not see the caller leave while it works.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings

from approvals import keys
from approvals.origins import Own, host_allowed, origin_allowed
from proxy import knobs as wishes
from proxy import mcp, replies
from proxy.body import BodyTooLarge, CallerGone, read_body
from proxy.entrance import Entrance, NoAccess
from proxy.envelope import Rejection
from proxy.errors import Fault
from proxy.exchange import Exchange
from proxy.headers import Headers, accepts
from proxy.protected_resource import challenge
from proxy.refusals import Refusal
from proxy.responder import Responder, send_json
from proxy.tokens import TokenRejected
from sessions.events import Event
from sessions.ids import uuid7

if TYPE_CHECKING:
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from proxy.background import Background
    from proxy.counts import Counts
    from proxy.entrance import Admitted
    from proxy.headers import RawHeaders
    from proxy.identity import Identity
    from proxy.legacy import LegacySessions, Session
    from proxy.steps import GatewaySteps
    from proxy.transport import Transport

log = logging.getLogger("holdgate.endpoint")

DRAIN_SECONDS = 30.0
_MISDIRECTED = {
    421: "This gateway does not answer to that host name.",
    403: "Requests from that origin are not accepted.",
}
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
        self._entrance = Entrance(house.policies, identity)
        self._sessions = sessions
        self._steps = steps
        self._transport = transport
        self._background = background
        self._counts = counts
        self._stopping = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = scope["url_route"]["kwargs"]["connection"]
        try:
            await self._serve(connection, scope, receive, send)
        except CallerGone:
            return

    def begin_shutdown(self) -> None:
        """Refuse new calls and give held ones their pending result now."""
        self._stopping = True
        self._steps.asking.stopping.set()
        self._house.waiting.wake_all()

    async def drain(self) -> None:
        """Wait until the running calls are done, half a minute at most."""
        self.begin_shutdown()
        await self._background.finish(DRAIN_SECONDS)
        await self.flush_counts()
        await self._steps.close()

    async def flush_counts(self) -> None:
        """Record what was refused before it was a call, as counts."""
        await self._counts.flush(self._house)

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
            await self._control(connection, guest.caller, scope, receive, send)
            return
        await self._post(connection, guest, headers, receive, send)

    async def _admit(self, connection: str, headers: RawHeaders, send: Any) -> Admitted | None:
        try:
            return await self._entrance.admit(connection, headers)
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

    async def _post(self, connection: str, guest: Admitted, headers: RawHeaders, receive: Any, send: Any) -> None:
        configured = self._house.policies.current.policy.connection(connection)
        try:
            # Gone since a moment ago: then not a byte is read for it, and it is refused below.
            body = await read_body(receive, headers, configured.max_body if configured else 0)
        except BodyTooLarge as error:
            self._counts.add("too_large", connection)
            await self._refuse(send, Refusal(reason="too_large", executed="false", message=str(error)))
            return
        fields = Headers(headers)
        parsed = mcp.parse(body, fields)
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
        responder = Responder(self._steps, self._background, receive, send)
        await responder.answer(exchanges, batch=isinstance(parsed, tuple))

    async def _exchange(
        self, connection: str, guest: Admitted, message: mcp.Message, headers: RawHeaders, fields: Headers
    ) -> Exchange | Rejection:
        snapshot = self._house.policies.current
        configured = snapshot.policy.connection(connection)
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
        exchange = Exchange(
            call_id=uuid7(),
            caller=guest.caller,
            identify=guest.identify,
            identified_under=guest.revision,
            connection_name=connection,
            connection=configured,
            message=message,
            knobs=asked,
            snapshot=snapshot,
            headers=headers,
            session=session,
            actor=actor,
            accepts=accepts(fields),
        )
        self._steps.places.place(exchange)
        return exchange

    async def _control(self, connection: str, caller: Caller, scope: Any, receive: Any, send: Any) -> None:
        """GET and DELETE of the legacy era: the stream and the end of a session."""
        asked = mcp.control(scope["method"], scope["headers"])
        if isinstance(asked, Rejection):
            await self._reject(connection, send, asked)
            return
        actor = keys.actor(caller.key)
        session = asked.session and await self._sessions.find(asked.session, actor=actor, connection=connection)
        if not session:
            status, what = (404, "no such") if asked.session else (400, "no")
            rejection = Rejection(status=status, code=-32600, message=f"There is {what} session.")
            await self._reject(connection, send, rejection)
            return
        if asked.verb == "DELETE":
            await self._end_session(connection, caller, session)
            await send_json(send, 204, b"")
            return
        # The stream of a session carries what a server sends by itself; this version does not open it, which the
        # protocol allows (405), and clients then go on without.
        rejection = Rejection(status=405, code=-32600, message="No stream is offered here.", allow="POST, DELETE")
        await self._reject(connection, send, rejection)

    async def _end_session(self, connection: str, caller: Caller, session: Session) -> None:
        """End a session on both sides; ours ends whatever the upstream says."""
        await self._sessions.close(session.token)
        configured = self._house.policies.current.policy.connection(connection)
        actor = keys.actor(caller.key)
        await self._house.journal.append(Event(kind="session.ended", connection=connection, actor=actor))
        if configured is not None:
            try:
                await self._transport.end_session(configured, session)
            except Fault as fault:
                log.info("the upstream of %s did not end a session: %s", connection, fault.reason)

    async def _reject(self, connection: str, send: Any, rejection: Rejection) -> None:
        self._counts.add(rejection.reason, connection)
        extra = [(b"allow", rejection.allow.encode())] if rejection.allow else []
        await send_json(send, rejection.status, replies.rejection(rejection), *extra)

    async def _refuse(self, send: Any, refusal: Refusal, *extra: tuple[bytes, bytes]) -> None:
        status, headers, body = replies.http_refusal(refusal)
        await send_json(send, status, body, *headers[1:], *extra)


def _misdirected(headers: RawHeaders) -> int:
    """Return 421 for a foreign Host and 403 for a foreign Origin (DNS rebinding), 0 when the request is for us."""
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    own = Own(settings.PUBLIC_URL, tuple(settings.EXTRA_HOSTS))
    if len(hosts) != 1 or not host_allowed(hosts[0], own):
        return 421
    ours = all(origin_allowed(origin, hosts[0], own) for origin in origins)
    return 0 if ours and len(origins) <= 1 else 403
