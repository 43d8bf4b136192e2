"""The way back: each message of the upstream is masked and recorded before its caller may see a byte of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from approvals.catalogue.definitions import digest_of
from approvals.config.schema import BUILT_IN
from approvals.outlet import counts, together
from approvals.states import Status
from approvals.verdicts import Block
from masking.documents import Unreadable
from masking.engine import MaskingFailed
from proxy import handles, replies, rounds, strictjson, tasks
from proxy.answers import LISTS, Kind, classify, private, readdressed, served_list
from proxy.catalogue import is_pinned
from proxy.errors import AccessEnded, Fault, MaskingBroken, UpstreamInvalid
from proxy.faults import record_unavailable
from proxy.forwarding import Ending
from proxy.judging import is_known
from proxy.large import masked_apart
from proxy.pipeline import Pulse, Reply
from proxy.recording import answer_commitment, approval_meta, decision, entry, outlet_of
from proxy.task_owners import TaskOwners
from sessions.journal import RecordUnavailable, RevisionMoved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from approvals.outlet import Outlet, Seen
    from approvals.runtime import Runtime
    from masking.seams import Channel, Note
    from proxy.answers import Visible
    from proxy.catalogue import Catalogue
    from proxy.exchange import Exchange, Permit
    from proxy.forwarding import Forwarding
    from proxy.judging import Judging
    from proxy.refusals import Executed
    from proxy.server_requests import ServerRequests
    from sessions.events import Event


SERVER_ERROR = 500
Heard = tuple[bytes, dict[str, Any]]
DIFFERS = frozenset({*LISTS, "resources/read"})  # from caller to caller
DEEPEST = 200


class Releasing:
    """Masks, records and releases; one per process."""

    def __init__(
        self,
        house: Runtime,
        forwarding: Forwarding,
        catalogue: Catalogue,
        server_requests: ServerRequests,
        judging: Judging,
    ) -> None:
        self._house = house
        self._forwarding = forwarding
        self._catalogue = catalogue
        self._server_requests = server_requests
        self._tasks = TaskOwners()
        self._judging = judging

    async def release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply | Pulse]:
        """Return what the caller may see of these messages, after it was recorded.

        An empty group says that a stream begins, or goes on in silence.

        Raises CallFailed when a message cannot be masked or read, or asks too much; the record has that failure then.
        """
        try:
            await self._check_standing(exchange)
            told = await self._release(exchange, permit, group) if group or len(exchange.notes) else ()
            marked = [_marked(exchange, reply) for reply in told]
            return marked if group else [*marked, *_silence(exchange)]
        except MaskingFailed as error:
            broken = MaskingBroken(f"The upstream's answer is withheld: {error}.")
            raise await self._forwarding.failed(exchange, permit, broken) from error
        except (ValueError, Unreadable, replies.NotAMessage) as error:
            fault = UpstreamInvalid("The upstream sent something that is not one JSON-RPC message.")
            raise await self._forwarding.failed(exchange, permit, fault) from error
        except Fault as fault:
            raise await self._forwarding.failed(exchange, permit, fault) from fault

    async def _release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply]:
        """Mask, record and return a group; when the policy moved meanwhile, mask it again by the new one."""
        heard, answer, asked = self._sorted(exchange, group)
        answer = answer if answer is None else await self._tasks.settled(exchange, answer)
        waited = len(exchange.notes)
        # A server waits for what it asks, and a stream that stands or is silent has no end: there nothing is kept back.
        ends = answer is not None or bool(asked) or exchange.is_standing or not group
        notes, before = exchange.notes.take(heard, ends=ends)
        if answer is not None and exchange.message.method == "tools/list":
            await self._catalogue.compare(exchange, answer)
        while True:
            outlet = await self._outlet(exchange)
            seen = await masked_apart(
                sum(len(note.body) for note in notes), partial(_seen_notes, exchange, outlet, notes, before)
            )
            events = [_messages(exchange, seen, answer_commitment(*(note.body for note in notes)))] if seen else []
            told = [
                Reply(_addressed(exchange, one.body, asked.get(number - waited)), final=False)
                for number, one in enumerate(seen)
            ]
            try:
                if answer is not None:
                    told.append(await self._answer(exchange, permit, outlet, answer, events))
                elif events:
                    await self._record(exchange, events)
            except RevisionMoved:
                exchange.snapshot = await self._house.policies.refreshed()
                continue
            return told

    async def _check_standing(self, exchange: Exchange) -> None:
        """End a standing stream whose caller lost access since the policy moved. Raises AccessEnded."""
        moved = exchange.is_standing and self._house.policies.current.revision > exchange.snapshot.revision
        if moved and isinstance(await self._judging.judge(exchange), Block):
            raise AccessEnded("The access on which this stream rested has ended.", executed="true")

    def _sorted(self, exchange: Exchange, group: Sequence[bytes]) -> tuple[list[Heard], bytes | None, dict[int, str]]:
        """Return the notes of a group, each with its content, its answer, which ends it, and handles of requests.

        Requests that the caller may not be asked are answered here. Raises NotAllowedToAsk.
        """
        notes: list[Heard] = []
        asked: dict[int, str] = {}
        for message in group:
            if _too_deep(message):
                raise MaskingFailed("deeper than can be masked")
            kind, content = classify(message, exchange.message.id)
            exchange.raw_answer = message
            if (known := tasks.sealed(exchange, content, message)) != message:
                message, (_, content) = known, classify(known, exchange.message.id)
            if kind is Kind.ANSWER and exchange.message.kind == "request":
                exchange.failed = "error" in content
                return notes, rounds.sealed(exchange, content, message), asked
            if kind is Kind.REQUEST:
                if (handle := self._server_requests.handle(exchange, content)) is not None:
                    asked[len(notes)] = handle
                    notes.append((message, content))
            elif kind is Kind.NOTIFICATION:
                if content["method"] == "notifications/tools/list_changed":
                    self._catalogue.forget(exchange.connection_name)
                message, content = rounds.unasked(exchange, content, message)
                notes.append((message, content))
        return notes, None, asked

    async def _record(self, exchange: Exchange, events: Sequence[Event]) -> None:
        try:
            await self._house.journal.append(*events, revision=exchange.snapshot.revision)
        except RecordUnavailable as error:
            raise record_unavailable(exchange.call_id, "unknown") from error

    async def _outlet(self, exchange: Exchange) -> Outlet:
        """Return the outlet under the policy in force now: a changed rule governs the next message of a stream.

        So does a changed group: whom the rules except is asked anew. Who is no longer known is excepted from nothing.
        """
        current = self._house.policies.current
        if current.revision > exchange.snapshot.revision:
            exchange.snapshot = current
        if not await is_known(exchange, exchange.snapshot):
            exchange.caller = exchange.caller.with_groups(frozenset())
        return outlet_of(exchange)

    async def _answer(
        self, exchange: Exchange, permit: Permit, outlet: Outlet, answer: bytes, events: Sequence[Event]
    ) -> Reply:
        """Mask the answer and record it, with the notes that came with it. Raises RevisionMoved."""
        visible = self._is_visible(exchange)
        body, ending = await masked_apart(len(answer), partial(_masked_answer, exchange, outlet, answer, visible))
        kept = await self._forwarding.end(exchange, permit, ending, *events, revision=exchange.snapshot.revision)
        return Reply(
            self._with_meta(exchange, permit, body, Status.EXECUTED if kept else Status.OUTCOME_UNKNOWN),
            status=exchange.status,
            headers=exchange.reply_headers,
            streamed=exchange.streamed,
        )

    def _is_visible(self, exchange: Exchange) -> Visible:
        """Return what says of one entry of a list whether this caller may see it: access, rules, accepted tools."""
        policy, caller, connection = exchange.snapshot.policy, exchange.caller, exchange.connection_name
        pins = None if exchange.connection.observing(time.time()) or not is_pinned(exchange) else self._house.pins

        def visible(name: str, method: str, one: Any) -> bool:
            is_held = method == "tools/call" and pins is not None and pins.holds_back(connection, name, digest_of(one))
            return not is_held and policy.visible(caller, connection, name, method)

        return visible

    def _with_meta(self, exchange: Exchange, permit: Permit, body: bytes, status: Status) -> bytes:
        """Add the decision to an answer of a governed call; other answers only lose what the upstream forged."""
        if not exchange.is_governed:
            return replies.without_ours(body)
        verdict = "hold" if permit.claim else "allow"
        meta = {replies.DECISION: decision(exchange, verdict, permit.rules, permit.would)}
        if permit.claim and exchange.request is not None:
            exchange.request.status = status.value
            meta[replies.APPROVAL] = approval_meta(exchange.request, self._house.public_url)
        if (receipt := self._house.journal.receipt(exchange.call_id)) is not None:
            meta[replies.RECEIPT] = receipt
        return replies.with_meta(body, meta)


def _silence(exchange: Exchange) -> Sequence[Reply | Pulse]:
    """Return what opens a stream that can be taken up again, or keeps one alive."""
    if exchange.is_resumable and not exchange.told and not exchange.is_paused:
        return (Reply(b"", final=False, event_id=handles.place(exchange, 0)),)
    return (Pulse("the stream goes on"),)


def _marked(exchange: Exchange, reply: Reply) -> Reply:
    """Return a message with the handle of its place in the stream, where there is one."""
    if exchange.is_resumable:
        exchange.told += 1
        return replace(reply, event_id=handles.place(exchange, exchange.told))
    if exchange.message.kind == "stream" and exchange.event_id is not None:
        place = handles.give("event", exchange.event_id, handles.holder_of(exchange))
        return replace(reply, event_id=place)
    return reply


def _addressed(exchange: Exchange, body: bytes, handle: str | None) -> bytes:
    """Return a note for its caller: progress counts on from ours, a request has a handle for its id."""
    return readdressed(body, handle) if handle is not None else replies.offset_progress(body, exchange.pulses)


def _seen_notes(exchange: Exchange, outlet: Outlet, notes: Sequence[Note], before: Mapping[Channel, str]) -> list[Seen]:
    """Return each note as its caller may see it, and as it may be written down."""
    seen = outlet.stream(notes, before, schema=exchange.output)
    return [replace(one, body=replies.without_ours(one.body)) for one in seen]


def _masked_answer(exchange: Exchange, outlet: Outlet, message: bytes, visible: Visible) -> tuple[bytes, Ending]:
    """Return the caller's view of the answer, and the ending that holds the record's view."""
    exchange.answer_digest = answer_commitment(exchange.raw_answer)
    if exchange.connection_name != BUILT_IN and exchange.message.method in DIFFERS:
        message = private(message)
    if exchange.message.method in LISTS and exchange.connection_name != BUILT_IN:
        message = served_list(message, exchange.message.method, visible, outlet.caller_view)
    seen = outlet.both(message, schema=exchange.output)
    executed, status = _outcome(exchange)
    ending = Ending(
        kind="call.result",
        executed=executed,
        # Kept for callers that come back: written down, so it is the view that excepts nobody.
        answer=bytes(seen.recorded),
        status=status,
        payloads={"answer": seen.recorded},
        masked=tuple(counts(seen.hits)),
        exposed=tuple(counts(seen.exposed)),
    )
    return seen.body, ending


def _outcome(exchange: Exchange) -> tuple[Executed, Status]:
    """Return whether the upstream ran the call, and what becomes of the request that held it."""
    if exchange.status >= SERVER_ERROR:
        # A server error that speaks JSON-RPC says nothing of what the server had done before.
        return "unknown", Status.OUTCOME_UNKNOWN
    return "true", Status.FAILED if exchange.failed else Status.EXECUTED


def _messages(exchange: Exchange, seen: Sequence[Seen], upstream: str) -> Event:
    """Return the entry of messages that came together: one payload, so that a leaf holds any number of them.

    `upstream` is the commitment to what they were before they were masked.
    """
    payloads = {"messages": together([one.recorded for one in seen])}
    masked, exposed = Counter[str](), Counter[str]()
    for one in seen:
        masked.update(one.hits)
        exposed.update(one.exposed)
    facts: dict[str, Any] = {name: counts(found) for name, found in (("masked", masked), ("exposed", exposed)) if found}
    return entry(exchange, "call.message", payloads=payloads, messages=len(seen), upstream=upstream, **facts)


def _too_deep(message: bytes) -> bool:
    """Say whether the message nests deeper than masking follows; counted only where it could."""
    return message.count(b"[") + message.count(b"{") > DEEPEST and strictjson.is_deeper(message, DEEPEST)
