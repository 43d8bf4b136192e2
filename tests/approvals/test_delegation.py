"""Somebody is away and another one decides in their place: within the dates, once, and never more than they could."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F

from approvals import accounts, delegation
from approvals.database import database_now
from approvals.delegation import Delegated
from approvals.models import ApprovalRequest, Delegation, Person
from approvals.runtime import Runtime
from approvals.selectors import sees_payload, visible_to
from approvals.services import Decided, NotEligible
from approvals.states import Status
from sessions import leaf as leaves
from sessions.models import Entry
from tests.engine import (
    RULES,
    approver,
    ask,
    bring_into_force,
    claimed,
    engine,
    fresh,
    groups,
    holds,
    one_of,
    opened,
    rule_on,
    status,
    vote,
)
from tests.held import HENRY, ISS, caller, signed_in
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, Human

__all__ = ["engine"]

DAY = timedelta(days=1)
ENGINEERS = frozenset({"corp/engineering"})


def away(house: Runtime, who: Human, to: Human, *, starts: datetime | None = None, days: float = 3) -> Delegation:
    """Let one of the cast stand in for another, from now on or from a moment."""
    outcome = delegation.delegate(
        house, signed_in(who), signed_in(to).key, starts, (starts or database_now()) + days * DAY
    )
    assert isinstance(outcome, Delegated), outcome
    return outcome.delegation


def entries() -> list[leaves.Leaf]:
    return [leaves.decode(bytes(row)) for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]


def test_who_stands_in_decides_and_it_is_written_for_whom(engine: Runtime) -> None:
    row = fresh()
    assert isinstance(vote(row, EVE), NotEligible)
    away(engine, BOB, EVE)

    assert isinstance(vote(row, EVE), Decided)

    assert status(row) == Status.APPROVED
    cast = row.votes.get()
    assert (cast.display, cast.on_behalf_of, cast.groups) == ("Eve Ekman", f"{ISS}|bob", ["dba"])
    assert cast.who == "Eve Ekman, in place of Bob Byrne"
    facts = {leaf.kind: leaf.facts for leaf in entries()}
    assert facts["approval.voted"]["on_behalf_of"] == facts["delegation.made"]["delegator"]
    assert claimed(row)


def test_who_stands_in_may_deny_too(engine: Runtime) -> None:
    away(engine, BOB, EVE)
    row = fresh()
    assert isinstance(vote(row, EVE, "deny"), Decided)
    assert status(row) == Status.DENIED


# --- what bars it ---


def before_it_begins(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE, starts=database_now() + DAY)
    return fresh()


def after_its_end(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    Delegation.objects.update(starts_at=F("starts_at") - 4 * DAY, ends_at=F("ends_at") - 4 * DAY)
    return fresh()


def revoked(house: Runtime) -> ApprovalRequest:
    delegation.revoke(house, away(house, BOB, EVE).pk, signed_in(BOB))
    return fresh()


def given_back(house: Runtime) -> ApprovalRequest:
    delegation.revoke(house, away(house, BOB, EVE).pk, signed_in(EVE))
    return fresh()


def who_is_away_left_the_group(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    bring_into_force(groups=groups(dba=[ALICE]))
    return fresh()


def who_is_away_was_switched_off(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    Person.objects.filter(sub="bob").update(is_active=False)
    return fresh()


def who_is_away_asked(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    return opened(ask(by=caller(BOB, groups=ENGINEERS)))


def who_is_away_started_the_job(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    accounts.sync_claims(house, signed_in(BOB), {f"{ISS}/github|7": ""})
    return opened(ask(by=caller(HENRY, kind="ci", starter=f"{ISS}/github|7")))


def who_is_away_answers_for_the_job(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    return opened(ask(by=caller(HENRY, kind="ci", owned_by=("dba",))))


def who_stands_in_asked(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    return opened(ask(by=caller(EVE, groups=ENGINEERS)))


def who_stands_in_answers_for_the_job(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    bring_into_force(groups=groups(platform=[EVE]))
    return opened(ask(by=caller(HENRY, kind="ci", owned_by=("platform",))))


def the_rule_forbids_it(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    bring_into_force(rules=rule_on(holds("one", one_of("dba"), delegation="forbidden")))
    return fresh()


def one_of_two_rules_forbids_it(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    bring_into_force(rules=[*RULES, holds("strict", one_of("dba"), ["one"], delegation="forbidden")])
    return fresh()


def it_was_handed_on(house: Runtime) -> ApprovalRequest:
    away(house, BOB, CAROL)
    away(house, CAROL, EVE)
    return fresh()


def both_are_one_person_by_now(house: Runtime) -> ApprovalRequest:
    away(house, BOB, EVE)
    accounts.accept_link(house, accounts.invite_account(signed_in(BOB)), signed_in(EVE))
    return fresh()


def who_is_away_has_decided(house: Runtime) -> ApprovalRequest:
    row = fresh("two")
    vote(row, BOB)
    away(house, BOB, EVE)
    return row


def who_is_away_is_of_another_group(house: Runtime) -> ApprovalRequest:
    away(house, CAROL, EVE)
    return fresh()


BARRED = [
    before_it_begins,
    after_its_end,
    revoked,
    given_back,
    who_is_away_left_the_group,
    who_is_away_was_switched_off,
    who_is_away_asked,
    who_is_away_started_the_job,
    who_is_away_answers_for_the_job,
    who_stands_in_asked,
    who_stands_in_answers_for_the_job,
    the_rule_forbids_it,
    one_of_two_rules_forbids_it,
    it_was_handed_on,
    both_are_one_person_by_now,
    who_is_away_has_decided,
    who_is_away_is_of_another_group,
]


@pytest.mark.promise("no-self-approval")
@pytest.mark.parametrize("case", BARRED, ids=lambda case: case.__name__)
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_nobody_stands_in(case: Callable[[Runtime], ApprovalRequest], decision: str, engine: Runtime) -> None:
    row = case(engine)
    assert isinstance(vote(row, EVE, decision), NotEligible)
    assert status(row) == Status.PENDING
    assert not row.votes.filter(sub="eve").exists()


def test_an_agent_stands_in_for_nobody(engine: Runtime) -> None:
    away(engine, BOB, EVE)
    kinds: tuple[Any, ...] = ("agent", "ci")
    for kind in kinds:
        assert isinstance(vote(fresh(), caller(EVE, kind=kind)), NotEligible)


# --- one human being, one place ---


def test_who_is_back_and_who_stood_in_fill_one_place(engine: Runtime) -> None:
    away(engine, BOB, EVE)
    row = fresh("two")
    vote(row, EVE)
    assert isinstance(vote(row, BOB), Decided)
    assert status(row) == Status.PENDING
    vote(row, ALICE)
    assert status(row) == Status.APPROVED


def test_who_is_back_denies_what_their_stand_in_approved(engine: Runtime) -> None:
    away(engine, BOB, EVE)
    row = fresh("two")
    vote(row, EVE)
    assert isinstance(vote(row, BOB, "deny"), Decided)
    assert status(row) == Status.DENIED


def test_who_stands_in_for_two_is_one(engine: Runtime) -> None:
    away(engine, ALICE, EVE)
    away(engine, BOB, EVE)
    row = fresh("two")
    vote(row, EVE)
    vote(row, EVE)
    assert status(row) == Status.PENDING
    assert row.votes.count() == 1


def test_two_who_stood_in_for_one_after_the_other_fill_one_place(engine: Runtime) -> None:
    first = away(engine, BOB, EVE)
    row = fresh("two")
    vote(row, EVE)
    delegation.revoke(engine, first.pk, signed_in(BOB))
    away(engine, BOB, DAVE)
    assert isinstance(vote(row, DAVE), NotEligible)
    assert status(row) == Status.PENDING


def test_who_may_decide_themselves_does_so_in_their_own_right(engine: Runtime) -> None:
    away(engine, BOB, ALICE)
    row = fresh("two")
    vote(row, ALICE)
    assert row.votes.get().on_behalf_of == ""
    assert status(row) == Status.PENDING
    vote(row, BOB)
    assert status(row) == Status.APPROVED


def test_a_stand_in_fills_the_place_of_who_is_away_and_no_other(engine: Runtime) -> None:
    away(engine, CAROL, EVE)
    row = fresh("both")
    vote(row, EVE)
    assert status(row) == Status.PENDING
    vote(row, BOB)
    assert status(row) == Status.APPROVED


def test_a_linked_account_of_who_is_away_fills_no_second_place(engine: Runtime) -> None:
    second = Human("bob-2", "Bob at home")
    bring_into_force(groups=groups(dba=[ALICE, BOB, second]))
    accounts.accept_link(engine, accounts.invite_account(signed_in(BOB)), signed_in(second))
    away(engine, BOB, EVE)
    row = fresh("two")
    vote(row, EVE)
    vote(row, second)
    assert status(row) == Status.PENDING


# --- looked at again at the claim ---


def is_revoked(house: Runtime) -> None:
    delegation.revoke(house, Delegation.objects.get().pk, signed_in(BOB))


def is_over(house: Runtime) -> None:
    Delegation.objects.update(starts_at=F("starts_at") - 4 * DAY, ends_at=F("ends_at") - 4 * DAY)


def left_the_group(house: Runtime) -> None:
    bring_into_force(groups=groups(dba=[ALICE]))


def is_switched_off(house: Runtime) -> None:
    Person.objects.filter(sub="eve").update(is_active=False)


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("happens", [is_revoked, is_over, left_the_group, is_switched_off])
def test_what_was_approved_in_anothers_place_does_not_run_when_it_does_not_stand_any_more(
    happens: Callable[[Runtime], None], engine: Runtime
) -> None:
    away(engine, BOB, EVE)
    row = fresh()
    vote(row, EVE)
    happens(engine)
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED


# --- what a stand-in sees ---


def test_a_stand_in_sees_what_they_may_decide_and_only_then(engine: Runtime) -> None:
    policy = engine.policies.current.policy
    row = fresh()
    eve = approver(EVE)
    assert not visible_to(eve, policy).exists()
    made = away(engine, BOB, EVE)
    assert visible_to(approver(EVE), policy).get() == row
    assert sees_payload(row, approver(EVE), policy)
    delegation.revoke(engine, made.pk, signed_in(BOB))
    assert not visible_to(approver(EVE), policy).exists()
    assert not sees_payload(row, approver(EVE), policy)


def test_a_stand_in_does_not_see_what_the_rule_keeps_from_them(engine: Runtime) -> None:
    row = the_rule_forbids_it(engine)
    policy = engine.policies.current.policy
    assert not visible_to(approver(EVE), policy).exists()
    assert not sees_payload(row, approver(EVE), policy)
