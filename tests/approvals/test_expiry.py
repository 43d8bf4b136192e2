"""Time: what nobody decided expires, what nobody collected lapses, by the database's clock and in one place only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.states import Status
from approvals.tasks import run_due as task
from approvals.timers import SWEEP_BATCH, run_due
from sessions.models import Entry
from tests.engine import (
    another_process,
    at,
    bring_into_force,
    claimed,
    engine,
    finished,
    fresh,
    holds,
    one_of,
    pass_time,
    recorded,
    status,
    together,
    vote,
)
from tests.people import ALICE, BOB

__all__ = ["engine"]


def test_what_is_overdue_expires_or_lapses_and_the_rest_stays(engine: Runtime) -> None:
    young, old, collected, left = fresh(), fresh(), fresh(), fresh()
    for row in (collected, left):
        vote(row, ALICE)
    pass_time(old, minutes=31)
    pass_time(left, minutes=11)
    assert run_due(engine) == 2
    assert [status(row) for row in (young, old, collected, left)] == ["pending", "expired", "approved", "lapsed"]
    assert recorded(old) == ["approval.requested", "approval.expired"]
    assert recorded(left)[-1] == "approval.lapsed"
    assert all(row.ended_at is not None for row in (old, left))
    assert run_due(engine) == 0


@pytest.mark.parametrize("ended", sorted(set(Status) - {Status.PENDING, Status.APPROVED}))
def test_nothing_else_has_a_timer_that_ends_it(ended: Status, engine: Runtime) -> None:
    row = at(ended)
    pass_time(row, days=400)
    assert run_due(engine) == 0
    assert status(row) == ended


def test_a_vote_never_makes_the_time_longer(engine: Runtime) -> None:
    row = fresh("two")
    before = row.expires_at
    vote(row, ALICE)
    row.refresh_from_db()
    assert row.expires_at == before
    pass_time(row, minutes=31)
    vote(row, BOB)
    assert status(row) == Status.EXPIRED


def test_the_rule_says_how_long_a_request_lives_and_how_long_it_may_be_collected(engine: Runtime) -> None:
    bring_into_force(rules=[holds("one", one_of("dba"), expires_after="2m", collect_within="30s")])
    row = fresh()
    assert row.expires_at - row.created_at == timedelta(minutes=2)
    vote(row, ALICE)
    row.refresh_from_db()
    assert row.execute_by is not None
    assert row.decided_at is not None
    assert row.execute_by - row.decided_at == timedelta(seconds=30)
    pass_time(row, seconds=31)
    assert not claimed(row)
    assert run_due(engine) == 1
    assert status(row) == Status.LAPSED


def test_an_approval_that_came_last_second_is_still_collected_after_the_request_would_have_expired(
    engine: Runtime,
) -> None:
    row = fresh()
    pass_time(row, minutes=29, seconds=50)
    vote(row, ALICE)
    assert status(row) == Status.APPROVED
    pass_time(row, minutes=5)
    assert run_due(engine) == 0
    assert claimed(row)


def test_two_sweeps_at_once_expire_each_request_once(engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(5):
            rows = [fresh() for _ in range(4)]
            for row in rows:
                pass_time(row, hours=1)
            moved = together([partial(run_due, engine), partial(run_due, other)])
            assert sum(count for count in moved if isinstance(count, int)) == len(rows), moved
            assert all(recorded(row) == ["approval.requested", "approval.expired"] for row in rows)


def test_a_sweep_against_the_last_vote_has_one_truthful_end(engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(8):
            row = fresh()
            pass_time(row, minutes=30)
            works: list[Callable[[], Any]] = [partial(vote, row, ALICE), partial(run_due, other)]
            together(works)
            assert status(row) == Status.EXPIRED
            assert recorded(row) == ["approval.requested", "approval.expired"]


def test_a_crowd_of_overdue_requests_is_swept_in_portions(engine: Runtime) -> None:
    row, past = fresh(), database_now() - timedelta(hours=1)
    crowd = [
        ApprovalRequest(
            **{
                **{field.attname: getattr(row, field.attname) for field in ApprovalRequest._meta.concrete_fields},
                "id": f"crowd-{number}",
                "created_at": past - timedelta(hours=1),
                "expires_at": past,
            }
        )
        for number in range(SWEEP_BATCH + 1)
    ]
    ApprovalRequest.objects.bulk_create(crowd)
    assert [run_due(engine), run_due(engine), run_due(engine)] == [SWEEP_BATCH, 1, 0]
    assert status(row) == Status.PENDING


def test_a_result_is_dropped_after_its_time_and_what_happened_stays(engine: Runtime) -> None:
    row = fresh()
    vote(row, ALICE)
    finished(row, claimed(row))
    pass_time(row, minutes=9)
    run_due(engine)
    kept = ApprovalRequest.objects.filter(result__isnull=False)
    assert kept.exists()
    pass_time(row, minutes=2)
    run_due(engine)
    assert not kept.exists()
    assert (status(row), row.executed) == (Status.EXECUTED, "true")


def test_a_sweep_with_nothing_to_do_writes_nothing(engine: Runtime) -> None:
    fresh()
    before = Entry.objects.count()
    assert run_due(engine) == 0
    assert Entry.objects.count() == before


def test_the_task_of_the_worker_sweeps(engine: Runtime) -> None:
    row = fresh()
    pass_time(row, hours=1)
    assert task() == 1
    assert status(row) == Status.EXPIRED
    assert run_due(engine) == 0
