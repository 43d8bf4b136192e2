"""Deciding: how many people it takes, what happens when several decide at once, when it is too late, and how."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import transaction

from approvals import services
from approvals.models import ApprovalRequest, Person, Vote
from approvals.runtime import Runtime
from approvals.services import CommentMissing, Decided, NotEligible, NotFound, TooLate, Unchanged, VersionMoved
from approvals.states import Status
from tests.engine import (
    Later,
    another_process,
    approver,
    ask,
    at,
    bring_into_force,
    engine,
    fresh,
    groups,
    holds,
    one_of,
    opened,
    pass_time,
    recorded,
    rule_on,
    status,
    together,
    vote,
    wait_until_one_is_blocked,
)
from tests.people import ALICE, BOB, CAROL, CONNECTION, EVE, Human

__all__ = ["engine"]

ROUNDS = 12
# --- how many it takes ---


def test_one_vote_of_two_leaves_it_pending_and_the_second_approves(engine: Runtime) -> None:
    row = opened(ask("two"))
    first = vote(row, ALICE)
    assert isinstance(first, Decided)
    assert first.request.status == Status.PENDING
    assert isinstance(vote(row, BOB), Decided)
    assert status(row) == Status.APPROVED
    assert recorded(row)[1:] == ["approval.voted", "approval.voted", "approval.approved"]


def test_the_same_vote_again_changes_nothing(engine: Runtime) -> None:
    row = opened(ask("two"))
    vote(row, ALICE)
    before = status(row), row.version, recorded(row)
    for _ in range(3):
        assert isinstance(vote(row, ALICE), Unchanged)
    assert (status(row), row.version, recorded(row)) == before
    assert Vote.objects.count() == 1


def test_who_changes_their_mind_while_it_is_open_is_counted_once_and_as_said_last(engine: Runtime) -> None:
    row = opened(ask("two"))
    vote(row, ALICE)
    assert isinstance(vote(row, ALICE, "deny"), Decided)
    assert status(row) == Status.DENIED
    assert list(row.votes.values_list("sub", "decision")) == [("alice", "deny")]


@pytest.mark.parametrize(
    ("tool", "voters", "wanted"),
    [
        ("two", [ALICE], Status.PENDING),
        ("two", [ALICE, BOB], Status.APPROVED),
        ("either", [ALICE], Status.PENDING),
        ("either", [CAROL], Status.APPROVED),
        ("either", [ALICE, BOB], Status.APPROVED),
        ("both", [ALICE, BOB], Status.PENDING),
        ("both", [ALICE, CAROL], Status.APPROVED),
        ("each", [ALICE, BOB], Status.PENDING),
        ("each", [CAROL], Status.PENDING),
        ("each", [CAROL, BOB], Status.APPROVED),
    ],
)
def test_distinct_people_fill_what_the_rules_ask(
    tool: str, voters: list[Human], wanted: Status, engine: Runtime
) -> None:
    row = opened(ask(tool))
    for voter in voters:
        vote(row, voter)
    assert status(row) == wanted


def test_one_person_in_both_groups_fills_one_place_of_all_of_and_serves_two_rules(engine: Runtime) -> None:
    bring_into_force(groups=groups(security=[CAROL, ALICE]))
    all_of, each = opened(ask("both")), opened(ask("each"))
    vote(all_of, ALICE)
    assert status(all_of) == Status.PENDING
    vote(all_of, BOB)
    assert status(all_of) == Status.APPROVED
    vote(each, ALICE)
    assert status(each) == Status.APPROVED


def test_five_places_take_five_people(engine: Runtime) -> None:
    many = [Human(f"dba-{number}", f"Number {number}") for number in range(6)]
    bring_into_force(groups=groups(dba=many), rules=[holds("five", one_of("dba", 5))])
    row = opened(ask("five"))
    for human in many[:4]:
        vote(row, human)
        vote(row, human)
    assert status(row) == Status.PENDING
    vote(row, many[4])
    assert status(row) == Status.APPROVED
    assert isinstance(vote(row, many[5]), TooLate)
    assert Vote.objects.count() == 5


def test_one_denial_denies_whatever_was_approved_before(engine: Runtime) -> None:
    row = opened(ask("two"))
    vote(row, ALICE)
    vote(row, BOB, "deny", comment="not on a Friday")
    assert status(row) == Status.DENIED
    assert recorded(row)[-1] == "approval.denied"


# --- at once ---


def both_ways(engine: Runtime, other: Runtime, row: ApprovalRequest, *decisions: str) -> list[Any]:
    """Let Alice decide at one gateway process and Bob at another, at the same moment."""
    alice, bob = approver(ALICE), approver(BOB)
    works = [
        partial(vote, row, alice, decisions[0], house=engine),
        partial(vote, row, bob, decisions[1], house=other),
    ]
    return together(works)


def test_two_at_once_with_a_quorum_of_two_always_approve_once(engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(ROUNDS):
            row = fresh("two")
            outcomes = both_ways(engine, other, row, "approve", "approve")
            assert [type(outcome) for outcome in outcomes] == [Decided, Decided], outcomes
            assert status(row) == Status.APPROVED
            assert recorded(row).count("approval.approved") == 1
            assert row.votes.count() == 2


def test_approve_against_deny_at_once_has_one_truthful_end(engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(ROUNDS):
            row = fresh("one")
            outcomes = both_ways(engine, other, row, "approve", "deny")
            ends = [kind for kind in recorded(row) if kind in {"approval.approved", "approval.denied"}]
            assert ends == [f"approval.{status(row)}"]
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Decided", "TooLate"], outcomes
            assert row.votes.count() == recorded(row).count("approval.voted") == 1


def test_a_vote_that_waited_for_another_process_does_not_count_after_its_decision(engine: Runtime) -> None:
    row, alice = opened(ask("one")), approver(ALICE)

    with transaction.atomic():
        services.move(row.pk, Status.PENDING, Status.DENIED)
        late = Later(partial(vote, row, alice))
        wait_until_one_is_blocked()
    outcome = late.result()
    assert isinstance(outcome, TooLate)
    assert outcome.request.status == Status.DENIED
    assert not row.votes.exists()
    assert "approval.voted" not in recorded(row)


def test_of_two_that_saw_the_same_version_the_second_is_told_that_it_moved(engine: Runtime) -> None:
    row, alice, bob = opened(ask("two")), approver(ALICE), approver(BOB)
    with another_process() as other:
        works = [partial(vote, row, alice, version=1), partial(vote, row, bob, version=1, house=other)]
        outcomes = together(works)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Decided", "VersionMoved"], outcomes
    assert status(row) == Status.PENDING


def test_two_people_who_were_never_seen_before_may_vote_at_once_in_two_processes(engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(ROUNDS):
            rows = [fresh("two"), fresh("two")]
            alice = approver(ALICE)
            Person.objects.all().delete()
            works = [partial(vote, rows[0], alice), partial(vote, rows[1], alice, house=other)]
            assert [type(outcome) for outcome in together(works)] == [Decided, Decided]


# --- too late, moved, no longer what was asked ---


def test_a_vote_after_the_time_is_too_late_although_no_sweep_ran(engine: Runtime) -> None:
    row = opened(ask())
    pass_time(row, minutes=31)
    outcome = vote(row, ALICE)
    assert isinstance(outcome, TooLate)
    assert (outcome.request.status, status(row)) == (Status.EXPIRED, Status.EXPIRED)
    assert recorded(row)[1:] == ["approval.expired"]
    assert not row.votes.exists()


@pytest.mark.parametrize("ended", sorted(set(Status) - {Status.PENDING}))
def test_what_is_no_longer_open_takes_no_vote(ended: Status, engine: Runtime) -> None:
    row = at(ended)
    outcome = vote(row, ALICE)
    assert isinstance(outcome, TooLate)
    assert (outcome.request.status, status(row)) == (ended, ended)


def test_only_an_unknown_outcome_is_resolved_and_only_with_a_comment(engine: Runtime) -> None:
    assert isinstance(vote(at(Status.EXECUTED), ALICE, "resolve"), TooLate)
    row = at(Status.OUTCOME_UNKNOWN)
    assert isinstance(vote(row, ALICE, "resolve", comment=" "), CommentMissing)
    assert isinstance(vote(row, EVE, "resolve"), NotEligible)
    assert isinstance(vote(row, ALICE, "resolve", comment="Nothing was deleted."), Decided)
    assert status(row) == Status.FAILED


def test_who_looked_at_an_older_version_is_told_that_it_moved(engine: Runtime) -> None:
    row = opened(ask("two"))
    vote(row, ALICE, version=1)
    assert isinstance(vote(row, BOB, version=1), VersionMoved)
    assert status(row) == Status.PENDING
    assert isinstance(vote(row, BOB, version=row.version), Decided)


def test_a_rule_that_changed_while_it_was_pending_supersedes_it_at_the_vote(engine: Runtime) -> None:
    row = opened(ask())
    bring_into_force(rules=rule_on(holds("one", one_of("dba", 2))))
    outcome = vote(row, ALICE)
    assert isinstance(outcome, TooLate)
    assert status(row) == Status.SUPERSEDED
    assert recorded(row)[1:] == ["approval.superseded"]
    assert not row.votes.exists()


def test_another_change_of_the_policy_leaves_it_as_it_is(engine: Runtime) -> None:
    row = opened(ask())
    bring_into_force(rules=rule_on(holds("two", one_of("security")), "two"))
    assert isinstance(vote(row, ALICE), Decided)
    assert status(row) == Status.APPROVED


# --- how ---


@pytest.mark.parametrize("via", ["api", "slack"])
def test_a_decision_in_another_way_than_the_rule_allows_is_refused(via: str, engine: Runtime) -> None:
    row = opened(ask("dashboard"))
    outcome = vote(row, ALICE, via=via)
    assert isinstance(outcome, NotEligible)
    assert "dashboard" in outcome.reason
    assert isinstance(vote(row, ALICE, via="dashboard"), Decided)


@pytest.mark.parametrize(
    ("tool", "decision", "needed"),
    [
        ("commented", "approve", True),
        ("commented", "deny", True),
        ("one", "approve", False),
        ("one", "deny", True),
        ("silent", "approve", False),
        ("silent", "deny", False),
    ],
)
def test_a_comment_is_asked_for_where_the_rule_says_so(tool: str, decision: str, needed: bool, engine: Runtime) -> None:
    row = opened(ask(tool))
    outcome = vote(row, ALICE, decision, comment=" \n ")
    assert isinstance(outcome, CommentMissing if needed else Decided)
    if needed:
        assert status(row) == Status.PENDING
        assert isinstance(vote(row, ALICE, decision, comment="because"), Decided)


@pytest.mark.promise("masked-everywhere")
def test_a_secret_in_a_comment_is_not_kept(engine: Runtime) -> None:
    row = opened(ask())
    vote(row, ALICE, comment="the password: hunter2-hunter2 is in the vault, ask ada@example.com")
    kept = row.votes.get().comment
    assert "hunter2" not in kept
    assert "ada@example.com" not in kept


@pytest.mark.promise("masked-everywhere")
def test_a_comment_is_masked_by_the_rules_of_the_calls_connection_and_cut_only_then(engine: Runtime) -> None:
    only_here = {"name": "here", "connections": [CONNECTION], "detectors": ["email"], "replace": "label"}
    bring_into_force(masking=[only_here])
    row = opened(ask())
    vote(row, ALICE, comment="x" * 3988 + " ada@example.com")
    kept = row.votes.get().comment
    assert len(kept) <= 4000
    assert "ada@" not in kept


def test_nothing_is_known_of_a_request_that_does_not_exist(engine: Runtime) -> None:
    ghost = ApprovalRequest(id="00000000-0000-7000-8000-000000000000")
    assert isinstance(vote(ghost, ALICE), NotFound)
