"""Between the asking and the running: nudging, withdrawing and revoking, by whom, when, and against whom else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from approvals import services
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.recall import Nudged, TooSoon, nudge, revoke
from approvals.runtime import Runtime, runtime
from approvals.services import Decided, NotEligible, NotFound, TooLate
from approvals.states import Status
from approvals.verdicts import Caller
from tests.engine import (
    another_process,
    approver,
    at,
    bring_into_force,
    claimed,
    engine,
    fresh,
    groups,
    pass_time,
    recorded,
    status,
    together,
    vote,
)
from tests.held import HENRY, caller, signed_in
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, GRACE, Human

__all__ = ["engine"]
ROUNDS = 10


def approved(tool: str = "one") -> ApprovalRequest:
    row = fresh(tool)
    vote(row, ALICE)
    vote(row, BOB)
    assert status(row) == Status.APPROVED
    return row


def taken_back(row: ApprovalRequest, by: Human | Caller, comment: str = "", house: Runtime | None = None) -> Any:
    person = approver(by) if isinstance(by, Human) else by
    return revoke(house or runtime(), approval_id=row.pk, person=person, comment=comment, via="api")


# --- revoking ---


@pytest.mark.parametrize("who", [ALICE, BOB, DAVE], ids=["who approved", "who may decide", "an admin"])
def test_an_approval_is_taken_back_before_it_runs(who: Human, engine: Runtime) -> None:
    row = fresh()
    vote(row, ALICE)
    assert isinstance(taken_back(row, who, "wrong customer"), Decided)
    assert status(row) == Status.REVOKED
    assert (row.ended_by, row.ended_comment, row.objection) == (who.name, "wrong customer", "wrong customer")
    assert row.ended_at is not None
    assert recorded(row)[-1] == "approval.revoked"
    assert not claimed(row)


@pytest.mark.parametrize("who", [CAROL, EVE, GRACE], ids=["of another group", "nobody", "an auditor"])
def test_nobody_else_takes_an_approval_back(who: Human, engine: Runtime) -> None:
    row = approved()
    assert isinstance(taken_back(row, who), NotEligible)
    assert status(row) == Status.APPROVED


def test_the_requester_withdraws_and_does_not_revoke_as_a_member_of_the_group(engine: Runtime) -> None:
    bring_into_force(groups=groups(dba=[ALICE, BOB, HENRY]))
    row = approved()
    assert isinstance(taken_back(row, HENRY), NotEligible)
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller()), Decided)


def test_who_approved_takes_it_back_also_without_standing(engine: Runtime) -> None:
    row = approved("two")
    bring_into_force(groups=groups(dba=[BOB]))
    assert isinstance(taken_back(row, ALICE), Decided)


def test_who_was_switched_off_takes_nothing_back(engine: Runtime) -> None:
    row = approved()
    who = approver(ALICE)
    person = signed_in(ALICE)
    person.is_active = False
    person.save()
    assert isinstance(taken_back(row, who), NotEligible)


def test_an_agent_takes_nothing_back_whatever_its_groups(engine: Runtime) -> None:
    row = approved()
    agent = caller(ALICE, kind="agent").with_groups(frozenset({"dba", "platform"}))
    assert isinstance(taken_back(row, agent), NotEligible)
    assert isinstance(revoke(engine, approval_id="none", person=agent, via="api"), NotFound)


@pytest.mark.parametrize("stands", sorted(set(Status) - {Status.APPROVED}))
def test_only_what_is_approved_and_does_not_run_is_taken_back(stands: Status, engine: Runtime) -> None:
    row = at(stands)
    before = recorded(row)
    assert isinstance(taken_back(row, ALICE), TooLate)
    assert (status(row), recorded(row)) == (stands, before)


def test_what_an_approver_says_is_masked(engine: Runtime) -> None:
    row = approved()
    taken_back(row, ALICE, "it held password=hunter2secret")
    row.refresh_from_db()
    assert "hunter2secret" not in row.ended_comment
    assert "it held" in row.ended_comment


def test_revoking_against_claiming_has_one_winner(engine: Runtime) -> None:
    alice = approver(ALICE)
    with another_process() as other:
        for _ in range(ROUNDS):
            row = approved()
            works: list[Callable[[], Any]] = [partial(taken_back, row, alice), partial(claimed, row, other)]
            revoked, token = together(works)
            if isinstance(revoked, Decided):
                assert (token, status(row)) == ("", Status.REVOKED)
            else:
                assert isinstance(revoked, TooLate), revoked
                assert token
                assert status(row) == Status.EXECUTING
            assert recorded(row)[-1] in {"approval.revoked", "call.intent"}


# --- withdrawing what is approved ---


def test_what_is_approved_is_withdrawn_before_it_runs(engine: Runtime) -> None:
    row = approved()
    decided = row.decided_at
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller()), Decided)
    assert status(row) == Status.CANCELLED
    assert row.decided_at == decided
    assert recorded(row)[-1] == "approval.cancelled"
    assert not claimed(row)


@pytest.mark.parametrize("rival", ["approve", "deny", "claim"])
def test_withdrawing_against_anything_else_has_one_truthful_end(rival: str, engine: Runtime) -> None:
    alice = approver(ALICE)
    for _ in range(ROUNDS):
        row = approved() if rival == "claim" else fresh()
        withdraws = partial(services.cancel, engine, approval_id=row.pk, caller=caller())
        meanwhile = partial(claimed, row) if rival == "claim" else partial(vote, row, alice, rival)
        works: list[Callable[[], Any]] = [withdraws, meanwhile]
        outcome = together(works)[0]
        if isinstance(outcome, Decided):
            assert status(row) == Status.CANCELLED
        else:
            assert status(row) == {"deny": Status.DENIED, "claim": Status.EXECUTING}[rival]


# --- nudging ---


def nudged(row: ApprovalRequest, by: Caller | None = None) -> Any:
    return nudge(runtime(), approval_id=row.pk, caller=by or caller())


def test_a_requester_nudges_every_five_minutes_at_most(engine: Runtime) -> None:
    row = fresh()
    version = row.version
    soon = nudged(row)
    assert isinstance(soon, TooSoon)
    pass_time(row, minutes=5)
    assert isinstance(nudged(row), Nudged)
    assert isinstance(nudged(row), TooSoon)
    pass_time(row, minutes=5)
    assert isinstance(nudged(row), Nudged)
    row.refresh_from_db()
    assert row.version == version
    assert recorded(row) == ["approval.requested", "approval.nudged", "approval.nudged"]


def test_each_route_is_told_of_a_nudge(engine: Runtime) -> None:
    row = fresh()
    ApprovalRequest.objects.filter(pk=row.pk).update(terms={**row.terms, "notify": [{"slack": "#db"}]})
    pass_time(row, minutes=6)
    nudged(row)
    nudged(row)
    assert list(OutboundMessage.objects.values_list("channel", "event")) == [("slack", "nudged")]


def test_only_who_asked_nudges(engine: Runtime) -> None:
    row = fresh()
    pass_time(row, minutes=6)
    for other in (ALICE, EVE):
        assert isinstance(nudged(row, caller(other)), NotFound)
    assert recorded(row) == ["approval.requested"]


@pytest.mark.parametrize("stands", sorted(set(Status) - {Status.PENDING}))
def test_only_what_waits_is_brought_to_mind(stands: Status, engine: Runtime) -> None:
    row = at(stands)
    pass_time(row, minutes=6)
    assert isinstance(nudged(row), TooLate)
    assert recorded(row) == ["approval.requested"]


def test_what_is_overdue_is_not_brought_to_mind(engine: Runtime) -> None:
    row = fresh()
    pass_time(row, minutes=31)
    assert isinstance(nudged(row), TooLate)


def test_two_nudges_at_once_are_one(engine: Runtime) -> None:
    for _ in range(ROUNDS):
        row = fresh()
        pass_time(row, minutes=6)
        outcomes = together([partial(nudged, row), partial(nudged, row)])
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Nudged", "TooSoon"]
        assert recorded(row) == ["approval.requested", "approval.nudged"]
