"""From the pipeline to the wire, whether the caller stays or leaves.

A caller may leave at any moment: a call that waits or that belongs to a modern caller ends then; one that may have
reached the upstream runs to its end, and its result is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from approvals import holding
from masking.engine import MaskingFailed
from proxy import replies
from proxy.faults import CallFailed
from proxy.pipeline import Pulse, Reply
from proxy.polling import ComesBack
from proxy.recording import decision
from proxy.refusals import REASONS, Refusal
from proxy.response import ResponseWriter, send_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    from approvals.waiting import Waiting
    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.refusals import Executed
    from proxy.standing import Standing

    Say = Callable[[Sequence[Reply | Pulse]], Awaitable[None]]

log = logging.getLogger("holdgate.responder")

NOT_ALLOWED = 405


class Service(Protocol):
    """Who answers an exchange: what stands behind the pipeline, or the gateway's own tools."""

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        """Yield what the caller may see, in order; what came together, together."""

    def finished(self, exchange: Exchange) -> None:
        """Forget an exchange, however it ended."""

    def left(self, exchange: Exchange) -> None:
        """Its caller is gone."""


async def pump(exchange: Exchange, service: Service, say: Say) -> None:
    """Let one exchange be answered and hand on what the caller may see; every fault becomes an answer."""
    try:
        async with aclosing(service.run(exchange)) as groups:
            async for group in groups:
                await say(group)
    except CallFailed as failed:
        await say((_fault_reply(exchange, failed),))
    except ComesBack:
        service.left(exchange)
    except MaskingFailed:
        message = "The request could not be masked for the record."
        executed: Executed = "unknown" if exchange.committed else "false"
        refusal = Refusal(reason="masking_failed", executed=executed, message=message, call_id=exchange.call_id)
        await say((_fault_reply(exchange, CallFailed(refusal)),))
    except Exception:
        # A fault of our own. Whether the upstream ran the call is known only if it was not even begun.
        log.exception("call %s failed inside the gateway", exchange.call_id)
        broken = _cut_short(exchange, "policy_unavailable", "The gateway failed; its log says why.")
        await say((_fault_reply(exchange, CallFailed(broken)),))
    finally:
        service.finished(exchange)


class Responder:
    """Answers one POST in the task that serves it; a second one watches for the caller's leaving."""

    def __init__(
        self, service: Service, background: Background, waiting: Waiting, standing: Standing, receive: Any, send: Any
    ) -> None:
        self._service = service
        self._waiting = waiting
        self._standing = standing
        self._background = background
        self._receive = receive
        self._send = send

    async def answer(self, exchange: Exchange) -> None:
        """Run one exchange and answer its caller; without a caller it ends or goes on, as `leave` says."""
        writer = ResponseWriter(exchange, self._send)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - ASGI applications run in tasks
        self._background.keep(task)
        watching = asyncio.ensure_future(self._watch([(exchange, task)]))
        try:
            with self._standing.kept(exchange, task):
                await pump(exchange, self._service, writer.say)
            await writer.end()
        except asyncio.CancelledError:
            if exchange.heard and exchange.is_standing:
                await writer.end()
            elif exchange.heard:  # the server stops and waits no longer; the last that can be said is what is known
                message = "The gateway stopped before the call had its answer."
                stopped = _cut_short(exchange, "shutting_down", message)
                await writer.say((_fault_reply(exchange, CallFailed(stopped)),))
        finally:
            watching.cancel()

    async def answer_batch(self, exchanges: Sequence[Exchange]) -> None:
        """Answer a batch of 2025-03-26: every element is judged alone; the answer waits for the longest."""
        tasks = [self._background.run(self._last(exchange)) for exchange in exchanges]
        watching = asyncio.ensure_future(self._watch(list(zip(exchanges, tasks, strict=True))))
        try:
            bodies = [body for body in await asyncio.gather(*tasks) if body]
        except asyncio.CancelledError:
            if exchanges[0].heard:
                raise
            return
        finally:
            watching.cancel()
        await send_json(self._send, *((200, b"[" + b",".join(bodies) + b"]") if bodies else (202, b"")))
        for exchange in exchanges:
            exchange.handed_over = True

    async def _last(self, exchange: Exchange) -> bytes:
        bodies: list[bytes] = []

        async def say(items: Sequence[Reply | Pulse]) -> None:
            bodies.extend(item.body for item in items if isinstance(item, Reply) and item.final)

        await pump(exchange, self._service, say)
        return bodies[-1] if bodies else b""

    async def _watch(self, running: Sequence[tuple[Exchange, asyncio.Task[Any]]]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        for exchange, task in running:
            leave(exchange, task)
            self._service.left(exchange)
            # Callers often leave the moment they have their answer.
            if exchange.delivers and not exchange.handed_over:
                self._background.run(_undelivered(self._waiting, exchange.delivers))


class Unread:
    """What is to be done when a connection ends and the answers to these exchanges may not have been read."""

    __slots__ = ("_background", "_exchanges", "_waiting")

    def __init__(self, exchanges: Sequence[Exchange], background: Background, waiting: Waiting) -> None:
        self._exchanges = exchanges
        self._background = background
        self._waiting = waiting

    def __bool__(self) -> bool:
        """Whether it matters: the result of a held call was handed over."""
        return any(True for _ in self._delivering())

    def keep(self) -> None:
        """Keep these results for the identical calls: their caller is gone without having read them."""
        for exchange in self._delivering():
            self._background.run(_undelivered(self._waiting, exchange.delivers))

    def doubt(self) -> None:
        """The caller hung up as soon as it had its answer, or could have had it.

        Clients that have read it do so, and clients that gave up at that very moment; nothing tells them apart. Who had
        to send the call again before is one that gives up: its next identical call is taken for a repeat, for a while.
        """
        for exchange in self._delivering():
            if exchange.call_id != exchange.own_id and not exchange.parked:
                self._background.run(self._waiting.leave(exchange.delivers, partial(holding.doubt, exchange.delivers)))

    def _delivering(self) -> Iterator[Exchange]:
        return (exchange for exchange in self._exchanges if exchange.delivers and exchange.handed_over)


def leave(exchange: Exchange, task: asyncio.Task[Any]) -> None:
    """The caller of an exchange is gone: end what may be ended; the rest goes on without them."""
    exchange.heard = False
    goes_on = (
        exchange.committed and not exchange.is_standing and (exchange.approval_id or exchange.message.era != "modern")
    )
    if not goes_on:
        task.cancel()


async def _undelivered(waiting: Waiting, approval_id: str) -> None:
    """The caller left as its result was being handed over: the identical call fetches it."""
    await waiting.leave(approval_id, partial(holding.undeliver, approval_id))


def _cut_short(exchange: Exchange, otherwise: str, message: str) -> Refusal:
    """Refuse a call that the gateway itself ended; `otherwise` is the reason where nothing can have been run."""
    return Refusal(
        reason="outcome_unknown" if exchange.committed else otherwise,
        executed="unknown" if exchange.committed else "false",
        message=message,
        call_id=exchange.call_id,
    )


def _fault_reply(exchange: Exchange, failed: CallFailed) -> Reply:
    """The one place where a fault becomes an answer."""
    refusal = failed.refusal
    made = decision(exchange, "hold" if exchange.approval_id else "allow", ())
    if exchange.message.kind != "request":
        allow = ((b"allow", b"POST, DELETE"),) if failed.status == NOT_ALLOWED else ()
        return Reply(
            orjson.dumps(refusal.fields()), status=failed.status or REASONS[refusal.reason].status, headers=allow
        )
    headers = () if refusal.retry_after is None else (replies.retry_after(refusal.retry_after),)
    if failed.status is not None:
        body = replies.error(exchange.message.id, refusal, decision=made, receipt=failed.receipt)
        return Reply(body, status=failed.status, headers=headers)
    body = replies.refusal(exchange.message, refusal, decision=made, receipt=failed.receipt)
    return Reply(body, headers=headers)
