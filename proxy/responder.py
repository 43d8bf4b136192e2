"""From the pipeline to the wire: JSON when one message answers, a stream of events as soon as there is more to say.

The pipeline runs in a task of its own, for the caller may leave at any moment: a call that waits or that belongs to a
modern caller ends then; one that may have reached the upstream runs to its end, and its result is recorded.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from approvals import holding
from approvals.database import in_database
from masking.engine import MaskingFailed
from proxy import replies, sse
from proxy.faults import CallFailed
from proxy.pipeline import Pulse, Reply, run
from proxy.recording import decision
from proxy.refusals import REASONS, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.background import Background
    from proxy.exchange import Exchange
    from proxy.refusals import Executed
    from proxy.steps import GatewaySteps

log = logging.getLogger("holdgate.responder")

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
# How many messages may wait for a slow caller before the upstream is read no further.
BACKLOG = 16
HTTP_OK = 200

Item = Reply | Pulse | None


async def send_json(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Send one complete answer; an empty body has no content type."""
    fields = [(b"content-length", str(len(body)).encode()), *headers]
    if all(name != b"cache-control" for name, _ in headers):
        fields.append((b"cache-control", b"no-store"))
    if body:
        fields.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


class Running:
    """One exchange on its way through the pipeline, feeding what the caller may see into a bounded queue."""

    def __init__(self, exchange: Exchange, steps: GatewaySteps) -> None:
        self.exchange = exchange
        self._steps = steps
        self._queue: asyncio.Queue[Item] = asyncio.Queue(BACKLOG)
        self._heard = True
        self.handed_over = False  # the answer itself went out
        self.task = asyncio.ensure_future(self._pump())

    async def _pump(self) -> None:
        try:
            async with aclosing(run(self.exchange, self._steps)) as items:
                async for item in items:
                    await self._put(item)
        except CallFailed as failed:
            await self._put(_fault_reply(self.exchange, failed))
        except MaskingFailed:
            message = "The request could not be masked for the record."
            executed: Executed = "unknown" if self.exchange.committed else "false"
            refusal = Refusal(
                reason="masking_failed", executed=executed, message=message, call_id=self.exchange.call_id
            )
            await self._put(_fault_reply(self.exchange, CallFailed(refusal)))
        except Exception:
            # A fault of our own. Whether the upstream ran the call is known only if it was not even begun.
            log.exception("call %s failed inside the gateway", self.exchange.call_id)
            await self._put(_fault_reply(self.exchange, CallFailed(_broken(self.exchange))))
        finally:
            # However it ended: if the entry that says who calls was not committed, the next call brings it.
            self._steps.places.forget(self.exchange)
            await self._put(None)

    async def _put(self, item: Item) -> None:
        if self._heard:
            await self._queue.put(item)

    async def next(self) -> Item:
        """Return the next thing to say, None at the end."""
        return await self._queue.get()

    def waiting(self) -> list[Item]:
        """Return what there is to say already: one write serves it all. None is among it at the end."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    def leave(self) -> bool:
        """The caller is gone: end what may be ended; say whether the call goes on without them."""
        self._heard = self.exchange.heard = False
        while not self._queue.empty():
            self._queue.get_nowait()
        modern = self.exchange.message.era == "modern"
        held = bool(self.exchange.approval_id)
        goes_on = self.exchange.committed and (held or not modern)
        if not goes_on:
            self.task.cancel()
        return goes_on


class Responder:
    """Answers one POST."""

    def __init__(self, steps: GatewaySteps, background: Background, receive: Any, send: Any) -> None:
        self._steps = steps
        self._background = background
        self._receive = receive
        self._send = send

    async def answer(self, exchanges: Sequence[Exchange], *, batch: bool) -> None:
        """Run the exchanges, answer their caller, and see to what goes on when the caller leaves."""
        runs = [Running(exchange, self._steps) for exchange in exchanges]
        for one in runs:
            self._background.keep(one.task)
        answering = asyncio.ensure_future(self._batch(runs) if batch else self._single(runs[0]))
        leaving = asyncio.ensure_future(self._disconnected())
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
                return
            for one in runs:
                one.leave()
                self._undelivered(one)
        finally:
            leaving.cancel()
            answering.cancel()
            await asyncio.gather(leaving, answering, return_exceptions=True)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _single(self, running: Running) -> None:
        exchange = running.exchange
        item = await running.next()
        if exchange.accepts_stream and (_needs_stream(item) or _only_stream(exchange, item)):
            await self._stream([running], item)
        else:
            while item is not None and not (isinstance(item, Reply) and item.final):
                item = await running.next()
            await self._plain(item, _applied(exchange))
            running.handed_over = True

    async def _plain(self, reply: Reply | None, preferences: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if reply is None or not reply.body:
            status, headers = (reply.status, reply.headers) if reply else (202, ())
            await send_json(self._send, status, b"", *headers)
            return
        await send_json(self._send, reply.status, reply.body, *reply.headers, *preferences)

    async def _batch(self, runs: Sequence[Running]) -> None:
        """Answer a batch of 2025-03-26: every element was judged alone; the answer waits for the longest."""
        bodies = [body for body in await asyncio.gather(*(self._last(one) for one in runs)) if body]
        if bodies:
            await send_json(self._send, 200, b"[" + b",".join(bodies) + b"]")
            for one in runs:
                one.handed_over = True
        else:
            await send_json(self._send, 202, b"")

    async def _last(self, running: Running) -> bytes:
        body = b""
        while (item := await running.next()) is not None:
            if isinstance(item, Reply) and item.final:
                body = item.body
        return body

    async def _stream(self, runs: Sequence[Running], item: Item) -> None:
        running = runs[0]
        headers = [*STREAM_HEADERS, *running.exchange.reply_headers, *_applied(running.exchange)]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while item is not None:
            items = [item, *running.waiting()]
            said = [one for one in items if one is not None]
            body = b"".join(map(_framed, said))
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            running.handed_over = isinstance(said[-1], Reply) and said[-1].final
            item = await running.next() if len(said) == len(items) else None
        await self._send({"type": "http.response.body", "body": b""})

    def _undelivered(self, running: Running) -> None:
        """The caller left before the result of a held call reached them: keep it for the identical call."""
        if running.handed_over:
            return  # callers often leave the moment they have their answer
        if approval_id := running.exchange.delivers:
            self._background.run(in_database(lambda: holding.undeliver(approval_id)))


def _applied(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Say that `Prefer: wait` was honoured, where it came and the call was held (RFC 7240 §3)."""
    if exchange.knobs.wait is None or not exchange.approval_id:
        return []
    return [(b"preference-applied", f"wait={exchange.knobs.wait:g}".encode())]


def _needs_stream(item: Item) -> bool:
    return isinstance(item, Pulse) or (isinstance(item, Reply) and (not item.final or item.streamed))


def _only_stream(exchange: Exchange, item: Item) -> bool:
    """A caller that takes nothing but a stream gets even a plain answer as one; errors of HTTP stay what they are."""
    return exchange.accepts == "sse" and isinstance(item, Reply) and item.status == HTTP_OK and bool(item.body)


def _framed(item: Reply | Pulse) -> bytes:
    if isinstance(item, Reply):
        return sse.encode(item.body)
    note = sse.encode(item.progress) if item.progress is not None else b""
    return sse.comment(item.comment) + note


def _broken(exchange: Exchange) -> Refusal:
    return Refusal(
        reason="outcome_unknown" if exchange.committed else "policy_unavailable",
        executed="unknown" if exchange.committed else "false",
        message="The gateway failed; its log says why.",
        call_id=exchange.call_id,
    )


def _fault_reply(exchange: Exchange, failed: CallFailed) -> Reply:
    """The one place where a fault becomes an answer."""
    refusal = failed.refusal
    made = decision(exchange, "hold" if exchange.approval_id else "allow", ())
    if exchange.message.kind != "request":
        return Reply(orjson.dumps(refusal.fields()), status=failed.status or REASONS[refusal.reason].status)
    headers = () if refusal.retry_after is None else (replies.retry_after(refusal.retry_after),)
    if failed.status is not None:
        body = replies.error(exchange.message.id, refusal, decision=made)
        return Reply(body, status=failed.status, headers=headers)
    return Reply(replies.refusal(exchange.message, refusal, decision=made), headers=headers)
