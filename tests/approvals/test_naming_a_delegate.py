"""Naming somebody who decides in one's place: whom, for how long, one at a time, and how it ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from approvals import accounts, delegation
from approvals.database import database_now
from approvals.delegation import Delegated, Refused
from approvals.models import Delegation, Person
from approvals.runtime import Runtime
from sessions import leaf as leaves
from sessions.models import Entry
from tests.engine import engine, together
from tests.held import ISS, signed_in
from tests.people import ALICE, BOB, DAVE, EVE, Human

__all__ = ["engine"]

DAY = timedelta(days=1)


def away(house: Runtime, *, starts: datetime | None = None, days: float = 3) -> Delegation:
    """Let Eve stand in for Bob, from now on or from a moment."""
    ends = (starts or database_now()) + days * DAY
    outcome = delegation.delegate(house, signed_in(BOB), signed_in(EVE).key, starts, ends)
    assert isinstance(outcome, Delegated), outcome
    return outcome.delegation


def test_a_delegation_is_refused_that_cannot_be(engine: Runtime) -> None:
    now, bob = database_now(), signed_in(BOB)
    eve, agentless = signed_in(EVE), signed_in(Human("gone", "Gone"))
    Person.objects.filter(pk=agentless.pk).update(is_active=False)
    elsewhere = Person.objects.create(iss=f"{ISS}/github", sub="9", display="of another issuer")
    second = signed_in(Human("bob-2", "Bob at home"))
    accounts.accept_link(engine, accounts.invite_account(bob), second)
    soon, long = now + DAY, now + 31 * DAY
    tried: list[tuple[str, datetime | None, datetime]] = [
        (bob.key, None, soon),
        (second.key, None, soon),
        (agentless.key, None, soon),
        (elsewhere.key, None, soon),
        ("nobody", None, soon),
        ("", None, soon),
        (eve.key, None, now - DAY),
        (eve.key, soon, soon),
        (eve.key, None, long),
        (eve.key, now + 91 * DAY, now + 92 * DAY),
    ]
    for to, starts, ends in tried:
        assert isinstance(delegation.delegate(engine, bob, to, starts, ends), Refused), (to, starts, ends)
    assert not Delegation.objects.exists()


def test_who_begins_in_the_past_begins_now(engine: Runtime) -> None:
    made = away(engine, starts=database_now() - DAY)
    assert made.starts_at == made.made_at


def test_one_stands_in_at_a_time(engine: Runtime) -> None:
    first = away(engine, days=2)
    bob, dave, now = signed_in(BOB), signed_in(DAVE), database_now()
    assert isinstance(delegation.delegate(engine, bob, dave.key, now + DAY, now + 3 * DAY), Refused)
    assert isinstance(delegation.delegate(engine, bob, dave.key, first.ends_at, now + 4 * DAY), Delegated)


def test_of_two_made_at_once_one_stands(engine: Runtime) -> None:
    bob, ends = signed_in(BOB), database_now() + DAY
    others = [signed_in(EVE).key, signed_in(DAVE).key]
    outcomes = together([partial(delegation.delegate, engine, bob, to, None, ends) for to in others])
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Delegated", "Refused"]


def test_nobody_else_revokes_and_nothing_is_revoked_twice(engine: Runtime) -> None:
    made = away(engine)
    for other in (ALICE, DAVE):
        assert isinstance(delegation.revoke(engine, made.pk, signed_in(other)), Refused)
    assert isinstance(delegation.revoke(engine, made.pk, signed_in(BOB)), Delegated)
    assert isinstance(delegation.revoke(engine, made.pk, signed_in(BOB)), Refused)
    found = [leaves.decode(bytes(row)).kind for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]
    kinds = [kind for kind in found if kind.startswith("delegation.")]
    assert kinds == ["delegation.made", "delegation.revoked"]


def test_a_gateway_may_have_none_of_it(engine: Runtime, settings: Any) -> None:
    settings.DELEGATION_DAYS = 0
    outcome = delegation.delegate(engine, signed_in(BOB), signed_in(EVE).key, None, database_now() + DAY)
    assert isinstance(outcome, Refused)
