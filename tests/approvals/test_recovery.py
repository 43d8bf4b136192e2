"""After a crash: what was interrupted is called unknown, once; what waited still waits; nothing is sent again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest

from approvals.database import database_now
from approvals.holding import claim
from approvals.models import ApprovalRequest
from approvals.recovery import recover
from approvals.runtime import Runtime
from approvals.states import Status
from approvals.timers import run_due
from sessions import leaf as leaves
from sessions.events import Event
from sessions.journal import RecordUnavailable
from sessions.models import Entry, GatewayProcess, OpenCall
from tests.engine import (
    GUARD,
    another_process,
    ask,
    claimed,
    engine,
    finished,
    fresh,
    intent,
    opened,
    recorded,
    status,
    together,
    vote,
)
from tests.people import ALICE

__all__ = ["engine"]

pytestmark = pytest.mark.promise("nothing-lost")


def executing(house: Runtime) -> ApprovalRequest:
    """Return a request that this process claimed."""
    row = fresh()
    vote(row, ALICE)
    assert claimed(row, house)
    return row


def unknown(call_id: str) -> int:
    """Return how often the record says that nobody knows what became of a call."""
    return Entry.objects.filter(kind="call.unknown", call_id=call_id).count()


def test_what_a_dead_process_was_executing_is_called_unknown_once(engine: Runtime) -> None:
    with another_process() as other:
        row = executing(other)
    assert recover(engine, exclusive=False) == 1
    row.refresh_from_db()
    assert (row.status, row.executed) == (Status.OUTCOME_UNKNOWN, "unknown")
    assert row.ended_at is not None
    assert recorded(row)[-1] == "call.unknown"
    assert [recover(engine, exclusive=both) for both in (False, True)] == [0, 0]
    assert unknown(row.call_id) == 1
    assert not OpenCall.objects.exists()


def test_a_call_that_no_rule_held_is_called_unknown_too(engine: Runtime) -> None:
    with another_process() as other:
        made = Event(kind="call.intent", call_id="plain", connection="orders-db", tool="query", actor="ab" * 16)
        other.journal.append_now(made)
    assert recover(engine, exclusive=False) == 1
    entry = leaves.decode(bytes(Entry.objects.get(kind="call.unknown").leaf))
    assert (entry.call, entry.connection, entry.tool) == ("plain", "orders-db", "query")
    assert entry.facts["executed"] == "unknown"
    assert entry.facts["writer"] == other.journal.process_id
    assert "approval" not in entry.facts


def test_two_processes_that_recover_at_once_say_it_once(engine: Runtime) -> None:
    for number in range(8):
        with another_process() as dead:
            row = executing(dead)
            dead.journal.append_now(Event(kind="call.intent", call_id=f"plain-{number}"))
        with another_process() as other:
            works = [partial(recover, engine, exclusive=False), partial(recover, other, exclusive=False)]
            found = together(works)
        assert sum(count for count in found if isinstance(count, int)) == 2, found
        assert unknown(row.call_id) == unknown(f"plain-{number}") == 1


def test_a_call_of_a_living_process_is_left_alone(engine: Runtime) -> None:
    with another_process() as other:
        row, own = executing(other), executing(engine)
        assert recover(engine, exclusive=False) == 0
        assert (status(row), status(own)) == (Status.EXECUTING, Status.EXECUTING)


def test_a_process_that_was_killed_is_dead_when_its_heart_stood_still(engine: Runtime) -> None:
    with another_process() as other:
        row = executing(other)
        now = database_now()
        process = GatewayProcess.objects.filter(id=other.journal.process_id)
        process.update(heartbeat_at=now - timedelta(seconds=14))
        assert recover(engine, exclusive=False) == 0
        process.update(heartbeat_at=now - timedelta(seconds=16))
        assert recover(engine, exclusive=False) == 1
        assert status(row) == Status.OUTCOME_UNKNOWN


def test_a_call_that_takes_too_long_is_called_unknown_although_its_process_lives(engine: Runtime) -> None:
    engine.journal.append_now(Event(kind="call.intent", call_id="slow", recover_after=60.0))
    assert recover(engine, exclusive=False) == 0
    OpenCall.objects.update(recover_after=database_now() - timedelta(seconds=1))
    assert recover(engine, exclusive=False) == 1
    assert unknown("slow") == 1


def test_alone_on_the_database_every_other_process_is_dead_at_once(engine: Runtime) -> None:
    with another_process() as other:
        row, own = executing(other), executing(engine)
        assert recover(engine, exclusive=True) == 1
    assert (status(row), status(own)) == (Status.OUTCOME_UNKNOWN, Status.EXECUTING)


def test_what_waited_when_its_process_died_still_waits_and_is_joined(engine: Runtime) -> None:
    with another_process() as other:
        pending, approved, here = fresh(house=other), fresh(house=other), fresh()
        ApprovalRequest.objects.exclude(pk=here.pk).update(attached_to=other.journal.process_id)
        vote(approved, ALICE)
        recover(engine, exclusive=True)
    rows = (pending, approved, here)
    assert [status(row) for row in rows] == [Status.PENDING, Status.APPROVED, Status.PENDING]
    assert [row.attached_to for row in rows] == ["", "", engine.journal.process_id]


def test_what_ended_before_the_crash_is_not_touched(engine: Runtime) -> None:
    row = executing(engine)
    token = ApprovalRequest.objects.get(pk=row.pk).claim
    assert finished(row, token)
    assert recover(engine, exclusive=True) == 0
    assert status(row) == Status.EXECUTED
    assert unknown(row.call_id) == 0


def test_recovery_sends_nothing_and_the_repeat_is_refused_until_somebody_looked(engine: Runtime) -> None:
    asked = ask()
    row = opened(asked)
    vote(row, ALICE)
    with another_process() as other:
        assert claimed(row, other)
    recover(engine, exclusive=True)
    assert opened(ask()).pk == row.pk
    assert not claimed(row)
    run_due(engine)
    assert status(row) == Status.OUTCOME_UNKNOWN
    vote(row, ALICE, "resolve", comment="Nothing arrived there.")
    assert opened(ask()).pk != row.pk


def test_the_answer_of_a_process_that_was_taken_for_dead_is_late_and_changes_nothing(engine: Runtime) -> None:
    with another_process() as other:
        row = fresh()
        vote(row, ALICE)
        token = claimed(row, other)
        GatewayProcess.objects.filter(id=other.journal.process_id).update(
            heartbeat_at=database_now() - timedelta(seconds=16)
        )
        assert recover(engine, exclusive=False) == 1
        assert not finished(row, token, house=other)
    assert (status(row), row.result) == (Status.OUTCOME_UNKNOWN, None)
    assert recorded(row)[-3:] == ["call.intent", "call.unknown", "call.late"]


@pytest.mark.promise("fail-closed")
def test_a_claim_that_was_committed_after_its_caller_was_refused_counts_as_not_run(engine: Runtime) -> None:
    row, go_on = fresh(), threading.Event()
    vote(row, ALICE)

    def slow() -> tuple[str, Sequence[Event]]:
        token, events = claim(row.pk, engine.policies.current)
        go_on.wait(GUARD)
        return token, [*events, intent(row)]

    with another_process(timeout=1.0) as other:
        with pytest.raises(RecordUnavailable):
            other.journal.transact_now(slow)
        go_on.set()
        other.journal.append_now(Event(kind="call.message", call_id="after"))
    assert (status(row), row.executed) == (Status.FAILED, "false")
    kinds = Entry.objects.filter(call_id=row.call_id).order_by("id").values_list("kind", flat=True)
    assert list(kinds)[-2:] == ["call.intent", "call.abandoned"]
    assert not OpenCall.objects.exists()
    assert recover(engine, exclusive=True) == 0
