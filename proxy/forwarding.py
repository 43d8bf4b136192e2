"""Forwarding one call: its intent committed first, its answers masked and recorded before they are released."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from approvals import access, holding, keyed
from approvals.database import in_database
from approvals.entries import unspoken
from approvals.states import Status
from proxy import replies
from proxy.answers import readdressed
from proxy.binding import bound_parameters
from proxy.cutting import Cancelling, until
from proxy.errors import AccessEnded, Fault, NoStream, OutcomeUnknown, SessionLost, UpstreamInvalid
from proxy.exchange import Permit
from proxy.faults import CallFailed, record_unavailable
from proxy.outages import Outages
from proxy.pipeline import Moved, Reply, Settled
from proxy.recording import decision, entry, kept_view, request_commitment, request_payloads, rules_read
from proxy.refusals import Refusal
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from approvals.runtime import Runtime
    from approvals.verdicts import Allow
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions
    from proxy.refusals import Executed
    from proxy.transport import Transport
    from sessions.events import Event, Fact, Payload

# Seconds beyond the upstream's own time after which an unfinished call counts as interrupted.
RECOVERY_MARGIN = 30.0
# A process that slept longer than this between its intent and its forwarding may not forward any more.
FORWARD_WITHIN = 10.0
# How often the repeat of a keyed call looks whether the first attempt has its answer.
JOIN_SECONDS = 0.25
RETRY_SECONDS = 2.0
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: the entry's kind, what the caller got, and whether the upstream ran it."""

    kind: str
    executed: Executed
    answer: bytes
    status: Status
    payloads: Mapping[str, Payload] = field(default_factory=dict)
    masked: tuple[str, ...] = ()  # what was hidden, and how often
    exposed: tuple[str, ...] = ()  # what this caller saw of it, whom the rules except
    reason: str = ""
    detail: str = ""  # of the reason


def _recover_after(exchange: Exchange) -> float | None:
    """Return after how many seconds an end is missed; a standing stream ends with its process only."""
    return None if exchange.is_standing else exchange.connection.timeout + FORWARD_WITHIN + RECOVERY_MARGIN


def _now() -> float:
    """Return seconds of a clock that never goes back and goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(_STEADY)


def _status_of(fault: Fault) -> int | None:
    """Return the HTTP status where it is not the usual one: what the upstream said of a session or its stream."""
    if isinstance(fault, SessionLost):
        return 404
    return fault.status if isinstance(fault, NoStream) and fault.status in {405, 409} else None


class Forwarding:
    """Commits intents, forwards, and records how calls end; one per process."""

    def __init__(
        self,
        house: Runtime,
        transport: Transport,
        sessions: LegacySessions,
        background: Background,
        outages: Outages | None = None,
    ) -> None:
        self._house = house
        self._transport = transport
        self._sessions = sessions
        self._background = background
        self._cancelling = Cancelling(house, transport)
        self._outages = outages or Outages()

    def intent(self, exchange: Exchange, rules: Sequence[str], **facts: Fact) -> Event:
        """Return the entry that must be committed before a byte of this call reaches the upstream."""
        return entry(
            exchange,
            "call.intent",
            payloads=request_payloads(exchange),
            recover_after=_recover_after(exchange),
            verdict="hold" if exchange.approval_id else "allow",
            rules=list(rules),
            **rules_read(exchange),
            forward_within=int(FORWARD_WITHIN),
            request=request_commitment(exchange),
            tool_digest=exchange.tool_digest,
            **facts,
        )

    def permit_until(self, exchange: Exchange) -> float:
        """Return until when this process may forward (see `_now`); taken before the commit begins."""
        return _now() + FORWARD_WITHIN

    def permit(self, rules: tuple[str, ...], would: str | None, until: float, *, claim: str = "") -> Permit:
        """Return the permit that follows from a committed intent."""
        return Permit(forward_before=until, rules=rules, would=would, claim=claim)

    async def intend(self, exchange: Exchange, allow: Allow) -> Moved | Settled | Permit:
        """Commit the intent of an allowed call under the policy that allowed it."""
        until = self.permit_until(exchange)
        intent = self.intent(exchange, allow.rules, **unspoken(allow))
        exchange.committed = True
        if exchange.is_governed and exchange.knobs.idempotency_key:
            return await self._intend_keyed(exchange, allow, intent)
        append = self._begin(exchange, intent)
        try:
            await asyncio.shield(append)
        except RevisionMoved:
            exchange.committed = False
            await self._house.refreshed()
            return Moved()
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        except asyncio.CancelledError:
            self._background.run(self._cancelled(exchange, append, "false"))
            raise
        exchange.opening = ()
        return self.permit(allow.rules, allow.would, until)

    def _begin(self, exchange: Exchange, intent: Event) -> asyncio.Future[Any]:
        """Begin to commit the intent; access that rests on a window is looked at once more in that transaction."""
        events, revision, window = (*exchange.opening, intent), exchange.snapshot.revision, exchange.window
        if not window:
            return self._house.journal.begin(*events, revision=revision)

        def work() -> tuple[None, Sequence[Event]]:
            access.require_open(window)
            return None, events

        return asyncio.ensure_future(self._house.journal.transact(work, revision=revision))

    async def _intend_keyed(self, exchange: Exchange, allow: Allow, intent: Event) -> Moved | Settled | Permit:
        """Commit the intent of a call with a key, or answer with what came, or comes, of its first attempt."""
        call = exchange.call
        scope = keyed.scope_of(call.caller.key, call.connection, exchange.knobs.idempotency_key or "")
        digest = holding.call_digest(call, bound_parameters(exchange.message), exchange.tool_digest)

        def work() -> tuple[keyed.Found, Sequence[Event]]:
            access.require_open(exchange.window)
            found = keyed.take(scope, digest, exchange.call_id)
            return found, [*exchange.opening, intent] if isinstance(found, keyed.New) else []

        try:
            until, found = await self._take_key(exchange, work, scope)
        except RevisionMoved:
            exchange.committed = False
            await self._house.refreshed()
            return Moved()
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        if isinstance(found, keyed.New):
            exchange.opening = ()
            exchange.keyed_scope = scope
            return self.permit(allow.rules, allow.would, until)
        exchange.committed = False
        return await self._repeated(exchange, allow, found)

    async def _take_key(
        self, exchange: Exchange, work: Callable[[], tuple[keyed.Found, Sequence[Event]]], scope: str
    ) -> tuple[float, keyed.Found]:
        """Take the key, or wait for its first attempt; return until when to forward, and what was found."""
        deadline = time.monotonic() + exchange.connection.timeout
        while True:
            until = self.permit_until(exchange)
            exchange.committed = True
            taking = asyncio.ensure_future(self._house.journal.transact(work, revision=exchange.snapshot.revision))
            try:
                found = await asyncio.shield(taking)
            except asyncio.CancelledError:
                exchange.keyed_scope = scope
                self._background.run(self._cancelled(exchange, taking, "false"))
                raise
            if not isinstance(found, keyed.Running) or time.monotonic() >= deadline:
                return until, found
            exchange.committed = False
            await asyncio.sleep(JOIN_SECONDS)

    async def _repeated(self, exchange: Exchange, allow: Allow, found: keyed.Found) -> Moved | Settled:
        """Answer a repeat of a keyed call without running anything."""
        made = decision(exchange, "allow", allow.rules, allow.would)
        match found:
            case keyed.Known():
                return await self._answered_before(exchange, made, found)
            case keyed.Running():
                return await self._not_run(exchange, made, "pending", "unknown", "The same call is still running.")
            case keyed.Interrupted():
                message = f"The first attempt, call {found.call_id}, was interrupted before it had an answer."
                return await self._not_run(exchange, made, "outcome_unknown", "unknown", message)
        return await self.key_taken(exchange, made)

    async def _answered_before(
        self, exchange: Exchange, made: Mapping[str, Any], found: keyed.Known
    ) -> Moved | Settled:
        """Give the answer that was kept, masked by the rules of now as well."""
        kept = readdressed(kept_view(exchange, found.answer), exchange.message.id)
        event = entry(exchange, "call.repeated", first=found.call_id)
        try:
            await self._house.journal.append(*exchange.opening, event, revision=exchange.snapshot.revision)
        except RevisionMoved:
            await self._house.refreshed()
            return Moved()
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        exchange.opening = ()
        return Settled(Reply(replies.with_meta(kept, {replies.DECISION: made})))

    async def key_taken(self, exchange: Exchange, made: Mapping[str, Any]) -> Settled:
        """Refuse a call whose Idempotency-Key belongs to another call. `made` is the decision on this one."""
        message = "The key was used for another call."
        return await self._not_run(exchange, made, "idempotency_conflict", "false", message)

    async def _not_run(
        self, exchange: Exchange, made: Mapping[str, Any], reason: str, executed: Executed, message: str
    ) -> Settled:
        refusal = Refusal(
            reason=reason,
            executed=executed,
            message=message,
            call_id=exchange.call_id,
            retry_after=RETRY_SECONDS if reason == "pending" else None,
        )
        event = entry(exchange, "call.refused", reason=reason, executed=executed)
        await self._append(exchange, *exchange.opening, event)
        receipt = self._house.journal.receipt(exchange.call_id)
        return Settled(Reply(replies.refusal(exchange.message, refusal, decision=made, receipt=receipt)))

    async def forward(self, exchange: Exchange, permit: Permit) -> AsyncGenerator[Sequence[bytes]]:
        """Send the call once and yield the upstream's messages, in the groups they came in.

        Raises CallFailed after the fault was recorded. Nothing is ever sent a second time, but for what the upstream
        refused for the token it came with.
        """
        try:
            if _now() >= permit.forward_before:
                message = "The gateway was stopped between the record and the forwarding."
                raise OutcomeUnknown(message, executed="false")
            async with aclosing(self._sent(exchange)) as groups:
                async for group in groups:
                    yield group
            if exchange.message.kind == "request" and not exchange.answered and not exchange.is_standing:
                message = "The upstream ended its answer without the result."
                raise UpstreamInvalid(message, executed="unknown")
        except Fault as fault:
            if isinstance(fault, AccessEnded) and fault.executed == "unknown":
                self._background.run(self._cancelling.tell(exchange))
            if isinstance(fault, SessionLost) and exchange.session is not None:
                await self._sessions.close(exchange.session.token)
            raise await self.failed(exchange, permit, fault) from fault
        except (asyncio.CancelledError, GeneratorExit):
            if not exchange.answered:
                executed: Executed = "true" if exchange.is_standing else "unknown"
                self._background.run(self._cancelled(exchange, None, executed))
            raise
        if not exchange.answered:
            await self.end(exchange, permit, Ending("call.result", "true", b"", Status.EXECUTED))

    def _sent(self, exchange: Exchange) -> AsyncGenerator[Sequence[bytes]]:
        """Send the call; one that rests on a window of access is cut off when that ends."""
        sent = self._transport.send(exchange)
        return until(self._house.windows.end_of(exchange.window), sent) if exchange.window else sent

    async def failed(self, exchange: Exchange, permit: Permit, fault: Fault) -> CallFailed:
        """Record a fault as the end of the call, keep it for callers who join, and return what to raise."""
        refusal = fault.refusal(call_id=exchange.call_id)
        made = decision(exchange, "hold" if permit.claim else "allow", permit.rules, permit.would)
        body = replies.refusal(exchange.message, refusal, decision=made)
        unknown = refusal.executed == "unknown"
        status = Status.OUTCOME_UNKNOWN if unknown else Status.FAILED
        kind = "call.unknown" if unknown else "call.failed"
        ending = Ending(kind, refusal.executed, body, status, reason=refusal.reason, detail=fault.detail)
        await self.end(exchange, permit, ending)
        receipt = self._house.journal.receipt(exchange.call_id)
        return CallFailed(refusal, status=_status_of(fault), receipt=receipt)

    async def end(
        self,
        exchange: Exchange,
        permit: Permit,
        ending: Ending,
        *events: Event,
        revision: int | None = None,
    ) -> bool:
        """Commit the end of the call, with the state of its approval or its key in the same transaction.

        False when another process took this one for dead and called the outcome of the held call unknown: that stands,
        and the record has the end as `call.late`. With `revision`, raises RevisionMoved when the policy moved since.
        Raises CallFailed when the record does not take it: the answer is withheld then.
        """
        last = self._ending_entry(exchange, ending)
        events = (*events, *self._outages.noted(exchange, ending.kind, ending.reason, ending.detail))
        # Noted before the commit: who is cancelled while it runs must not end the call a second time.
        exchange.answered, kept = True, True
        try:
            if permit.claim or exchange.keyed_scope:
                kept = await self._house.journal.transact(
                    lambda: self._keep(exchange, permit, ending, [*events, last]), revision=revision
                )
            else:
                await self._house.journal.append(*events, last, revision=revision)
        except RevisionMoved:
            exchange.answered = False
            raise
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, ending.executed) from error
        if permit.claim and kept:
            exchange.delivers = exchange.approval_id
            if not exchange.heard:  # the caller left while this was committed
                self._background.run(in_database(lambda: holding.undeliver(exchange.approval_id)))
            self._house.waiting.hint([exchange.approval_id])
        return kept

    def _ending_entry(self, exchange: Exchange, ending: Ending) -> Event:
        return entry(
            exchange,
            ending.kind,
            payloads=ending.payloads,
            executed=ending.executed,
            masked=list(ending.masked),
            exposed=list(ending.exposed),
            status=exchange.status,
            milliseconds=int((time.monotonic() - exchange.started) * 1000),
            reason=ending.reason or None,
            detail=ending.detail or None,
            renewed=exchange.renewed or None,
        )

    def _keep(
        self, exchange: Exchange, permit: Permit, ending: Ending, events: list[Event]
    ) -> tuple[bool, list[Event]]:
        """Keep what came of the call for those who ask again; runs in the writer's transaction."""
        kept = True
        if permit.claim:
            kept = holding.finish(
                exchange.approval_id,
                permit.claim,
                ending.status,
                executed=ending.executed,
                result=ending.answer,
                heard=exchange.heard,
            )
        elif ending.executed == "false":
            keyed.release(exchange.keyed_scope, exchange.call_id)
        else:
            keyed.keep(exchange.keyed_scope, exchange.call_id, ending.answer)
        return kept, events

    async def _cancelled(self, exchange: Exchange, begun: asyncio.Future[Any] | None, executed: Executed) -> None:
        """Record that the caller of the modern era left, which ends its call; what the upstream did is not known."""
        if begun is not None:
            try:
                found = await begun
            except (RevisionMoved, RecordUnavailable):
                return  # the intent was never committed, so there is nothing to end
            if found is not None and not isinstance(found, keyed.New):
                return  # its key was another attempt's
        exchange.answered = True
        event = entry(exchange, "call.cancelled", executed=executed)

        def work() -> tuple[None, Sequence[Event]]:
            if exchange.keyed_scope and executed == "false":
                keyed.release(exchange.keyed_scope, exchange.call_id)
            return None, [event]

        try:
            await self._house.journal.transact(work)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, executed) from error

    async def _append(self, exchange: Exchange, *events: Event, executed: Executed = "false") -> None:
        try:
            await self._house.journal.append(*events)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, executed) from error
