"""Holding one call: ask people (or join who already asked), keep the caller on the line, claim the one execution."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from approvals import access, holding, keyed
from approvals.database import in_database
from approvals.denials import DeniedTooOften
from approvals.models import ApprovalRequest
from approvals.outlet import counts
from approvals.states import Status
from approvals.verdicts import Block, Hold
from approvals.waiting import happens
from proxy import denials, polling, replies
from proxy.answers import readdressed
from proxy.approval_rows import REREAD_SECONDS, current, read
from proxy.binding import readable, shown_parameters
from proxy.cancelling import Cancelling
from proxy.faults import CallFailed, record_unavailable
from proxy.large import apart
from proxy.outcomes import refusal_of
from proxy.pipeline import Moved, Reply, Settled
from proxy.recording import approval_meta, call_digest_of, decision, entry, kept_view, outlet_of, request_payloads
from proxy.signs import sign_of_life, waiting
from proxy.successors import Successors
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.catalogue import Catalogue
    from proxy.exchange import Exchange, Permit
    from proxy.forwarding import Forwarding
    from proxy.judging import Judging
    from proxy.pipeline import Pulse
    from sessions.events import Event

log = logging.getLogger("holdgate.asking")

PULSE_SECONDS = 10.0
# A caller that takes no stream hears nothing while it waits; beyond this, clients and proxies give up.
SILENT_SECONDS = 25.0
RETRY_SECONDS = 5.0
WAITING = frozenset({Status.PENDING, Status.EXECUTING})
TAKEN_BACK = frozenset({Status.CANCELLED, Status.REVOKED})
OBJECTED = frozenset({Status.DENIED, Status.REVOKED})


class Asking:
    """Holds calls for people; one per process."""

    def __init__(
        self,
        house: Runtime,
        judging: Judging,
        catalogue: Catalogue,
        forwarding: Forwarding,
        background: Background,
    ) -> None:
        self._house = house
        self._judging = judging
        self._catalogue = catalogue
        self._forwarding = forwarding
        self._background = background
        self._successors = Successors()
        self.cancelling = Cancelling(house, background)
        self.stopping = asyncio.Event()

    async def wait(self, exchange: Exchange, hold: Hold) -> AsyncIterator[Pulse | Reply]:
        """Open a request or join one, and give signs of life until it is decided or the caller's time is up.

        What came of it is read by `claim`. When the caller leaves, the request stays for whoever comes back.
        Raises ComesBack when only this answer's time is up.
        """
        exchange.moved = False
        exchange.call_id = exchange.own_id  # a request that this caller had joined may be over
        opening = asyncio.ensure_future(self._open(exchange, hold))
        try:
            request = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._background.run(self._abandon(exchange, opening))
            raise
        if request is None:
            exchange.moved = True
            return
        try:
            # One budget for the whole call, however often it is asked anew.
            exchange.hold_until = exchange.hold_until or time.monotonic() + self._budget(exchange)
            if (place := await polling.opening(exchange)) is not None:
                yield place
            async with aclosing(self.until_decided(exchange, request)) as pulses:
                async for pulse in pulses:
                    yield pulse
            if self._comes_back(exchange):
                await self._detach(exchange)
                yield polling.pause(exchange)
                raise polling.ComesBack
            if exchange.pulses and exchange.request and Status(exchange.request.status) is Status.APPROVED:
                yield sign_of_life(exchange, f"Approval {request.id} was given; the call is run now")
        except BaseException:  # the caller left, or the database failed: whoever comes back may join
            self.let_go(exchange)
            raise

    async def _abandon(self, exchange: Exchange, opening: asyncio.Future[ApprovalRequest | None]) -> None:
        """The caller left while the request was being committed; nobody waits for it."""
        with contextlib.suppress(CallFailed):
            await opening
        self.let_go(exchange)

    async def _open(self, exchange: Exchange, hold: Hold) -> ApprovalRequest | None:
        snapshot = exchange.snapshot
        ask = await apart(len(exchange.message.raw), partial(self._ask, exchange, hold))

        def work() -> tuple[ApprovalRequest, Sequence[Event]]:
            known = self._successors.of(exchange.replaces)
            request, events = holding.open_or_join(replace(ask, approval_id=known) if known else ask, snapshot)
            if exchange.replaces:
                self._successors.note(exchange.replaces, request.id)
            return request, [*exchange.opening, *events]

        try:
            request = await self._house.journal.transact(work, revision=snapshot.revision)
        except RevisionMoved:
            await self._house.refreshed()
            return None
        except keyed.KeyTaken:
            exchange.key_taken = True
            return None
        except holding.TooManyPending as error:
            exchange.crowded = str(error)
            return None
        except DeniedTooOften as error:
            exchange.stopped = error
            return None
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        exchange.opening = ()
        exchange.approval_id = request.id
        exchange.call_id = request.call_id
        self.unattend(exchange)  # it may have waited for another one before
        exchange.attends = request.id
        self._house.waiting.attend(request.id)
        self._house.waiting.hint([request.id])
        return request

    def _ask(self, exchange: Exchange, hold: Hold) -> holding.Ask:
        outlet = outlet_of(exchange)
        knobs, call = exchange.knobs, exchange.call
        shown = shown_parameters(exchange.message)
        key = knobs.idempotency_key
        return holding.Ask(
            call_id=exchange.call_id,
            session=exchange.recorded_session,
            call=call,
            hold=hold,
            tool=outlet.text(call.name),
            call_digest=call_digest_of(exchange),
            tool_digest=exchange.tool_digest,
            arguments=readable(outlet.for_approver(shown)),
            payloads=request_payloads(exchange),
            masked=counts(exchange.request_hits),
            reason=outlet.text(knobs.reason) if knobs.reason else "",
            idempotency=keyed.scope_of(call.caller.key, call.connection, key) if key else "",
            # Whoever lost the race for the one execution waits on with the request they already waited for.
            approval_id=exchange.approval_id or knobs.approval or "",
            process=self._house.journal.process_id,
            is_left=self._house.waiting.is_left,
            access=exchange.window,
            sent=readable(outlet.for_sealing(shown)) if hold.terms.reveal_to else "",
        )

    async def until_decided(self, exchange: Exchange, request: ApprovalRequest) -> AsyncGenerator[Pulse]:
        """Pulse until the row says something else than waiting, and leave it in the exchange.

        It is read on a hint, never per pulse.
        """
        started = due = time.monotonic()
        with (
            self.cancelling.waits(exchange, request.id),
            self._house.waiting.watch(request.id, request.version) as moved,
        ):
            while Status(request.status) in WAITING and not self.stopping.is_set():
                now = time.monotonic()
                if now >= due:
                    due = now + PULSE_SECONDS
                    yield waiting(exchange, request, now - started)
                left = min(exchange.hold_until, exchange.answer_until) - time.monotonic()
                if left <= 0:
                    break
                expiry = (request.expires_at - datetime.now(UTC)).total_seconds()
                # Over by our clock, but the database's decides: it is asked again now and then, not all the time.
                nap = min(left, due - time.monotonic(), expiry + 0.05 if expiry > 0 else REREAD_SECONDS)
                if not await happens(moved, nap) and datetime.now(UTC) < request.expires_at:
                    continue
                moved.clear()
                request = await current(self._house, request, moved)
        exchange.request = request

    def _budget(self, exchange: Exchange) -> float:
        """Return for how many seconds this caller is kept on the line."""
        wait = exchange.connection.wait
        asked = exchange.knobs.wait
        if asked is not None:
            return min(asked, wait.max)
        usual = float(wait.seconds(exchange.caller.kind))
        return usual if exchange.accepts_stream else min(usual, SILENT_SECONDS)

    def unattend(self, exchange: Exchange) -> str:
        """Take this caller off the line; return the approval for which nobody of this process is left on it."""
        left, exchange.attends = exchange.attends, ""
        return left if left and self._house.waiting.unattend(left) else ""

    def let_go(self, exchange: Exchange) -> None:
        """The caller is gone: when nobody else waits for the approval, whoever comes back joins it."""
        if unattended := self.unattend(exchange):
            self._background.run(self._house.waiting.leave(unattended, partial(self._gone, unattended)))

    def _gone(self, approval_id: str) -> None:
        if not self._house.waiting.is_attended(approval_id):  # somebody came back meanwhile
            holding.detach(approval_id, self._house.journal.process_id)

    async def _detach(self, exchange: Exchange) -> None:
        """As `let_go`, committed before the caller hears of it: they may come back at once."""
        if unattended := self.unattend(exchange):
            await in_database(partial(holding.detach, unattended, self._house.journal.process_id))

    def _comes_back(self, exchange: Exchange) -> bool:
        """Say whether the caller, whose answer ends, waits on with another one."""
        is_over = time.monotonic() >= exchange.hold_until
        waits = exchange.request is not None and Status(exchange.request.status) in WAITING
        return waits and not is_over and exchange.answer_until < math.inf and not self.stopping.is_set()

    async def claim(self, exchange: Exchange, hold: Hold) -> Moved | Settled | Permit:
        """Take the approved request for its one execution, judged again under the policy of this moment."""
        try:
            return await self._claimed(exchange, hold)
        except BaseException:  # the caller left, or a step failed: whoever comes back may join
            self.let_go(exchange)
            raise

    async def _claimed(self, exchange: Exchange, hold: Hold) -> Moved | Settled | Permit:
        if exchange.moved or exchange.request is None:
            return await self._not_asked(exchange, hold)
        request = exchange.request
        match Status(request.status):
            case Status.SUPERSEDED:
                exchange.replaces, exchange.approval_id, exchange.call_id = request.id, "", exchange.own_id
                return Moved()
            case Status.APPROVED:
                return await self._claim_approved(exchange, request)
            case Status.PENDING | Status.EXECUTING:
                return await self._pending(exchange, hold, request)
            case Status.EXECUTED | Status.FAILED if request.result is not None:
                return await self._kept(exchange, hold, request)
        return await self._refused(exchange, hold, request)

    async def _not_asked(self, exchange: Exchange, hold: Hold) -> Moved | Settled:
        """No request was opened: the policy moved first, people denied too many, or the key is another call's."""
        if exchange.stopped:
            return await denials.refuse(self._house, exchange, hold, exchange.stopped)
        if not exchange.key_taken:
            return Moved()
        return await self._forwarding.key_taken(exchange, decision(exchange, "hold", hold.rules, hold.would))

    async def _claim_approved(self, exchange: Exchange, request: ApprovalRequest) -> Moved | Settled | Permit:
        before = exchange.tool_digest
        try:
            await self._catalogue.refresh(exchange)
        except CallFailed:
            await self._detach(exchange)
            raise
        verdict = await self._judging.judge(exchange)
        if exchange.tool_digest != before:
            return await self._supersede(exchange, request, "tool")
        if not isinstance(verdict, Hold):
            await self._supersede(exchange, request, "policy")
            if isinstance(verdict, Block):
                return await self._judging.block(exchange, verdict)
            return await self._forwarding.intend(exchange, verdict)
        if verdict.terms.fingerprint != request.rule_fingerprint:
            return await self._supersede(exchange, request, "policy")
        return await self._take(exchange, verdict, request)

    async def _take(self, exchange: Exchange, hold: Hold, request: ApprovalRequest) -> Moved | Settled | Permit:
        """Claim, policy revision check and intent in one transaction; from here on the caller may leave."""
        snapshot = exchange.snapshot
        # Of what is about to be sent, not of what was asked for: the record shows that they are the same.
        digest = await apart(len(exchange.message.raw), partial(call_digest_of, exchange))
        facts = {"approval": request.id, "binding": request.binding, "call": digest}
        intent = self._forwarding.intent(exchange, hold.rules, **facts)

        def work() -> tuple[str, Sequence[Event]]:
            access.require_open(exchange.window)
            token, events = holding.claim(request.id, snapshot)
            return token, [*events, *([intent] if token else [])]

        exchange.committed = True
        permit_until = self._forwarding.permit_until(exchange)
        try:
            token = await self._house.journal.transact(work, revision=snapshot.revision)
        except RevisionMoved:
            exchange.committed = False
            await self._house.refreshed()
            return await self._claim_approved(exchange, request)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
        if token:
            self._house.waiting.hint([request.id])
            return self._forwarding.permit(hold.rules, hold.would, permit_until, claim=token)
        exchange.committed = False
        now = await in_database(partial(read, self._house, request.id))
        if Status(now.status) in TAKEN_BACK:
            return await self._refused(exchange, hold, now)
        return Moved()  # another caller was faster, or the approvers lost their standing: look again

    async def _supersede(self, exchange: Exchange, request: ApprovalRequest, cause: str) -> Moved:
        snapshot = exchange.snapshot
        await self._transact(exchange, lambda: (None, holding.supersede(request, snapshot, cause=cause)))
        self._house.waiting.hint([request.id])
        exchange.replaces, exchange.approval_id = request.id, ""
        exchange.call_id = exchange.own_id  # others may have joined: what each of them does now is a call of its own
        return Moved()

    async def _pending(self, exchange: Exchange, hold: Hold, request: ApprovalRequest) -> Settled:
        """The caller's time is up, not the request's: say how to come back. Nothing was executed.

        That nobody waits any more is committed before the caller hears it: they may come back at once, and join then.
        """
        unattended, process = self.unattend(exchange), self._house.journal.process_id
        return await self._refused(
            exchange, hold, request, (lambda: holding.detach(unattended, process)) if unattended else None
        )

    async def _refused(
        self, exchange: Exchange, hold: Hold, request: ApprovalRequest, also: Callable[[], None] | None = None
    ) -> Settled:
        url = self._house.public_url
        said = await in_database(lambda: request.objection) if request.status in OBJECTED else ""
        shutting = self.stopping.is_set()
        refusal = refusal_of(request, exchange.call_id, url, said, retry_after=RETRY_SECONDS, stopping=shutting)
        made = decision(exchange, "hold", hold.rules, hold.would)
        meta = approval_meta(request, url, refusal.retry_after)
        event = entry(exchange, "call.refused", reason=refusal.reason, executed=refusal.executed)

        def work() -> tuple[None, Sequence[Event]]:
            if also is not None:
                also()
            return None, [event]

        await self._transact(exchange, work)
        receipt = self._house.journal.receipt(exchange.call_id)
        body = replies.refusal(exchange.message, refusal, decision=made, approval=meta, receipt=receipt)
        return Settled(Reply(body))

    async def _kept(self, exchange: Exchange, hold: Hold, request: ApprovalRequest) -> Moved | Settled:
        """Answer from the result that an earlier attempt of the identical call left; nothing runs again.

        It was masked when it was kept; a rule that was added since is obeyed as well.
        """
        event = entry(exchange, "call.repeated", executed=request.executed)

        def work() -> tuple[None, Sequence[Event]]:
            holding.deliver(request.id)
            return None, [event]

        kept = readdressed(kept_view(exchange, bytes(request.result or b"{}")), exchange.message.id)
        try:
            await self._transact(exchange, work, revision=exchange.snapshot.revision)
        except RevisionMoved:
            await self._house.refreshed()
            return Moved()
        exchange.delivers = request.id
        made = decision(exchange, "hold", hold.rules, hold.would)
        meta = approval_meta(request, self._house.public_url)
        body = replies.with_meta(kept, {replies.DECISION: made, replies.APPROVAL: meta})
        return Settled(Reply(body))

    async def _transact(
        self,
        exchange: Exchange,
        work: Callable[[], tuple[None, Sequence[Event]]],
        *,
        revision: int | None = None,
    ) -> None:
        try:
            await self._house.journal.transact(work, revision=revision)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "false") from error
