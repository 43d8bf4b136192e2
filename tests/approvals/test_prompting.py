"""Reminders and escalation: each exactly once, on time or late, never after the decision, and never for more time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from approvals.models import ApprovalRequest, OutboundMessage
from approvals.recall import nudge
from approvals.rules.quorum import Quorum
from approvals.rules.timetable import Escalation, Timetable, reminders
from approvals.runtime import Runtime, runtime
from approvals.selectors import visible_to
from approvals.services import Decided, NotEligible
from approvals.states import Status
from approvals.timers import SWEEP_BATCH, run_due
from gatewayproj import metrics
from sessions import leaf as leaves
from sessions.models import Entry
from tests.engine import (
    another_process,
    approver,
    at,
    bring_into_force,
    claimed,
    engine,
    fresh,
    groups,
    holds,
    one_of,
    pass_time,
    places,
    recorded,
    status,
    together,
    vote,
)
from tests.held import HENRY, caller
from tests.people import ALICE, BOB, CAROL, DAVE, Human

__all__ = ["engine"]

TWICE = [{"after": "10m", "add_groups": ["security"]}, {"after": "20m", "add_groups": ["platform"]}]
ROUNDS = 8


def escalating(require: Any = None, **terms: Any) -> ApprovalRequest:
    """Open a request that security joins after ten minutes and platform after twenty, with no reminders."""
    rule = holds("one", require or one_of("dba"), **{"remind_after": "0s", "escalate": TWICE, **terms})
    bring_into_force(rules=[rule])
    return fresh()


def facts(request: ApprovalRequest, kind: str) -> list[dict[str, Any]]:
    found = [leaves.decode(bytes(row)) for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]
    return [dict(leaf.facts) for leaf in found if leaf.kind == kind and leaf.facts.get("approval") == request.pk]


# --- when ---


@pytest.mark.parametrize(
    ("remind_after", "expires_after", "wanted"),
    [
        (None, 1800, (900, 1620)),
        (None, 1, ()),
        (300, 1800, (300, 600, 1200)),
        (1799, 1800, (1799,)),
        (0, 1800, ()),
        (1, 10**9, tuple(2**power for power in range(30))),
    ],
)
def test_reminders_are_few_and_all_before_the_end(
    remind_after: int | None, expires_after: int, wanted: tuple[int, ...]
) -> None:
    assert reminders(remind_after, expires_after) == wanted


def test_a_timetable_reads_back_from_what_is_stored_and_an_older_request_has_none() -> None:
    table = Timetable((5, 10), (Escalation(7, ("security", "corp/leads"), 1),))
    assert Timetable.parse(table.document()) == table
    assert Timetable.parse({"require": {}}) == Timetable()
    assert [table.next_after(0, 0), table.next_after(1, 0), table.next_after(1, 1), table.next_after(2, 1)] == [
        5,
        7,
        10,
        None,
    ]


def test_where_a_rule_says_nothing_people_are_reminded_at_half_and_at_nine_tenths(engine: Runtime) -> None:
    row = fresh()
    pass_time(row, minutes=14)
    assert run_due(engine) == 0
    pass_time(row, minutes=1)
    assert [run_due(engine), run_due(engine)] == [1, 0]
    pass_time(row, minutes=12)
    assert [run_due(engine), run_due(engine)] == [1, 0]
    assert recorded(row) == ["approval.requested", "approval.reminded", "approval.reminded"]
    assert [fact["number"] for fact in facts(row, "approval.reminded")] == [1, 2]


def test_a_reminder_moves_nothing_that_an_approver_has_before_them(engine: Runtime) -> None:
    row = fresh()
    pass_time(row, minutes=16)
    run_due(engine)
    assert isinstance(vote(row, ALICE, version=row.version), Decided)


def test_a_rule_that_says_never_reminds_nobody(engine: Runtime) -> None:
    bring_into_force(rules=[holds("one", one_of("dba"), remind_after="0s")])
    row = fresh()
    assert row.next_action_at is None
    pass_time(row, minutes=29)
    assert run_due(engine) == 0


def test_a_sweep_that_comes_late_escalates_everything_and_reminds_once(engine: Runtime) -> None:
    row = escalating(remind_after="2m")
    pass_time(row, minutes=21)
    assert [run_due(engine), run_due(engine)] == [1, 0]
    assert recorded(row) == ["approval.requested", "approval.escalated", "approval.escalated", "approval.reminded"]
    assert [fact["groups"] for fact in facts(row, "approval.escalated")] == [["security"], ["platform"]]
    assert facts(row, "approval.reminded")[0]["number"] == 4
    row.refresh_from_db()
    assert (row.reminded, row.escalated, row.next_action_at) == (4, 2, None)


def test_each_route_is_told_of_reminders_and_escalations(engine: Runtime) -> None:
    row = escalating(remind_after="2m")
    terms = {**row.terms, "notify": [{"slack": "#db"}, {"webhook": "ops"}]}
    ApprovalRequest.objects.filter(pk=row.pk).update(terms=terms)
    pass_time(row, minutes=11)
    run_due(engine)
    run_due(engine)
    for channel in ("slack", "webhook"):
        told = OutboundMessage.objects.filter(approval=row.pk, channel=channel).values_list("event", flat=True)
        assert list(told) == ["escalated", "reminded"]


def test_a_sweep_that_comes_after_the_end_only_ends(engine: Runtime) -> None:
    row = escalating(remind_after="2m")
    pass_time(row, minutes=31)
    assert [run_due(engine), run_due(engine)] == [1, 0]
    assert recorded(row) == ["approval.requested", "approval.expired"]


@pytest.mark.parametrize("ended", sorted(set(Status) - {Status.PENDING}))
def test_nothing_but_a_pending_request_is_brought_to_mind(ended: Status, engine: Runtime) -> None:
    row = at(ended)
    ApprovalRequest.objects.filter(pk=row.pk).update(execute_by=None)
    pass_time(row, minutes=16)
    assert run_due(engine) == 0
    assert status(row) == ended
    assert recorded(row) == ["approval.requested"]


def test_an_escalation_never_makes_the_time_longer(engine: Runtime) -> None:
    row = escalating()
    until = row.expires_at - row.created_at
    pass_time(row, minutes=21)
    run_due(engine)
    row.refresh_from_db()
    assert row.expires_at - row.created_at == until
    pass_time(row, minutes=10)
    assert run_due(engine) == 1
    assert status(row) == Status.EXPIRED


def test_a_request_from_before_there_were_timetables_is_left_alone(engine: Runtime) -> None:
    row = fresh()
    terms = {name: value for name, value in row.terms.items() if name not in {"remind", "escalate"}}
    ApprovalRequest.objects.filter(pk=row.pk).update(terms=terms, next_action_at=None)
    pass_time(row, minutes=29)
    assert run_due(engine) == 0
    vote(row, ALICE)
    assert status(row) == Status.APPROVED


# --- who ---


def test_members_of_an_added_group_can_decide_from_then_on_and_not_before(engine: Runtime) -> None:
    row = escalating()
    assert isinstance(vote(row, CAROL), NotEligible)
    pass_time(row, minutes=11)
    run_due(engine)
    assert isinstance(vote(row, DAVE), NotEligible)
    assert isinstance(vote(row, CAROL), Decided)
    assert status(row) == Status.APPROVED
    assert claimed(row)


def test_a_vote_of_an_added_group_counts_at_the_claim_only_while_its_voter_is_in_it(engine: Runtime) -> None:
    row = escalating()
    pass_time(row, minutes=11)
    run_due(engine)
    vote(row, CAROL)
    rule = holds("one", one_of("dba"), remind_after="0s", escalate=TWICE)
    bring_into_force(rules=[rule], groups=groups(security=[]))
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED


def sees(human: Human, row: ApprovalRequest) -> bool:
    policy = runtime().policies.reload().policy
    return visible_to(approver(human), policy).filter(pk=row.pk).exists()


def test_an_added_group_sees_the_request_from_then_on_and_not_before(engine: Runtime) -> None:
    row = escalating()
    assert [sees(human, row) for human in (ALICE, CAROL)] == [True, False]
    pass_time(row, minutes=11)
    run_due(engine)
    assert [sees(human, row) for human in (ALICE, CAROL)] == [True, True]
    another = fresh()
    assert [sees(human, another) for human in (ALICE, CAROL)] == [True, False]


def test_added_groups_join_every_alternative_and_every_place(engine: Runtime) -> None:
    row = escalating({"all_of": places(("dba", 1), ("dba", 1))})
    pass_time(row, minutes=11)
    run_due(engine)
    vote(row, ALICE)
    assert status(row) == Status.PENDING
    vote(row, CAROL)
    assert status(row) == Status.APPROVED


def test_a_vote_from_before_counts_in_the_group_that_joined_since(engine: Runtime) -> None:
    """Alice is in both groups: when security may fill any place, she fills that of security and Bob that of dba."""
    steps = [{"after": "10m", "add_groups": ["security"]}]
    rule = holds("one", {"all_of": places(("platform", 1), ("dba", 1))}, remind_after="0s", escalate=steps)
    bring_into_force(rules=[rule], groups=groups(security=[ALICE]))
    row = fresh()
    vote(row, ALICE)
    pass_time(row, minutes=11)
    run_due(engine)
    vote(row, BOB)
    assert status(row) == Status.APPROVED


def test_where_two_rules_hold_each_escalates_its_own_part(engine: Runtime) -> None:
    rules = [
        holds("each-dba", one_of("dba"), ["one"], remind_after="0s", escalate=TWICE[:1], expires_after="1h"),
        holds("each-platform", one_of("platform"), ["one"], remind_after="0s", expires_after="15m"),
    ]
    bring_into_force(rules=rules)
    row = fresh()
    pass_time(row, minutes=11)
    run_due(engine)
    vote(row, CAROL)
    assert status(row) == Status.PENDING
    vote(row, DAVE)
    assert status(row) == Status.APPROVED
    assert claimed(row)


def test_what_would_come_after_the_end_that_another_rule_sets_never_comes(engine: Runtime) -> None:
    rules = [
        holds("each-dba", one_of("dba"), ["one"], escalate=TWICE, expires_after="1h"),
        holds("each-platform", one_of("platform"), ["one"], remind_after="0s", expires_after="15m"),
    ]
    bring_into_force(rules=rules)
    assert fresh().timetable == Timetable((), (Escalation(600, ("security",), 0),))


def test_escalating_changes_the_quorum_and_not_what_was_asked(engine: Runtime) -> None:
    row = escalating()
    asked = row.terms
    pass_time(row, minutes=11)
    version = row.version
    run_due(engine)
    row.refresh_from_db()
    assert row.terms == asked
    assert row.version == version + 1
    assert row.quorum == Quorum.parse({"any_of": [{"groups": ["dba", "security"], "count": 1}]})


def test_the_requester_stays_out_of_it_in_a_group_that_joins(engine: Runtime) -> None:
    rule = holds("one", one_of("dba"), remind_after="0s", escalate=TWICE[:1])
    bring_into_force(rules=[rule], groups=groups(security=[CAROL, HENRY]))
    row = fresh(by=caller())
    pass_time(row, minutes=11)
    run_due(engine)
    outcome = vote(row, HENRY)
    assert isinstance(outcome, NotEligible)
    assert "your own request" in outcome.reason


# --- at the same moment ---


def test_two_sweeps_at_once_remind_and_escalate_once(engine: Runtime) -> None:
    escalating(remind_after="10m")
    with another_process() as other:
        for _ in range(ROUNDS):
            rows = [fresh() for _ in range(3)]
            for row in rows:
                pass_time(row, minutes=11)
            done = together([partial(run_due, engine), partial(run_due, other)])
            assert sum(count for count in done if isinstance(count, int)) == len(rows), done
            for row in rows:
                assert recorded(row) == ["approval.requested", "approval.escalated", "approval.reminded"]


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_reminder_against_a_decision_comes_before_it_or_not_at_all(decision: str, engine: Runtime) -> None:
    with another_process() as other:
        for _ in range(ROUNDS):
            row, alice = fresh(), approver(ALICE)
            pass_time(row, minutes=16)
            works: list[Callable[[], Any]] = [partial(vote, row, alice, decision), partial(run_due, other)]
            together(works)
            wanted = "approved" if decision == "approve" else "denied"
            story = recorded(row)
            assert story in (
                ["approval.requested", "approval.voted", f"approval.{wanted}"],
                ["approval.requested", "approval.reminded", "approval.voted", f"approval.{wanted}"],
            )


def test_an_escalation_against_a_vote_of_the_added_group_lets_it_in_or_not(engine: Runtime) -> None:
    escalating()
    carol = approver(CAROL)
    with another_process() as other:
        for _ in range(ROUNDS):
            row = fresh()
            pass_time(row, minutes=11)
            works: list[Callable[[], Any]] = [partial(vote, row, carol), partial(run_due, other)]
            outcome = together(works)[0]
            if isinstance(outcome, Decided):
                assert status(row) == Status.APPROVED
                assert recorded(row)[1:] == ["approval.escalated", "approval.voted", "approval.approved"]
            else:
                assert isinstance(outcome, NotEligible)
                assert status(row) == Status.PENDING
            assert recorded(row).count("approval.escalated") == 1


def test_a_crowd_is_prompted_in_portions(engine: Runtime) -> None:
    row = fresh()
    columns = {field.attname: getattr(row, field.attname) for field in ApprovalRequest._meta.concrete_fields}
    earlier = {name: columns[name] - timedelta(minutes=16) for name in ("created_at", "expires_at", "next_action_at")}
    ApprovalRequest.objects.bulk_create(
        ApprovalRequest(**{**columns, **earlier, "id": f"crowd-{number}"}) for number in range(SWEEP_BATCH + 1)
    )
    assert [run_due(engine), run_due(engine), run_due(engine)] == [SWEEP_BATCH, 1, 0]


def test_monitoring_counts_them(engine: Runtime) -> None:
    metrics.watch_record(engine.journal)
    row = escalating(remind_after="2m")
    before = _counted()
    pass_time(row, minutes=11)
    run_due(engine)
    nudge(engine, approval_id=row.pk, caller=caller())
    engine.journal.stop()  # its last batch is counted before it ends
    assert {kind: count - before.get(kind, 0) for kind, count in _counted().items()} == {
        "escalated": 1,
        "reminded": 1,
        "nudged": 1,
    }


def _counted() -> dict[str, float]:
    (family,) = (found for found in metrics.registry.collect() if found.name == "holdgate_prompts")
    return {sample.labels["kind"]: sample.value for sample in family.samples if sample.name.endswith("_total")}
