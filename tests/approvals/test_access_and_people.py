"""Access for a while and who is behind it: a job of a linked starter may ask; what a stand-in opens ends with them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals import access, accounts, delegation
from approvals.access import Asked, Refused
from approvals.database import database_now
from approvals.models import ApprovalRequest, Delegation
from approvals.runtime import Runtime
from approvals.services import NotEligible
from approvals.states import Status
from tests.engine import bring_into_force, engine, one_of, status, vote
from tests.held import HENRY, ISS, caller, signed_in
from tests.people import ALICE, BOB, CONNECTION, EVE

__all__ = ["engine"]

JOB = caller(HENRY, iss=f"{ISS}/github", sub="repo:acme/shop", kind="ci", starter=f"{ISS}/github|7")


@pytest.fixture
def house(engine: Runtime) -> Runtime:
    """A house where access to the usual connection can be asked for."""
    orders: dict[str, Any] = {
        "url": "http://127.0.0.1:9/mcp",
        "default": "allow",
        "access_requests": {"require": one_of("dba"), "max_duration": "4h"},
    }
    bring_into_force(connections={CONNECTION: orders}, rules=[])
    return engine


def asked(house: Runtime, who: Any = JOB) -> Asked | Refused:
    return access.ask(house, who, connection=CONNECTION, seconds=3600, reason="the nightly clean-up")


def opened(house: Runtime, who: Any) -> ApprovalRequest:
    outcome = asked(house, who)
    assert isinstance(outcome, Asked), outcome
    return outcome.request


@pytest.mark.promise("no-self-approval")
def test_a_job_asks_once_it_is_known_who_started_it_and_they_do_not_decide(house: Runtime) -> None:
    assert isinstance(asked(house), Refused)
    accounts.sync_claims(house, signed_in(ALICE), {f"{ISS}/github|7": ""})
    window = opened(house, JOB)
    assert isinstance(vote(window, ALICE), NotEligible)
    vote(window, BOB)
    assert status(window) == Status.APPROVED


def test_a_window_that_a_stand_in_opened_ends_with_the_delegation(house: Runtime) -> None:
    delegation.delegate(house, signed_in(BOB), signed_in(EVE).key, None, database_now() + timedelta(days=1))
    window = opened(house, caller(HENRY))
    vote(window, EVE)
    assert status(window) == Status.APPROVED
    access.run_due(house)
    assert status(window) == Status.APPROVED
    delegation.revoke(house, Delegation.objects.get().pk, signed_in(BOB))
    access.run_due(house)
    assert status(window) == Status.SUPERSEDED
