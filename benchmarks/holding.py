"""One held call, as its caller and its approver see it. Used by the load."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from benchmarks import messages
from benchmarks.wire import Connection

_APPROVAL = re.compile(rb"approval ([0-9a-f-]{36})")


@dataclass
class Held:
    """One held call: its approval, when its answer began to come, and when it had come.

    Moments are of the wall clock, which is the database's too.
    """

    connection: Connection
    number: int
    approval: str = ""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Task[tuple[int, bytes]] | None = None
    decided: bool = False
    first_on: float = 0.0
    answered_on: float = 0.0

    def heard(self, chunk: bytes) -> None:
        """Note the approval that the first sign of life names, and the first byte after the decision."""
        if not self.approval and (found := _APPROVAL.search(chunk)):
            self.approval = found.group(1).decode()
            self.opened.set()
        elif self.decided and not self.first_on:
            self.first_on = time.time()


async def waiting(held: Held, port: int, path: str, authorization: str) -> None:
    """Call, and return as soon as the caller has heard that it waits. Raises AssertionError when it does not."""
    request = messages.request(port, path, messages.call(held.number), authorization=authorization)
    held.answered = asyncio.create_task(_answer(held, request))
    opened = asyncio.create_task(held.opened.wait())
    await asyncio.wait({held.answered, opened}, return_when=asyncio.FIRST_COMPLETED)
    opened.cancel()
    assert held.approval, held.answered.result()


async def _answer(held: Held, request: bytes) -> tuple[int, bytes]:
    answer = await held.connection.ask(request, held.heard)
    held.answered_on = time.time()
    return answer


async def decide_one(connection: Connection, port: int, held: Held, authorization: str) -> float:
    """Approve this held call and return the moment of the decision, as the database dates it."""
    body = orjson.dumps({"decision": "approve"})
    head = (
        f"POST /api/v1/approvals/{held.approval}/decide/ HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        f"content-type: application/json\r\nauthorization: {authorization}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    held.decided = True
    status, answer = await connection.ask(head.encode() + body)
    assert status == 200, (status, answer[:300])
    return datetime.fromisoformat(orjson.loads(answer)["decided_at"]).timestamp()


def last_event(body: bytes) -> bytes:
    """Return the last message of a stream of events."""
    return [line[6:] for line in body.splitlines() if line.startswith(b"data: ")][-1]
