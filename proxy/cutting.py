"""Cutting off a call that runs: no more of its answer is taken, and its server hears that it was cancelled."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import orjson

from proxy.errors import AccessEnded, Fault
from sessions.events import Event
from sessions.ids import uuid7

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from approvals.runtime import Runtime
    from proxy.exchange import Exchange
    from proxy.transport import Transport

T = TypeVar("T")

METHOD = "notifications/cancelled"
BEFORE = "The access on which this call rested ended before it was sent."
WHILE = "The access on which this call rested ended while it ran."
# Seconds after which a notification without an end counts as interrupted.
RECOVER_AFTER = 60.0


async def until(ended: asyncio.Event, groups: AsyncGenerator[Sequence[bytes]]) -> AsyncGenerator[Sequence[bytes]]:
    """Yield what comes until the event is set. Raises AccessEnded then; what had come before is still given."""
    if ended.is_set():
        await groups.aclose()
        raise AccessEnded(BEFORE, executed="false")
    come: asyncio.Queue[Sequence[bytes] | Exception | None] = asyncio.Queue(1)
    # One task reads it all: time limits inside of it belong to the task that began them.
    reading, over = asyncio.ensure_future(read_into(come, groups)), asyncio.ensure_future(ended.wait())
    try:
        while True:
            taking = asyncio.ensure_future(come.get())
            await asyncio.wait({taking, over}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                taking.cancel()
                raise AccessEnded(WHILE)
            found = taking.result()
            if isinstance(found, Exception):
                raise found
            if found is None:
                return
            yield found
    finally:
        for task in (over, reading):
            task.cancel()
        await asyncio.gather(over, reading, return_exceptions=True)


async def read_into(come: asyncio.Queue[T | Exception | None], groups: AsyncGenerator[T]) -> None:
    """Put into the queue what comes, then None or what went wrong."""
    try:
        async with aclosing(groups):
            async for group in groups:
                await come.put(group)
    except Exception as error:  # noqa: BLE001 - whatever it was, the reader of the queue raises it
        await come.put(error)
    else:
        await come.put(None)


class Cancelling:
    """Tells servers that a call was cancelled; one per process."""

    def __init__(self, house: Runtime, transport: Transport) -> None:
        self._house = house
        self._transport = transport

    async def tell(self, exchange: Exchange) -> None:
        """Send the notification of the legacy era, recorded as all that is sent; a modern call ends with its stream.

        A server that does not take it is not asked again. Raises RecordUnavailable; nothing is sent then.
        """
        if exchange.message.era == "modern" or exchange.message.kind != "request":
            return
        params = {"requestId": exchange.message.id, "reason": WHILE}
        body = orjson.dumps({"jsonrpc": "2.0", "method": METHOD, "params": params})
        call_id = uuid7()
        await self._record(exchange, call_id, "call.intent", RECOVER_AFTER)
        try:
            async for _ in self._transport.ask(exchange, body, method=METHOD):
                pass
        except Fault as fault:
            await self._record(exchange, call_id, "call.failed", executed=fault.executed, reason=fault.reason)
        else:
            await self._record(exchange, call_id, "call.result", executed="true")

    async def _record(
        self, exchange: Exchange, call_id: str, kind: str, after: float | None = None, **facts: str
    ) -> None:
        await self._house.journal.append(
            Event(
                kind=kind,
                call_id=call_id,
                connection=exchange.connection_name,
                method=METHOD,
                policy_revision=exchange.snapshot.revision,
                policy_digest=exchange.snapshot.digest,
                facts={"by": "gateway", "for": exchange.call_id, **facts},
                recover_after=after,
            )
        )
