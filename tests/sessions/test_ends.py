"""A call has one end: what another process, or another job, said before it stands."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sessions import leaf as leaves
from sessions.events import Event
from sessions.journal import Journal
from sessions.models import Entry, OpenCall
from tests.record import Gate, running

INTENT, MESSAGE = Event(kind="call.intent", call_id="a"), Event(kind="call.message", call_id="a")


def stored() -> list[leaves.Leaf]:
    rows = Entry.objects.exclude(call_id="").order_by("id").values_list("leaf", flat=True)
    return [leaves.decode(bytes(leaf)) for leaf in rows]


@pytest.mark.promise("nothing-lost")
def test_what_comes_after_another_process_ended_the_call_is_late_and_no_second_end(journal: Journal) -> None:
    unknown, result = (
        Event(kind="call.unknown", call_id="a"),
        Event(kind="call.result", call_id="a", facts={"status": 200}),
    )
    journal.append_now(INTENT)
    with running() as other:
        other.transact_now(lambda: (None, [unknown]), exclusive=True)
        journal.append_now(MESSAGE, result)
        journal.transact_now(
            lambda: (None, [result, Event(kind="call.intent", call_id="b"), Event(kind="call.failed", call_id="b")])
        )
    found = stored()
    assert [leaf.kind for leaf in found] == [
        "call.intent", "call.unknown", "call.message", "call.late", "call.late", "call.intent", "call.failed",
    ]  # fmt: skip
    assert found[3].facts == {"status": 200, "instead_of": "call.result"}
    assert not OpenCall.objects.exists()


def test_of_two_ends_in_one_batch_the_first_counts(journal: Journal) -> None:
    journal.append_now(INTENT)
    gate = Gate()
    held = threading.Thread(target=journal.transact_now, args=[gate])
    held.start()
    assert gate.reached.wait(10)

    async def end_twice() -> None:
        ends = [journal.append(Event(kind=kind, call_id="a")) for kind in ("call.result", "call.cancelled")]
        both = asyncio.gather(*ends)
        await asyncio.sleep(0)
        gate.open()
        await both

    asyncio.run(end_twice())
    held.join(10)
    assert [leaf.kind for leaf in stored()] == ["call.intent", "call.result", "call.late"]
