"""One call, from wire to wire. Read this file first.

`run` is the only way through the house. A call is judged; people are asked where the policy says so; its intent is
committed to the record; only then is it forwarded, and each answer is masked and recorded before it is released.
Refusals are values. Faults are exceptions; `proxy.endpoint` turns them into an error in one place.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from approvals.verdicts import Allow, Block, Hold

if TYPE_CHECKING:
    from approvals.verdicts import Verdict
    from proxy.exchange import Exchange, Permit

# How often a policy may move under one call before the call is refused.
MAX_JUDGEMENTS = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """One JSON-RPC message for the caller, masked and recorded. The final one answers the request."""

    body: bytes
    final: bool = True
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()
    streamed: bool = False
    event_id: str = ""  # from where its stream goes on for a caller who lost it


@dataclass(frozen=True, slots=True)
class Pulse:
    """A sign of life while people decide: a comment, and a progress notification where the caller asked for one."""

    comment: str
    progress: bytes | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """The policy, the tool or the request changed under the call: it must be judged again."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The call ends here: refused, or answered from what an earlier attempt left. The answer is recorded."""

    reply: Reply


class Steps(Protocol):
    """What the pipeline does at each step. The real ones are wired in one place; tests pass a small fake."""

    async def judge(self, exchange: Exchange) -> Verdict: ...
    async def block(self, exchange: Exchange, block: Block) -> Moved | Settled: ...
    def wait(self, exchange: Exchange, hold: Hold) -> AsyncIterator[Pulse | Reply]: ...
    async def claim(self, exchange: Exchange, hold: Hold) -> Moved | Settled | Permit: ...
    async def intend(self, exchange: Exchange, allow: Allow) -> Moved | Settled | Permit: ...
    async def unsettled(self, exchange: Exchange) -> Settled: ...
    def forward(self, exchange: Exchange, permit: Permit) -> AsyncGenerator[Sequence[bytes]]: ...
    async def release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply | Pulse]: ...


async def run(exchange: Exchange, steps: Steps) -> AsyncGenerator[Sequence[Reply | Pulse]]:
    """Take one call through the house and yield what the caller may see, in order; what came together, together.

    Raises the faults of `proxy.errors` when a step cannot be done; nothing was released then that was not recorded.
    """
    for _ in range(MAX_JUDGEMENTS):
        outcome: Moved | Settled | Permit
        verdict = await steps.judge(exchange)
        match verdict:
            case Block():
                outcome = await steps.block(exchange, verdict)
            case Hold():
                async for pulse in steps.wait(exchange, verdict):
                    yield (pulse,)
                outcome = await steps.claim(exchange, verdict)
            case Allow():
                outcome = await steps.intend(exchange, verdict)
        if isinstance(outcome, Moved):
            continue
        if isinstance(outcome, Settled):
            yield (outcome.reply,)
            return
        async with aclosing(steps.forward(exchange, outcome)) as groups:
            async for group in groups:
                if replies := await steps.release(exchange, outcome, group):
                    yield replies
        return
    yield ((await steps.unsettled(exchange)).reply,)
