"""The life of an approval request: only what the table knows, one winner, and never without its entry in the record."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from approvals import services
from approvals.break_glass import Breaking, break_glass, close_review
from approvals.holding import supersede
from approvals.models import ApprovalRequest, Review
from approvals.recall import nudge, revoke
from approvals.recovery import recover
from approvals.runtime import Runtime
from approvals.services import move
from approvals.states import LIVE, TERMINAL, TRANSITIONS, Status, is_allowed
from approvals.timers import run_due
from sessions.journal import RecordUnavailable
from sessions.models import Entry, OpenCall
from tests.engine import (
    another_process,
    approver,
    ask,
    at,
    bring_into_force,
    claimed,
    engine,
    finished,
    holds,
    one_of,
    opened,
    pass_time,
    recorded,
    refusing,
    status,
    together,
    vote,
)
from tests.held import caller
from tests.people import ALICE, CAROL

__all__ = ["engine"]

ROOT = Path(services.__file__).resolve().parent.parent
REQUESTS = "approvals_approvalrequest"
REVIEWS = "approvals_review"
ENTRIES = "mcp_sessions_entry"


def test_every_pair_of_statuses_goes_only_where_the_table_says(engine: Runtime) -> None:
    row = at(Status.PENDING)
    for old in Status:
        for new in Status:
            ApprovalRequest.objects.filter(pk=row.pk).update(status=old.value, version=7)
            if (old, new) in TRANSITIONS:
                assert move(row.pk, old, new)
                row.refresh_from_db()
                assert (row.status, row.version) == (new.value, 8)
            else:
                with pytest.raises(ValueError, match=f"no transition from {old} to {new}"):
                    move(row.pk, old, new)
                row.refresh_from_db()
                assert (row.status, row.version) == (old.value, 7)


def test_a_move_from_another_status_than_the_row_has_changes_nothing(engine: Runtime) -> None:
    row = at(Status.PENDING)
    for old, new in TRANSITIONS:
        if old is not Status.PENDING:
            assert not move(row.pk, old, new)
    row.refresh_from_db()
    assert (row.status, row.version) == (Status.PENDING, 1)


def test_nothing_leaves_an_end_but_the_answer_to_an_unknown_outcome() -> None:
    assert {old for old, _ in TRANSITIONS if old in TERMINAL} == {Status.OUTCOME_UNKNOWN}
    assert {old for old, _ in TRANSITIONS} == LIVE | {Status.OUTCOME_UNKNOWN}


def test_nothing_runs_that_was_not_approved_and_nothing_becomes_pending_again() -> None:
    assert {old for old, new in TRANSITIONS if new is Status.EXECUTING} == {Status.APPROVED}
    assert {old for old, new in TRANSITIONS if new is Status.APPROVED} == {Status.PENDING}
    assert not any(is_allowed(old, Status.PENDING) for old in Status)


@pytest.mark.parametrize("unknown", ["", "Pending", "done"])
def test_the_database_refuses_a_status_that_does_not_exist(unknown: str, engine: Runtime) -> None:
    row = at(Status.PENDING)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApprovalRequest.objects.filter(pk=row.pk).update(status=unknown)
    assert status(row) == Status.PENDING


def test_only_one_place_of_the_product_writes_a_status() -> None:
    writers = []
    for package in ("approvals", "proxy", "gatewayproj", "sessions", "masking"):
        for path in (ROOT / package).rglob("*.py"):
            if "migrations" not in path.parts:
                writers += [path.name for call in ast.walk(ast.parse(path.read_text())) if _writes_status(call)]
    # Proposals of a publication and requests to erase have a status of their own.
    assert sorted(name for name in writers if name not in {"four_eyes.py", "erasure.py"}) == ["services.py"]


def _writes_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign):
        return any(ast.unparse(target) in {"request.status", "row.status"} for target in node.targets)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in {"update", "bulk_update"} and any(word.arg == "status" for word in node.keywords)


@pytest.mark.parametrize("threads", [12])
def test_of_many_that_move_one_row_at_once_exactly_one_wins(threads: int, engine: Runtime) -> None:
    row = at(Status.PENDING)
    ends = [Status.APPROVED, Status.DENIED, Status.EXPIRED, Status.CANCELLED]
    works = [partial(move, row.pk, Status.PENDING, ends[index % len(ends)]) for index in range(threads)]
    won = together(works)
    assert sorted(won, key=str) == [False] * (threads - 1) + [True]
    assert status(row) == ends[won.index(True) % len(ends)]
    assert row.version == 2


# Each transition with its entry. A case prepares a request and returns what makes the transition.

Act = Callable[[], Any]


def voting(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = opened(ask("two")), approver(ALICE)
    return row, lambda: vote(row, who)


def approving(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = opened(ask()), approver(ALICE)
    return row, lambda: vote(row, who)


def denying(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = opened(ask()), approver(ALICE)
    return row, lambda: vote(row, who, "deny")


def withdrawing(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    return row, lambda: services.cancel(engine, approval_id=row.pk, caller=caller())


def withdrawing_what_is_approved(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    vote(row, ALICE)
    return row, lambda: services.cancel(engine, approval_id=row.pk, caller=caller())


def revoking(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = opened(ask()), approver(ALICE)
    vote(row, who)
    return row, lambda: revoke(engine, approval_id=row.pk, person=who, via="api")


def nudging(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    pass_time(row, minutes=6)
    return row, lambda: nudge(engine, approval_id=row.pk, caller=caller())


def reminding(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    pass_time(row, minutes=16)
    return row, lambda: run_due(engine)


def escalating(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    step = [{"after": "5m", "add_groups": ["security"]}]
    bring_into_force(rules=[holds("one", one_of("dba"), escalate=step, remind_after="0s")])
    row = opened(ask())
    pass_time(row, minutes=6)
    return row, lambda: run_due(engine)


def breaking_the_glass(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    bring_into_force(rules=[holds("one", one_of("dba", 2), break_glass={"groups": ["security"]})])
    row, who = opened(ask()), approver(CAROL)
    return row, lambda: break_glass(engine, row.pk, Breaking(who, "orders are down", "api"))


def reviewing(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, act = breaking_the_glass(engine)
    act()
    who = approver(ALICE)
    return row, lambda: close_review(engine, approval_id=row.pk, person=who, comment="fine", via="api")


def expiring(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    pass_time(row, hours=1)
    return row, lambda: run_due(engine)


def voting_too_late(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = opened(ask()), approver(ALICE)
    pass_time(row, hours=1)
    return row, lambda: vote(row, who)


def lapsing(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    vote(row, ALICE)
    pass_time(row, minutes=11)
    return row, lambda: run_due(engine)


def superseding(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    snapshot = engine.policies.current
    return row, lambda: engine.journal.transact_now(lambda: (None, supersede(row, snapshot, cause="tool")))


def claiming(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    vote(row, ALICE)
    return row, lambda: claimed(row)


def finishing(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    vote(row, ALICE)
    token = claimed(row)
    return row, lambda: finished(row, token)


def recovering(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row = opened(ask())
    vote(row, ALICE)
    with another_process() as killed:
        claimed(row, killed)
    return row, lambda: recover(engine, exclusive=True)


def resolving(engine: Runtime) -> tuple[ApprovalRequest, Act]:
    row, who = at(Status.OUTCOME_UNKNOWN), approver(ALICE)
    return row, lambda: vote(row, who, "resolve")


CASES = {
    voting: (Status.PENDING, ["approval.voted"]),
    approving: (Status.APPROVED, ["approval.voted", "approval.approved"]),
    denying: (Status.DENIED, ["approval.voted", "approval.denied"]),
    withdrawing: (Status.CANCELLED, ["approval.cancelled"]),
    withdrawing_what_is_approved: (Status.CANCELLED, ["approval.cancelled"]),
    revoking: (Status.REVOKED, ["approval.revoked"]),
    nudging: (Status.PENDING, ["approval.nudged"]),
    reminding: (Status.PENDING, ["approval.reminded"]),
    escalating: (Status.PENDING, ["approval.escalated"]),
    breaking_the_glass: (Status.APPROVED, ["approval.break_glass", "approval.approved"]),
    reviewing: (Status.APPROVED, ["approval.reviewed"]),
    expiring: (Status.EXPIRED, ["approval.expired"]),
    voting_too_late: (Status.EXPIRED, ["approval.expired"]),
    lapsing: (Status.LAPSED, ["approval.lapsed"]),
    superseding: (Status.SUPERSEDED, ["approval.superseded"]),
    claiming: (Status.EXECUTING, ["call.intent"]),
    finishing: (Status.EXECUTED, ["call.result"]),
    recovering: (Status.OUTCOME_UNKNOWN, ["call.unknown"]),
    resolving: (Status.FAILED, ["approval.resolved"]),
}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@each_case
def test_a_transition_and_its_entry_stand_together(case: Any, engine: Runtime) -> None:
    row, act = case(engine)
    before = recorded(row)
    act()
    wanted, kinds = CASES[case]
    assert status(row) == wanted
    assert recorded(row)[len(before) :] == kinds


@each_case
def test_without_its_entry_there_is_no_transition(case: Any, engine: Runtime) -> None:
    row, act = case(engine)
    before = _all_of(row)
    with refusing(ENTRIES, "INSERT"), pytest.raises(RecordUnavailable):
        act()
    assert _all_of(row) == before


@each_case
def test_without_the_transition_there_is_no_entry(case: Any, engine: Runtime) -> None:
    row, act = case(engine)
    before = _all_of(row)
    with refusing(REVIEWS if case is reviewing else REQUESTS, "UPDATE"), pytest.raises(DatabaseError):
        act()
    assert _all_of(row) == before


def _all_of(row: ApprovalRequest) -> Any:
    row.refresh_from_db()
    said = list(row.votes.values_list("sub", "decision"))
    calls = list(OpenCall.objects.filter(call_id=row.call_id).values_list("call_id", flat=True))
    about = recorded(row)
    assert Entry.objects.count() >= len(about)
    reviews = list(Review.objects.filter(request=row).values_list("closed_at", flat=True))
    timers = reviews, row.reminded, row.escalated, row.nudged_at, row.next_action_at
    return row.status, row.version, row.claim, row.executed, timers, said, calls, about


def test_a_request_that_cannot_be_recorded_is_not_opened(engine: Runtime) -> None:
    with refusing(ENTRIES, "INSERT"), pytest.raises(RecordUnavailable):
        opened(ask())
    assert not ApprovalRequest.objects.exists()
    row = opened(ask())
    assert recorded(row) == ["approval.requested"]
