"""Who may decide and who must not: never who asks, in whatever shape they come, and nobody by being an admin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals import services
from approvals.keys import email_digest
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.services import Decided, NotEligible, NotFound, TooLate
from approvals.states import Status
from tests.engine import approver, ask, at, bring_into_force, engine, groups, opened, recorded, status, vote
from tests.held import HENRY, ISS, caller, signed_in
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, GRACE

__all__ = ["engine"]


def test_nobody_but_the_named_groups_decides_and_an_admin_and_an_auditor_do_not_either(engine: Runtime) -> None:
    row = opened(ask())
    for nobody in (EVE, DAVE, GRACE, CAROL):
        outcome = vote(row, nobody)
        assert isinstance(outcome, NotEligible)
        assert "dba" in outcome.reason
    assert status(row) == Status.PENDING
    assert recorded(row)[1:] == ["approval.vote_refused"] * 4


def test_an_agent_or_a_job_decides_nothing_whatever_groups_it_is_in(engine: Runtime) -> None:
    row = opened(ask())
    kinds: tuple[Any, ...] = ("agent", "ci")
    for kind in kinds:
        assert isinstance(vote(row, replace(approver(ALICE), kind=kind)), NotEligible)
    assert status(row) == Status.PENDING


def own_request(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    return opened(ask(by=caller(ALICE))), approver(ALICE)


def linked_account(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    people = [{"name": "Alice", "accounts": [f"{ISS}|alice", f"{ISS}/github|99"]}]
    bring_into_force(people=people)
    asking = caller(ALICE, iss=f"{ISS}/github", sub="99", groups=frozenset({"corp/engineering"}))
    return opened(ask(by=asking)), approver(ALICE)


def same_verified_address(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    asking = caller(HENRY, email=f"  {ALICE.email.upper()} ")
    return opened(ask(by=asking)), approver(ALICE)


def who_started_the_job(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    return opened(ask(by=caller(HENRY, kind="ci", person=f"{ISS}|alice"))), approver(ALICE)


def second_account_of_who_started_the_job(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    bring_into_force(people=[{"name": "Alice", "accounts": [f"{ISS}|alice", f"{ISS}/github|99"]}])
    return opened(ask(by=caller(HENRY, kind="ci", person=f"{ISS}/github|99"))), approver(ALICE)


def unlinked_account_with_the_address_of_who_started_the_job(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    people = [{"name": "Dave", "accounts": [f"{ISS}|dave", f"{ISS}/github|99"]}]
    bring_into_force(people=people, groups=groups(dba=[DAVE, BOB]))
    signed_in(DAVE)
    request = opened(ask(by=caller(HENRY, kind="ci", person=f"{ISS}/github|99")))
    return request, approver(ALICE, email=DAVE.email)


def linked_to_an_account_with_the_address_of_the_requester(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    bring_into_force(people=[{"name": "Alice", "accounts": [f"{ISS}|alice", f"{ISS}|dave"]}])
    signed_in(DAVE)
    return opened(ask(by=caller(HENRY, email=DAVE.email))), approver(ALICE)


def owner_of_a_job_nobody_is_known_to_have_started(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    return opened(ask(by=caller(HENRY, kind="ci", owned_by=("dba",)))), approver(ALICE)


def asking_as_an_admin(engine: Runtime) -> tuple[ApprovalRequest, Any]:
    bring_into_force(groups=groups(dba=[DAVE, BOB]))
    return opened(ask(by=caller(DAVE))), approver(DAVE)


SELVES = [
    own_request,
    linked_account,
    same_verified_address,
    who_started_the_job,
    second_account_of_who_started_the_job,
    unlinked_account_with_the_address_of_who_started_the_job,
    linked_to_an_account_with_the_address_of_the_requester,
    owner_of_a_job_nobody_is_known_to_have_started,
    asking_as_an_admin,
]


@pytest.mark.promise("no-self-approval")
@pytest.mark.parametrize("case", SELVES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_who_asks_never_decides(case: Any, decision: str, engine: Runtime) -> None:
    row, who = case(engine)
    assert isinstance(vote(row, who, decision), NotEligible)
    assert status(row) == Status.PENDING
    assert not row.votes.exists()
    assert recorded(row)[-1] == "approval.vote_refused"


def test_where_the_person_behind_a_job_is_known_their_colleagues_may_decide(engine: Runtime) -> None:
    row = opened(ask(by=caller(HENRY, kind="ci", owned_by=("dba",), person=f"{ISS}|dave")))
    assert isinstance(vote(row, ALICE), Decided)


def test_an_address_that_is_not_verified_makes_nobody_the_requester(engine: Runtime) -> None:
    row = opened(ask(by=caller(HENRY, email=None)))
    assert row.requester_email == email_digest("") == ""
    assert isinstance(vote(row, replace(approver(ALICE), email=None)), Decided)


# --- withdrawing ---


def test_who_asked_withdraws_and_it_is_over(engine: Runtime) -> None:
    row = opened(ask())
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller()), Decided)
    assert status(row) == Status.CANCELLED
    assert recorded(row)[1:] == ["approval.cancelled"]
    assert isinstance(vote(row, ALICE), TooLate)
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller()), TooLate)


def test_the_person_behind_a_job_withdraws_what_it_asked(engine: Runtime) -> None:
    row = opened(ask(by=caller(HENRY, kind="ci", sub="job-1", person=f"{ISS}|henry")))
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller(HENRY)), Decided)


def test_nobody_else_withdraws(engine: Runtime) -> None:
    row = opened(ask())
    for other in (ALICE, DAVE, EVE):
        assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller(other)), NotFound)
    assert status(row) == Status.PENDING


def test_an_equal_address_refuses_a_vote_and_gives_no_right_to_withdraw(engine: Runtime) -> None:
    row = opened(ask(by=caller(HENRY, email=ALICE.email)))
    assert isinstance(vote(row, ALICE), NotEligible)
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=approver(ALICE)), NotFound)
    assert status(row) == Status.PENDING


@pytest.mark.parametrize("ended", sorted(set(Status) - {Status.PENDING, Status.APPROVED}))
def test_what_runs_or_is_over_is_not_withdrawn(ended: Status, engine: Runtime) -> None:
    row = at(ended)
    assert isinstance(services.cancel(engine, approval_id=row.pk, caller=caller()), TooLate)
    assert status(row) == ended
