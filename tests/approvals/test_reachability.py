"""Holds that nobody could decide, counted by people and not by accounts."""

from __future__ import annotations

from approvals import accounts
from approvals.accounts import Linked
from approvals.reachability import unreachable_quorums
from approvals.runtime import Runtime
from tests.engine import bring_into_force, engine, groups, holds, one_of
from tests.held import signed_in
from tests.people import ALICE, BOB, EVE

__all__ = ["engine"]


def gaps(house: Runtime) -> list[str]:
    return unreachable_quorums(house.policies.current.policy)


def test_who_is_a_member_by_address_and_has_signed_in_is_one(engine: Runtime) -> None:
    bring_into_force(rules=[holds("two", one_of("dba", 2))], groups=groups(dba=[ALICE]))
    signed_in(ALICE)
    assert len(gaps(engine)) == 1


def test_two_linked_accounts_are_one(engine: Runtime) -> None:
    bring_into_force(rules=[holds("two", one_of("dba", 2))], groups=groups(dba=[ALICE, EVE]))
    alice, eve = signed_in(ALICE), signed_in(EVE)
    assert gaps(engine) == []
    outcome = accounts.accept_link(engine, accounts.invite_account(alice), eve)
    assert isinstance(outcome, Linked)
    assert len(gaps(engine)) == 1
    accounts.unlink(engine, outcome.link.pk, alice)
    assert gaps(engine) == []


def test_two_members_are_two(engine: Runtime) -> None:
    bring_into_force(rules=[holds("two", one_of("dba", 2))], groups=groups(dba=[ALICE, BOB]))
    signed_in(ALICE)
    assert gaps(engine) == []
