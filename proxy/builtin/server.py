"""Answers at `/mcp/gateway`: the same door, the same record and masking as a call, and no upstream behind it.

The rules of the configuration do not govern it, so that no rule can take away the way to ask about rules. Every request
is recorded before it is answered; whoever leaves ends it, unless it asks people for something.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from django.conf import settings

from approvals.config.schema import BUILT_IN, Connection
from approvals.database import in_database
from approvals.states import Status
from approvals.verdicts import Allow, Block
from proxy import replies
from proxy.builtin import asked
from proxy.builtin.pace import Pace
from proxy.builtin.question import Mistaken, Question
from proxy.builtin.shapes import LONGEST_WAIT, Awaited
from proxy.builtin.tools import TOOLS
from proxy.crowd import FULL
from proxy.errors import Fault
from proxy.faults import record_unavailable
from proxy.forwarding import Ending
from proxy.judging import NO_ACCESS, is_known
from proxy.mcp import MODERN
from proxy.pipeline import MAX_JUDGEMENTS, Moved, Pulse, Reply, Settled
from proxy.recording import decision, mask_large_request
from proxy.refusals import Refusal
from sessions.journal import RecordUnavailable, RecordUncertain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from approvals.models import ApprovalRequest
    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.counts import Counts
    from proxy.exchange import Exchange, Permit
    from proxy.refusals import Executed
    from proxy.steps import GatewaySteps

# Nothing is ever sent there: what the entries and timers of a call need to know of its connection.
CONNECTION = Connection(url=f"http://{BUILT_IN}.invalid/mcp", default="allow", timeout=LONGEST_WAIT, max_body=1 << 20)
METHODS = frozenset({"initialize", "ping", "server/discover", "tools/list", "tools/call"})
INSTRUCTIONS = (
    "Holdgate stands before the MCP servers that you use. Some calls are held until people approve them. These tools "
    "say what you may call, what became of your requests, and why; they never run a call of another connection."
)


class _Refused(Fault):
    """The tool does not answer this; what was asked had no effect."""

    reason: ClassVar[str] = "invalid_request"
    executed: Executed = "false"


class _Crowded(_Refused):
    reason: ClassVar[str] = "rate_limited"


class _Forbidden(_Refused):
    reason: ClassVar[str] = "forbidden"


_REFUSALS = {one.reason: one for one in (_Refused, _Crowded, _Forbidden)}


class BuiltIn:
    """The gateway's own MCP server; one per process. Shares the steps that judge, record and mask with every call."""

    def __init__(self, house: Runtime, steps: GatewaySteps, background: Background, counts: Counts) -> None:
        self._house = house
        self._steps = steps
        self._background = background
        self._counts = counts
        self._pace = Pace()

    async def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        """Answer one message; a notification at most ends a wait."""
        if exchange.message.kind != "request":
            self._steps.asking.cancelling.note(exchange)
            return
        if seconds := self._pace.ask(exchange.actor, time.monotonic()):
            yield (self._too_fast(exchange, seconds),)
            return
        for _ in range(MAX_JUDGEMENTS):
            await mask_large_request(exchange)
            verdict = await _judge(exchange, self._house)
            if isinstance(verdict, Block):
                outcome: Moved | Settled | Permit = await self._steps.block(exchange, verdict)
            else:
                outcome = await self._steps.intend(exchange, verdict)
            if isinstance(outcome, Moved):
                continue
            if isinstance(outcome, Settled):
                yield (outcome.reply,)
                return
            async with aclosing(self._answered(exchange, outcome)) as groups:
                async for group in groups:
                    yield group
            return
        yield ((await self._steps.unsettled(exchange)).reply,)

    def finished(self, exchange: Exchange) -> None:
        """Forget an exchange, however it ended."""
        self._steps.places.forget(exchange)
        self._steps.crowd.leave(exchange)

    def left(self, exchange: Exchange) -> None:
        """Nobody can join what waits here, so there is nothing to let go."""

    async def _answered(self, exchange: Exchange, permit: Permit) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        """Answer what was recorded. A caller who leaves meanwhile is noted as that."""
        tool = TOOLS.get(exchange.message.name or "")
        effect = tool is not None and not tool.reads_only
        exchange.committed = effect
        try:
            async with aclosing(self._body(exchange)) as items:
                async for item in items:
                    if isinstance(item, Pulse):
                        yield (item,)
                    else:
                        yield await self._steps.release(exchange, permit, (item,))
        except Mistaken as mistake:
            refused = _REFUSALS[mistake.reason](str(mistake))
            raise await self._steps.forwarding.failed(exchange, permit, refused) from mistake
        except RecordUnavailable as error:
            unknown = isinstance(error, RecordUncertain)
            raise record_unavailable(exchange.call_id, "unknown" if unknown else "false") from error
        except (asyncio.CancelledError, GeneratorExit):
            if not exchange.answered:
                ending = Ending("call.cancelled", "unknown" if effect else "false", b"", Status.FAILED)
                self._background.run(self._steps.forwarding.end(exchange, permit, ending))
            raise

    async def _body(self, exchange: Exchange) -> AsyncGenerator[Pulse | bytes]:
        """Yield signs of life while it is waited, and then the answer."""
        message = exchange.message
        if message.method != "tools/call":
            yield replies.result(message.id, _protocol(exchange), era=message.era)
            return
        tool = TOOLS[message.name or ""]
        given = tool.read(message.arguments)
        question = Question(caller=exchange.caller, snapshot=exchange.snapshot, house=self._house)
        if isinstance(given, Awaited):
            request = await in_database(partial(asked.own, question, given.approval_id))
            began = time.monotonic()
            with self._pace.waiting(exchange.actor):
                async with aclosing(self._waiting(exchange, request, given.seconds)) as pulses:
                    async for pulse in pulses:
                        yield pulse
            question = replace(question, waited=time.monotonic() - began)
        exchange.output = tool.output
        said = (await in_database(partial(tool.answer, question, given))).model_dump(mode="json")
        content = [{"type": "text", "text": orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()}]
        yield replies.result(message.id, {"content": content, "structuredContent": said}, era=message.era)

    async def _waiting(self, exchange: Exchange, request: ApprovalRequest, seconds: int) -> AsyncGenerator[Pulse]:
        if not self._steps.crowd.admit(exchange):
            raise Mistaken(FULL, "rate_limited")
        exchange.hold_until = time.monotonic() + seconds
        async with aclosing(self._steps.asking.until_decided(exchange, request)) as pulses:
            async for pulse in pulses:
                yield pulse

    def _too_fast(self, exchange: Exchange, seconds: float) -> Reply:
        """Refuse a question that comes too soon; counted, and not recorded one by one."""
        self._counts.add("rate_limited", BUILT_IN)
        refusal = Refusal(
            reason="rate_limited",
            executed="false",
            message="You ask the gateway's own tools too often.",
            call_id=exchange.call_id,
            retry_after=round(seconds, 1),
        )
        body = replies.refusal(exchange.message, refusal, decision=decision(exchange, "deny", ()))
        return Reply(body, headers=(replies.retry_after(seconds),))


async def _judge(exchange: Exchange, house: Runtime) -> Allow | Block:
    """Let in whom an issuer vouches for under the policy in force; refuse what this server does not have."""
    exchange.snapshot = house.policies.current
    message = exchange.message
    if not await is_known(exchange, exchange.snapshot):
        return NO_ACCESS
    if message.method not in METHODS:
        return Block(message="The method is unknown here.", by="default")
    if message.method == "tools/call" and message.name not in TOOLS:
        return Block(message="The server has no tool of that name.", by="tool")
    return Allow()


def _protocol(exchange: Exchange) -> Mapping[str, Any]:
    """Return the result of a request that is about the protocol itself."""
    message = exchange.message
    about = {
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "holdgate", "title": "Holdgate", "version": settings.BUILD},
        "instructions": INSTRUCTIONS,
    }
    fresh = {"ttlMs": 0, "cacheScope": "private"} if message.era == "modern" else {}
    match message.method:
        case "initialize":
            return {"protocolVersion": message.version, **about}
        case "server/discover":
            return {"supportedVersions": list(MODERN), **fresh, **about}
        case "tools/list":
            return {"tools": [tool.definition for tool in TOOLS.values()], **fresh}
    return {}
