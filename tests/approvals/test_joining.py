"""Joining: which repeat of a held call meets its request again, and which is a request of its own."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from approvals.database import in_database
from approvals.holding import deliver, detach, doubt, undeliver
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.states import Status
from approvals.timers import run_due
from sessions.models import GatewayProcess
from tests.engine import (
    GUARD,
    another_process,
    ask,
    claimed,
    engine,
    finished,
    opened,
    pass_time,
    recorded,
    status,
    vote,
)
from tests.held import HENRY, caller
from tests.people import ALICE, EVE

__all__ = ["engine"]

KEY = "k" * 64


def joins(first: ApprovalRequest, **handles: Any) -> bool:
    """Send the call of `ask()` again and say whether it met the first request."""
    return opened(ask(**handles)).pk == first.pk


def ended(
    new: Status = Status.EXECUTED, *, heard: bool = True, executed: str = "true", **handles: Any
) -> ApprovalRequest:
    """Return a request that went all the way."""
    row = opened(ask(**handles))
    vote(row, ALICE)
    assert finished(row, claimed(row), new, heard=heard, executed=executed)
    row.refresh_from_db()
    return row


# --- while it is open ---


def test_two_identical_calls_at_the_same_time_are_two_requests(engine: Runtime) -> None:
    first = opened(ask())
    assert not joins(first)
    assert ApprovalRequest.objects.values("call_digest").distinct().count() == 1


@pytest.mark.parametrize("handle", ["idempotency", "approval_id"])
def test_a_repeat_with_a_handle_joins_although_somebody_waits(handle: str, engine: Runtime) -> None:
    first = opened(ask(idempotency=KEY))
    assert joins(first, **{handle: KEY if handle == "idempotency" else first.pk})
    assert ApprovalRequest.objects.count() == 1
    assert recorded(first) == ["approval.requested"]


@pytest.mark.parametrize("handle", [{"idempotency": "x" * 64}, {"approval_id": "another"}])
def test_a_wrong_handle_joins_nothing(handle: dict[str, str], engine: Runtime) -> None:
    assert not joins(opened(ask(idempotency=KEY)), **handle)


def test_the_id_of_somebody_elses_approval_is_no_handle(engine: Runtime) -> None:
    first = opened(ask())
    stranger = caller(EVE, groups=caller(HENRY).groups)
    assert not joins(first, by=stranger, approval_id=first.pk)
    assert not joins(first, arguments={"sql": "delete from orders"}, approval_id=first.pk)


def test_a_repeat_joins_when_the_first_caller_is_gone(engine: Runtime) -> None:
    first = opened(ask())
    detach(first.pk, engine.journal.process_id)
    assert joins(first)
    first.refresh_from_db()
    assert first.attached_to == engine.journal.process_id
    assert not joins(first), "the repeat waits now, so another one is another request"


def test_a_repeat_joins_before_it_is_committed_that_the_first_caller_is_gone(engine: Runtime) -> None:
    first = opened(ask())
    committing, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        committing.set()
        assert go_on.wait(GUARD)
        detach(first.pk, engine.journal.process_id)

    async def leave_and_come_back() -> tuple[bool, bool]:
        engine.waiting.attend(first.pk)
        assert engine.waiting.unattend(first.pk)
        leaving = asyncio.ensure_future(engine.waiting.leave(first.pk, slowly))
        await asyncio.to_thread(committing.wait, GUARD)
        met = await in_database(lambda: joins(first, is_left=engine.waiting.is_left))
        engine.waiting.attend(first.pk)
        go_on.set()
        await leaving
        return met, engine.waiting.is_left(first.pk)

    assert asyncio.run(leave_and_come_back()) == (True, False)


def test_a_result_that_was_left_unread_is_fetched_before_that_is_committed(engine: Runtime) -> None:
    first = ended()
    assert not joins(first)
    assert joins(first, is_left=lambda left: left == first.pk)


def test_a_call_of_another_process_does_not_detach_ours(engine: Runtime) -> None:
    first = opened(ask())
    detach(first.pk, "another process")
    assert not joins(first)


def test_a_repeat_joins_when_the_process_of_the_first_caller_stopped(engine: Runtime) -> None:
    with another_process() as other:
        first = opened(ask(house=other), other)
        assert not joins(first)
    assert joins(first)


def test_a_repeat_joins_when_the_process_of_the_first_caller_was_killed(engine: Runtime) -> None:
    first = opened(ask(process="killed"))
    long_ago = first.created_at.replace(year=2025)
    GatewayProcess.objects.create(id="killed", started_at=long_ago, heartbeat_at=long_ago)
    assert joins(first)


@pytest.mark.parametrize(
    "change",
    [
        {"by": caller(HENRY, sub="someone-else")},
        {"by": caller(HENRY, iss="https://other.example.com")},
        {"by": caller(HENRY, run=(("run_id", "2"),))},
        {"tool": "silent"},
        {"arguments": {"sql": "delete from customers "}},
        {"arguments": {"sql": "delete from customers", "dry_run": False}},
        {"tool_digest": "changed"},
    ],
    ids=["subject", "issuer", "run", "tool", "argument", "more arguments", "tool definition"],
)
def test_a_call_that_differs_in_anything_it_is_bound_to_is_another_call(
    change: dict[str, Any], engine: Runtime
) -> None:
    first = opened(ask(by=caller(HENRY, run=(("run_id", "1"),))))
    detach(first.pk, engine.journal.process_id)
    same = {"by": caller(HENRY, run=(("run_id", "1"),))}
    assert not joins(first, **{**same, **change})
    assert joins(first, **same)


def test_the_run_is_bound_in_whatever_order_its_claims_come(engine: Runtime) -> None:
    claims = (("run_id", "1"), ("run_attempt", "2"))
    first = opened(ask(by=caller(HENRY, run=claims), idempotency=KEY))
    assert joins(first, by=caller(HENRY, run=claims[::-1]), idempotency=KEY)


def test_an_overdue_request_is_not_joined_although_no_sweep_ran(engine: Runtime) -> None:
    first = opened(ask(idempotency=KEY))
    pass_time(first, minutes=31)
    assert not joins(first, idempotency=KEY)


# --- decided ---


def test_an_approved_call_that_nobody_waits_for_is_collected_by_its_repeat(engine: Runtime) -> None:
    first = opened(ask())
    detach(first.pk, engine.journal.process_id)
    vote(first, ALICE)
    assert joins(first)


def test_an_approval_is_collected_in_its_time_only(engine: Runtime) -> None:
    first = opened(ask(idempotency=KEY))
    vote(first, ALICE)
    pass_time(first, minutes=9)
    assert joins(first, idempotency=KEY)
    pass_time(first, minutes=2)
    assert not joins(first, idempotency=KEY)


def test_after_a_denial_the_identical_call_gets_the_same_denial(engine: Runtime) -> None:
    first = opened(ask(reason="cleaning up"))
    vote(first, ALICE, "deny")
    assert joins(first)
    assert joins(first, reason="cleaning up")
    assert not joins(first, reason="the customer asked for it, ticket 4711")


def test_a_denial_is_over_when_the_request_would_have_been(engine: Runtime) -> None:
    first = opened(ask())
    vote(first, ALICE, "deny")
    pass_time(first, minutes=31)
    assert not joins(first)


@pytest.mark.parametrize("over", ["expired", "cancelled", "superseded", "lapsed", "revoked"])
def test_what_came_to_nothing_is_asked_for_anew(over: str, engine: Runtime) -> None:
    first = opened(ask(idempotency=KEY))
    ApprovalRequest.objects.filter(pk=first.pk).update(status=over, attached_to="")
    assert not joins(first, idempotency=KEY, approval_id=first.pk)


# --- running and run ---


def test_a_repeat_joins_what_runs_when_it_brings_a_handle_or_nobody_waits(engine: Runtime) -> None:
    first = opened(ask(idempotency=KEY))
    vote(first, ALICE)
    assert claimed(first)
    assert not joins(first)
    assert joins(first, idempotency=KEY)
    detach(first.pk, engine.journal.process_id)
    assert joins(first)


@pytest.mark.parametrize("new", [Status.EXECUTED, Status.FAILED])
def test_a_result_that_nobody_got_is_for_the_first_identical_call(new: Status, engine: Runtime) -> None:
    first = ended(new, heard=False)
    assert joins(first)
    deliver(first.pk)
    assert not joins(first)


def test_a_result_that_its_caller_got_is_used_up_but_for_the_same_key(engine: Runtime) -> None:
    first = ended(idempotency=KEY)
    assert not joins(first)
    assert joins(first, idempotency=KEY)
    assert joins(first, approval_id=first.pk)


def test_a_caller_who_left_while_the_answer_was_written_may_fetch_it(engine: Runtime) -> None:
    first = ended()
    undeliver(first.pk)
    assert joins(first)


def test_a_caller_who_may_have_missed_the_answer_may_fetch_it_for_a_minute(engine: Runtime) -> None:
    first, unread = ended(), ended(heard=False, tool="silent")
    for row in (first, unread):
        doubt(row.pk)
        assert joins(row, tool=row.tool)
    deliver(first.pk)
    assert joins(first), "whoever fetches it hangs up with it as well"
    assert not joins(first, idempotency=KEY), "another key says that it is another call"
    for row in (first, unread):
        pass_time(row, seconds=61)
    assert not joins(first)
    assert joins(unread, tool="silent"), "what was never handed over is not in doubt"


def test_a_result_is_kept_for_its_time_and_with_a_key_for_a_day(engine: Runtime) -> None:
    plain, keyed = ended(heard=False), ended(heard=False, tool="silent", idempotency=KEY)
    for row in (plain, keyed):
        pass_time(row, minutes=11)
    run_due(engine)
    for row in (plain, keyed):
        row.refresh_from_db()
    assert plain.result is None
    assert not joins(plain)
    assert bytes(keyed.result or b"") == b'{"rows": 3}'
    pass_time(keyed, hours=24)
    run_due(engine)
    keyed.refresh_from_db()
    assert keyed.result is None
    assert (status(plain), status(keyed)) == (Status.EXECUTED, Status.EXECUTED)


def test_a_result_whose_time_is_over_is_not_given_although_no_sweep_ran(engine: Runtime) -> None:
    first = ended(heard=False)
    pass_time(first, minutes=11)
    assert not joins(first)


@pytest.mark.promise("nothing-lost")
def test_an_unknown_outcome_stands_in_the_way_of_its_repeat_for_a_day(engine: Runtime) -> None:
    first = at_unknown()
    assert joins(first)
    pass_time(first, hours=23)
    assert joins(first)
    pass_time(first, hours=2)
    assert not joins(first)


@pytest.mark.parametrize("handle", [{}, {"idempotency": KEY}])
def test_a_resolved_outcome_lets_the_call_be_asked_for_again(handle: dict[str, str], engine: Runtime) -> None:
    first = at_unknown()
    assert joins(first, **handle)
    vote(first, ALICE, "resolve", comment="It was rolled back.")
    assert not joins(first, **handle)


def at_unknown() -> ApprovalRequest:
    return ended(Status.OUTCOME_UNKNOWN, executed="unknown", idempotency=KEY)
