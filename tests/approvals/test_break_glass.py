"""Approving alone in an emergency: by whom, never one's own, never against a rule that denies, and what it owes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from approvals.break_glass import Breaking, break_glass, close_review
from approvals.config.loader import ConfigError, load
from approvals.models import ApprovalRequest, OutboundMessage, Review
from approvals.recall import revoke
from approvals.rules.emergency import Emergency, common
from approvals.runtime import Runtime, runtime
from approvals.second_factor import SignIn
from approvals.selectors import sees_payload, visible_to
from approvals.services import CommentMissing, Decided, NotEligible, NotFound, TooLate, VersionMoved
from approvals.states import Status
from approvals.verdicts import Caller
from tests.engine import (
    another_process,
    approver,
    at,
    bring_into_force,
    claimed,
    engine,
    finished,
    fresh,
    groups,
    holds,
    one_of,
    pass_time,
    recorded,
    status,
    together,
    vote,
)
from tests.held import HENRY, ISS, caller, policy_text, signed_in
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, GRACE, Human

__all__ = ["engine"]
ROUNDS = 8


def emergency(**more: Any) -> dict[str, Any]:
    return {"groups": ["security"], **more}


@pytest.fixture
def house(engine: Runtime) -> Runtime:
    """Two of dba decide, and in an emergency one of security alone."""
    bring_into_force(rules=[rule()])
    return engine


def rule(name: str = "one", **more: Any) -> dict[str, Any]:
    return holds(name, one_of("dba", 2), ["one"], break_glass=emergency(**more))


def broken(row: ApprovalRequest, by: Human | Caller = CAROL, reason: str = "orders are down", **more: Any) -> Any:
    person = approver(by) if isinstance(by, Human) else by
    return break_glass(runtime(), row.pk, Breaking(**{"person": person, "reason": reason, "via": "api", **more}))


def closed(row: ApprovalRequest, by: Human | Caller, comment: str = "it was right") -> Any:
    person = approver(by) if isinstance(by, Human) else by
    return close_review(runtime(), approval_id=row.pk, person=person, comment=comment, via="api")


# --- breaking ---


def test_one_person_of_the_group_approves_alone_whatever_the_quorum(house: Runtime) -> None:
    row = fresh()
    assert isinstance(broken(row), Decided)
    assert status(row) == Status.APPROVED
    assert row.source == "break_glass"
    assert recorded(row) == ["approval.requested", "approval.break_glass", "approval.approved"]
    review = Review.objects.get()
    assert (review.request, review.display, review.reason) == (row, "Carol Cruz", "orders are down")
    assert review.is_open
    token = claimed(row)
    assert finished(row, token)
    assert Review.objects.get().is_open, "having run changes nothing of the debt"


def test_everybody_is_told_and_so_are_the_routes_for_alarms(engine: Runtime) -> None:
    channels = {"slack": {"bot_token": "env:T", "signing_secret": "env:S"}}
    alarming = {**rule(notify=[{"slack": "#alarms"}]), "notify": [{"slack": "#db"}]}
    bring_into_force(rules=[alarming], channels=channels)
    row = fresh()
    broken(row)
    closed(row, ALICE)
    told = OutboundMessage.objects.exclude(event="requested")
    assert [(one.target, one.event) for one in told.filter(target="#db")] == [
        ("#db", "approved"),
        ("#db", "break_glass"),
        ("#db", "reviewed"),
    ]
    assert list(told.filter(target="#alarms").values_list("event", flat=True)) == ["break_glass", "reviewed"]


@pytest.mark.parametrize("who", [ALICE, DAVE, EVE, GRACE], ids=["an approver", "an admin", "nobody", "an auditor"])
def test_nobody_else_breaks_the_glass_and_the_attempt_is_recorded(who: Human, house: Runtime) -> None:
    row = fresh()
    assert isinstance(broken(row, who), NotEligible)
    assert status(row) == Status.PENDING
    assert recorded(row) == ["approval.requested", "approval.vote_refused"]
    assert not Review.objects.exists()


@pytest.mark.promise("no-self-approval")
def test_nobody_breaks_the_glass_for_a_request_of_their_own(house: Runtime) -> None:
    bring_into_force(rules=[rule()], groups=groups(security=[CAROL, HENRY]))
    mine, of_my_job = fresh(), fresh(by=caller(HENRY, sub="job", kind="ci", person=f"{ISS}|henry"))
    of_my_address = fresh(by=caller(HENRY, sub="other", email=HENRY.email))
    for row in (mine, of_my_job, of_my_address):
        assert isinstance(broken(row, HENRY), NotEligible)
        assert status(row) == Status.PENDING
    assert isinstance(broken(fresh(by=caller(HENRY, sub="job", kind="ci", person=f"{ISS}|henry")), CAROL), Decided)


def test_a_program_breaks_no_glass_whatever_its_groups(house: Runtime) -> None:
    row = fresh()
    agent = caller(CAROL, kind="agent").with_groups(frozenset({"security"}))
    assert isinstance(broken(row, agent), NotEligible)


def test_where_the_rule_says_nothing_of_it_there_is_no_glass(engine: Runtime) -> None:
    assert isinstance(broken(fresh()), NotEligible)
    assert isinstance(break_glass(engine, "none", Breaking(approver(CAROL), "now", "api")), NotFound)


@pytest.mark.parametrize("reason", ["", "  \n "])
def test_without_a_reason_nothing_is_broken(reason: str, house: Runtime) -> None:
    row = fresh()
    assert isinstance(broken(row, reason=reason), CommentMissing)
    assert (status(row), recorded(row)) == (Status.PENDING, ["approval.requested"])


def test_what_is_written_down_of_it_is_masked(house: Runtime) -> None:
    row = fresh()
    broken(row, reason="it hangs, password=hunter2secret")
    closed(row, ALICE, "the password=hunter3secret was right")
    review = Review.objects.get()
    assert "hunter" not in review.reason + review.comment
    assert "it hangs" in review.reason


@pytest.mark.parametrize("stands", sorted(set(Status) - {Status.PENDING}))
def test_only_what_waits_is_approved_alone(stands: Status, house: Runtime) -> None:
    row = at(stands)
    assert isinstance(broken(row), TooLate)
    assert (status(row), recorded(row)) == (stands, ["approval.requested"])
    assert not Review.objects.exists()


def test_it_beats_neither_time_nor_a_rule_that_changed(house: Runtime) -> None:
    late, outdated = fresh(), fresh()
    pass_time(late, minutes=31)
    assert isinstance(broken(late), TooLate)
    bring_into_force(rules=[rule(), holds("another", one_of("dba"))])
    unchanged = fresh()
    assert isinstance(broken(unchanged), Decided), "another rule is another matter"
    bring_into_force(rules=[{**rule(), "message": "ask first"}])
    assert isinstance(broken(outdated), TooLate)
    assert [status(row) for row in (late, outdated)] == [Status.EXPIRED, Status.SUPERSEDED]


def test_what_somebody_else_changed_meanwhile_is_looked_at_again(house: Runtime) -> None:
    row = fresh()
    version = row.version
    vote(row, ALICE)
    assert isinstance(broken(row, version=version), VersionMoved)
    assert isinstance(broken(row, view="of something else"), VersionMoved)
    assert status(row) == Status.PENDING


@pytest.mark.parametrize("lost", ["group", "account", "rule"])
def test_who_lost_their_standing_by_the_claim_has_broken_nothing(lost: str, house: Runtime) -> None:
    row = fresh()
    broken(row)
    if lost == "account":
        person = signed_in(CAROL)
        person.is_active = False
        person.save()
    elif lost == "group":
        bring_into_force(rules=[rule()], groups=groups(security=[]))
    else:
        bring_into_force(rules=[holds("one", one_of("dba", 2))])
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED
    assert Review.objects.get().is_open


def test_where_several_rules_hold_each_must_know_the_emergency(engine: Runtime) -> None:
    other = holds("other", one_of("dba"), ["one"])
    bring_into_force(rules=[rule(), other])
    assert isinstance(broken(fresh()), NotEligible)
    both = {**other, "approval": {**other["approval"], "break_glass": {"groups": ["platform"], "mfa": "required"}}}
    bring_into_force(rules=[rule(), both], groups=groups(platform=[DAVE, CAROL]))
    row = fresh()
    assert row.emergency == Emergency((("security",), ("platform",)), "required")
    assert isinstance(broken(row, DAVE), NotEligible), "he is in one of the groups only"
    outcome = broken(row, CAROL)
    assert isinstance(outcome, NotEligible)
    assert "second factor" in outcome.reason
    assert isinstance(broken(row, CAROL, via="dashboard", sign_in=sign_in()), Decided)


def test_rules_without_any_emergency_have_none_together() -> None:
    assert common([None, None]) is None
    assert Emergency.parse(None) is None


def sign_in() -> SignIn:
    return SignIn(ISS, CAROL.sub, int(time.time()) - 5, ("pwd", "otp"), "")


def test_a_second_factor_is_shown_on_the_dashboard_alone(engine: Runtime) -> None:
    bring_into_force(rules=[rule(mfa="required")])
    row = fresh()
    assert isinstance(broken(row), NotEligible)
    assert isinstance(broken(row, via="dashboard"), NotEligible)
    assert isinstance(broken(row, via="dashboard", sign_in=sign_in()), Decided)


def test_who_may_break_the_glass_sees_what_waits_and_what_it_carries(house: Runtime) -> None:
    row = fresh()
    policy = house.policies.reload().policy
    carol, eve = approver(CAROL), approver(EVE)
    assert visible_to(carol, policy).filter(pk=row.pk).exists()
    assert sees_payload(row, carol, policy)
    assert not visible_to(eve, policy).filter(pk=row.pk).exists()


def test_whoever_may_decide_it_can_take_such_an_approval_back(house: Runtime) -> None:
    row = fresh()
    broken(row)
    assert isinstance(revoke(house, approval_id=row.pk, person=approver(ALICE), via="api"), Decided)
    assert status(row) == Status.REVOKED
    assert Review.objects.get().is_open


def test_breaking_against_a_denial_has_one_truthful_end(house: Runtime) -> None:
    alice, carol = approver(ALICE), approver(CAROL)
    with another_process():
        for _ in range(ROUNDS):
            row = fresh()
            works: list[Callable[[], Any]] = [partial(broken, row, carol), partial(vote, row, alice, "deny")]
            outcome = together(works)[0]
            if isinstance(outcome, Decided):
                assert status(row) == Status.APPROVED
            else:
                assert isinstance(outcome, TooLate), outcome
                assert status(row) == Status.DENIED
            assert Review.objects.filter(request=row).exists() == (row.status == Status.APPROVED)


def test_two_who_break_it_at_once_break_it_once(house: Runtime) -> None:
    bring_into_force(rules=[rule()], groups=groups(security=[CAROL, DAVE]))
    people = [approver(CAROL), approver(DAVE)]
    for _ in range(ROUNDS):
        row = fresh()
        outcomes = together([partial(broken, row, person) for person in people])
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Decided", "TooLate"]
        assert recorded(row).count("approval.break_glass") == 1


# --- the debt ---


def test_a_second_person_of_those_whom_the_rule_asks_closes_it_with_a_comment(house: Runtime) -> None:
    row = fresh()
    broken(row)
    assert isinstance(closed(row, ALICE, " "), CommentMissing)
    assert isinstance(closed(row, ALICE, "looked at the orders"), Decided)
    review = Review.objects.get()
    assert (review.is_open, review.closed_by, review.comment) == (False, "Alice Ames", "looked at the orders")
    assert recorded(row)[-1] == "approval.reviewed"
    assert isinstance(closed(row, BOB), TooLate)
    assert Review.objects.get().closed_by == "Alice Ames"


def test_neither_who_broke_it_nor_who_asked_nor_anybody_else_closes_it(house: Runtime) -> None:
    in_both = groups(dba=[ALICE, BOB, CAROL, HENRY])
    bring_into_force(rules=[rule()], groups=in_both)
    row = fresh()
    broken(row)
    same_address = Caller(
        iss=ISS, sub="carol-2", kind="person", groups=frozenset({"dba"}), display="Carol", email=CAROL.email
    )
    for who in (CAROL, HENRY, EVE, DAVE, GRACE, same_address, caller(ALICE, kind="agent")):
        assert isinstance(closed(row, who), NotEligible), who
    assert Review.objects.get().is_open
    assert isinstance(closed(row, BOB), Decided)


def test_there_is_nothing_to_close_where_nothing_was_broken(house: Runtime) -> None:
    assert isinstance(closed(fresh(), ALICE), NotFound)


def test_two_who_close_it_at_once_close_it_once(house: Runtime) -> None:
    people = [approver(ALICE), approver(BOB)]
    for _ in range(ROUNDS):
        row = fresh()
        broken(row)
        outcomes = together([partial(closed, row, person) for person in people])
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Decided", "TooLate"]
        assert recorded(row).count("approval.reviewed") == 1


# --- the language ---


@pytest.mark.parametrize(
    ("block", "key", "reason"),
    [
        ({"groups": []}, "groups", "must not be empty"),
        ({"groups": ["nobody"]}, "groups[0]", "unknown group `nobody`"),
        ({"groups": ["dba"], "notify": [{"slack": "#a"}]}, "notify[0].slack", "channels.slack is not configured"),
        ({"groups": ["dba"], "mfa": "sometimes"}, "mfa", "must be optional or required"),
    ],
)
def test_what_it_says_must_be_possible(block: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(policy_text(rules=[holds("one", one_of("dba"), break_glass=block)]))
    (problem,) = caught.value.problems
    assert (problem.key, problem.reason) == (f"rules.one.approval.break_glass.{key}", reason)


def test_its_second_factor_needs_the_dashboard() -> None:
    block = emergency(mfa="required")
    with pytest.raises(ConfigError) as caught:
        load(policy_text(rules=[holds("one", one_of("dba"), break_glass=block, decide_in=["api"])]))
    (problem,) = caught.value.problems
    assert problem.key == "rules.one.approval.break_glass.mfa"


def test_another_route_for_alarms_supersedes_nothing(engine: Runtime) -> None:
    channels = {"slack": {"bot_token": "env:T", "signing_secret": "env:S"}}
    bring_into_force(rules=[rule()], channels=channels)
    row = fresh()
    bring_into_force(rules=[rule(notify=[{"slack": "#alarms"}])], channels=channels)
    assert isinstance(broken(row), Decided)
