"""Every action from every status: what the table below names happens, with its entries, and nothing else ever does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from approvals import services
from approvals.break_glass import Breaking, break_glass
from approvals.database import database_now
from approvals.holding import finish, supersede
from approvals.models import ApprovalRequest, Vote
from approvals.recall import nudge, revoke
from approvals.runtime import Runtime, runtime
from approvals.states import TRANSITIONS, Status
from approvals.timers import run_due
from sessions.events import Event
from tests.engine import (
    approver,
    bring_into_force,
    claimed,
    engine,
    fresh,
    holds,
    intent,
    one_of,
    pass_time,
    recorded,
    vote,
)
from tests.held import ISS, caller
from tests.people import ALICE, BOB, CAROL

__all__ = ["engine"]

Act = Callable[[ApprovalRequest], Any]
TOKEN = "0b5b6a52-6a3c-4a55-8a43-5d0e2f6f2a11"


def rule(comment: str = "required_on_deny") -> dict[str, Any]:
    """One of dba; an emergency for security, who join after five minutes, when people are reminded as well."""
    step = [{"after": "5m", "add_groups": ["security"]}]
    alone = {"groups": ["security"]}
    terms: dict[str, Any] = {"remind_after": "5m", "escalate": step, "break_glass": alone, "comment": comment}
    return holds("one", one_of("dba"), **terms)


def standing(status: Status) -> ApprovalRequest:
    """Return a request at this status for which Alice has voted and which is claimed, as if it had come there."""
    row, now = fresh(), database_now()
    said = {"display": "Alice", "groups": ["dba"], "decision": "approve", "via": "api", "at": now}
    if status is Status.EXECUTING:
        runtime().journal.append_now(intent(row))
    if status is not Status.PENDING:
        approver(ALICE)  # is known, so that her standing can be looked at
        Vote.objects.create(request=row, iss=ISS, sub=ALICE.sub, **said)
    until = now + timedelta(minutes=10) if status is Status.APPROVED else None
    claim = "" if status in {Status.PENDING, Status.APPROVED} else TOKEN
    ApprovalRequest.objects.filter(pk=row.pk).update(status=status.value, execute_by=until, claim=claim)
    row.refresh_from_db()
    return row


def finishing(row: ApprovalRequest) -> None:
    def work() -> tuple[None, Sequence[Event]]:
        ended = finish(row.pk, TOKEN, Status.EXECUTED, executed="true", result=b"{}", heard=True)
        result = Event(kind="call.result", call_id=row.call_id, facts={"approval": row.pk})
        return None, [result] if ended else []

    runtime().journal.transact_now(work)


def superseding(row: ApprovalRequest) -> None:
    snapshot = runtime().policies.current
    runtime().journal.transact_now(lambda: (None, supersede(row, snapshot, cause="tool")))


def after(act: Act, **span: float) -> Act:
    def later(row: ApprovalRequest) -> None:
        pass_time(row, **span)
        act(row)

    return later


def under_another_rule(act: Act) -> Act:
    def changed(row: ApprovalRequest) -> None:
        bring_into_force(rules=[rule("optional")])
        act(row)
        bring_into_force(rules=[rule()])

    return changed


def approving(row: ApprovalRequest) -> Any:
    return vote(row, BOB)


def breaking(row: ApprovalRequest) -> Any:
    return break_glass(runtime(), row.pk, Breaking(approver(CAROL), "orders are down", "api"))


def sweeping(row: ApprovalRequest) -> Any:
    return run_due(runtime())


P, A = Status.PENDING, Status.APPROVED
# What each action does, by where the request stands: where it leads, and what the record says of it.
TABLE: dict[str, tuple[Act, dict[Status, tuple[Status, list[str]]]]] = {
    "approve": (approving, {P: (A, ["approval.voted", "approval.approved"])}),
    "deny": (lambda row: vote(row, BOB, "deny"), {P: (Status.DENIED, ["approval.voted", "approval.denied"])}),
    "approve too late": (after(approving, minutes=31), {P: (Status.EXPIRED, ["approval.expired"])}),
    "approve under another rule": (
        under_another_rule(approving),
        {P: (Status.SUPERSEDED, ["approval.superseded"])},
    ),
    "resolve": (
        lambda row: vote(row, BOB, "resolve", comment="looked"),
        {Status.OUTCOME_UNKNOWN: (Status.FAILED, ["approval.resolved"])},
    ),
    "withdraw": (
        lambda row: services.cancel(runtime(), approval_id=row.pk, caller=caller()),
        {P: (Status.CANCELLED, ["approval.cancelled"]), A: (Status.CANCELLED, ["approval.cancelled"])},
    ),
    "nudge": (
        after(lambda row: nudge(runtime(), approval_id=row.pk, caller=caller()), minutes=6),
        {P: (P, ["approval.nudged"])},
    ),
    "revoke": (
        lambda row: revoke(runtime(), approval_id=row.pk, person=approver(ALICE), via="api"),
        {A: (Status.REVOKED, ["approval.revoked"])},
    ),
    "break the glass": (breaking, {P: (A, ["approval.break_glass", "approval.approved"])}),
    "break the glass too late": (after(breaking, minutes=31), {P: (Status.EXPIRED, ["approval.expired"])}),
    "remind and escalate": (
        after(sweeping, minutes=6),
        {P: (P, ["approval.escalated", "approval.reminded"])},
    ),
    "expire and lapse": (
        after(sweeping, minutes=31),
        {P: (Status.EXPIRED, ["approval.expired"]), A: (Status.LAPSED, ["approval.lapsed"])},
    ),
    "supersede": (
        superseding,
        {P: (Status.SUPERSEDED, ["approval.superseded"]), A: (Status.SUPERSEDED, ["approval.superseded"])},
    ),
    "claim": (claimed, {A: (Status.EXECUTING, ["call.intent"])}),
    "claim under another rule": (under_another_rule(claimed), {A: (Status.SUPERSEDED, ["approval.superseded"])}),
    "finish": (finishing, {Status.EXECUTING: (Status.EXECUTED, ["call.result"])}),
}


@pytest.mark.parametrize("action", TABLE)
def test_an_action_does_what_the_table_says_and_from_elsewhere_nothing(action: str, engine: Runtime) -> None:
    bring_into_force(rules=[rule()])
    act, effects = TABLE[action]
    for status in Status:
        row = standing(status)
        before = recorded(row)
        act(row)
        row.refresh_from_db()
        wanted, entries = effects.get(status, (status, []))
        assert (row.status, recorded(row)[len(before) :]) == (wanted, entries), status


def test_no_action_leads_where_the_table_of_transitions_does_not() -> None:
    led = {(old, new) for _, effects in TABLE.values() for old, (new, _) in effects.items() if old is not new}
    assert led <= TRANSITIONS
