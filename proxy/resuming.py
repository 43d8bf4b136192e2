"""Taking up the stream of a call where its caller lost it (2025-11-25, "Resumability and Redelivery").

The record is what is read from: every message of a call is in it, masked, before the caller saw it, and the call goes
on without its caller. So any process can tell the rest, as long as the record holds it. What comes is the record's
view, which excepts nobody from masking, masked once more by the rules of now.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from approvals.database import in_database
from approvals.verdicts import Block
from masking import documents
from proxy import handles, replies
from proxy.answers import readdressed
from proxy.pipeline import Pulse, Reply, Settled
from proxy.recording import entry, kept_view
from proxy.refusals import REASONS, Refusal
from proxy.standing import PULSE_SECONDS
from sessions.events import ENDS, INTENT
from sessions.selectors import RecordedEntry, entries_of_call

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from approvals.runtime import Runtime
    from proxy.exchange import Exchange
    from proxy.refusals import Executed
    from proxy.server_requests import ServerRequests
    from proxy.steps import GatewaySteps

LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class _Call:
    """What the record has of a call: its messages in order, its request, and how it ended, if it did."""

    messages: Sequence[bytes]
    request: Mapping[str, Any]
    intent: Mapping[str, Any]
    end: RecordedEntry | None


class Resuming:
    """Tells callers the rest of their streams; one per process."""

    def __init__(self, house: Runtime, steps: GatewaySteps, server_requests: ServerRequests) -> None:
        self._house = house
        self._steps = steps
        self._server_requests = server_requests

    async def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        """Yield what the call said after the place that its caller knows, until it has ended."""
        verdict = await self._steps.judge(exchange)
        if isinstance(verdict, Block):
            outcome = await self._steps.block(exchange, verdict)
            if isinstance(outcome, Settled):
                yield (outcome.reply,)
            return
        assert exchange.resumes is not None  # noqa: S101 - whoever comes here brought the place
        call_id, told = exchange.resumes
        await self._house.journal.append(*exchange.opening, entry(exchange, "stream.resumed", of=call_id))
        exchange.opening = ()
        yield (Pulse("the stream goes on"),)
        async with aclosing(self._grown(call_id, told)) as grown:
            async for call in grown:
                if call is None:
                    yield (Pulse("the stream goes on"),)
                    continue
                rest = enumerate(call.messages[told:], told + 1)
                found = [self._note(exchange, call_id, number, one) for number, one in rest]
                told = len(call.messages)
                last = () if call.end is None else (self._last(exchange, call_id, call),)
                if told_now := [*(reply for reply in found if reply is not None), *last]:
                    yield told_now

    async def _grown(self, call_id: str, told: int) -> AsyncGenerator[_Call | None]:
        """Yield the call whenever the record has more of it, up to its end; None after a while without more."""
        silent = 0.0
        while True:
            call = await in_database(lambda: _read(call_id))
            if call is None:
                return
            if call.end is not None or len(call.messages) > told:
                told, silent = len(call.messages), 0.0
                yield call
            if call.end is not None:
                return
            await asyncio.sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            if silent >= PULSE_SECONDS:
                silent = 0.0
                yield None

    def _note(self, exchange: Exchange, call_id: str, number: int, recorded: bytes) -> Reply | None:
        body = replies.without_ours(kept_view(exchange, recorded))
        content = orjson.loads(body)
        if "id" in content and "method" in content:
            handle = self._server_requests.handle(exchange, content)
            if handle is None:
                return None
            body = readdressed(body, handle)
        place = handles.give("call", [call_id, number], handles.holder_of(exchange))
        return Reply(body, final=False, event_id=place)

    def _last(self, exchange: Exchange, call_id: str, call: _Call) -> Reply:
        """Return what ended the call: the upstream's answer, or why there is none."""
        assert call.end is not None  # noqa: S101 - asked only then
        facts = call.end.leaf.facts
        made = {
            "call_id": call_id,
            "verdict": str(call.intent.get("verdict", "allow")),
            "rules": call.intent.get("rules", []),
        }
        answer = call.end.payloads.get("answer")
        if answer is not None:
            body = replies.with_meta(kept_view(exchange, answer), {replies.DECISION: made})
            return Reply(body, streamed=True)
        reason = str(facts.get("reason") or "outcome_unknown")
        refusal = Refusal(
            reason=reason if reason in REASONS else "outcome_unknown",
            executed=_executed(facts.get("executed")),
            message="The call ended without an answer that could be kept.",
            call_id=call_id,
        )
        request_id = call.request.get("id")
        if call.request.get("method") == "tools/call":
            return Reply(replies.tool_refusal(request_id, refusal, era="legacy", decision=made), streamed=True)
        return Reply(replies.error(request_id, refusal, decision=made), streamed=True)

    def finished(self, exchange: Exchange) -> None:
        """Forget an exchange."""
        self._steps.finished(exchange)

    def left(self, exchange: Exchange) -> None:
        """Its caller is gone; nothing waits for them here."""


def _executed(fact: Any) -> Executed:
    return "true" if fact == "true" else "false" if fact == "false" else "unknown"


def _read(call_id: str) -> _Call | None:
    """Return what the record has of a call that was begun, or None."""
    entries = entries_of_call(call_id)
    intent = next((one for one in entries if one.leaf.kind == INTENT), None)
    if intent is None:
        return None
    messages: list[bytes] = []
    for one in entries:
        if one.leaf.kind == "call.message" and "messages" in one.payloads:
            messages += map(documents.write, documents.read(one.payloads["messages"].decode("utf-8"))[0])
    request = orjson.loads(intent.payloads.get("request", b"{}"))
    end = next((one for one in entries if one.leaf.kind in ENDS), None)
    return _Call(messages, request, intent.leaf.facts, end)
