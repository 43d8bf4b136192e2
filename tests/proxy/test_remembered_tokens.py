"""Verified tokens over time: keys that change, an issuer that is down, and how long a token is remembered."""

from __future__ import annotations

import asyncio
import time

import pytest

from approvals.verdicts import Caller
from proxy.identity import TokenRejected
from tests import signing
from tests.identity_desk import NOW, Desk
from tests.people import ALICE, BOB, DAVE


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_new_key_is_accepted_at_once(desk: Desk) -> None:
    old = desk.token()
    desk.admit(f"Bearer {old}")
    desk.corp.rotate()
    assert desk.admit(f"Bearer {desk.token('bob')}").sub == "bob"
    assert desk.admit(f"Bearer {old}").sub == "alice"


def test_a_key_that_was_withdrawn_ends_its_tokens_though_they_are_remembered(desk: Desk) -> None:
    authorization = f"Bearer {desk.token(lifetime=86400)}"
    desk.admit(authorization)
    desk.corp.rotate(keep_old=False)
    desk.seconds += 600
    with pytest.raises(TokenRejected):
        desk.admit(authorization)


def test_callers_go_on_while_the_issuer_is_down(desk: Desk) -> None:
    desk.admit(f"Bearer {desk.token()}")
    desk.corp.outage()
    desk.seconds += 3600
    assert desk.admit(f"Bearer {desk.token('bob')}").sub == "bob"


@pytest.mark.promise("fail-closed")
def test_without_any_keys_the_refusal_says_that_it_may_pass(desk: Desk) -> None:
    desk.corp.outage()
    rejected = desk.rejection(desk.token())
    assert rejected.retry_after == 30
    assert rejected.error is None


def test_forged_key_ids_do_not_hammer_the_issuer(desk: Desk) -> None:
    async def flood() -> None:
        forged = [desk.token(header={"kid": f"forged-{number}"}) for number in range(200)]
        results = await asyncio.gather(*(desk.ask(f"Bearer {token}") for token in forged), return_exceptions=True)
        assert all(isinstance(result, TokenRejected) for result in results)

    desk.admit(f"Bearer {desk.token()}")
    asyncio.run(flood())
    asyncio.run(flood())
    assert desk.corp.counts["/jwks"] == 2


def test_a_hundred_first_callers_cost_one_question(desk: Desk) -> None:
    async def rush() -> list[Caller]:
        tokens = [desk.token(f"user-{number}") for number in range(100)]
        return await asyncio.gather(*(desk.ask(f"Bearer {token}") for token in tokens))

    assert len({caller.sub for caller in asyncio.run(rush())}) == 100
    assert desk.corp.counts["/jwks"] == 1


# What is remembered


def test_a_remembered_token_ends_when_it_expires(desk: Desk) -> None:
    authorization = f"Bearer {desk.token(lifetime=300)}"
    desk.admit(authorization)
    desk.now += 359
    assert desk.admit(authorization).sub == "alice"
    desk.now += 1
    with pytest.raises(TokenRejected, match="expired"):
        desk.admit(authorization)


@pytest.mark.promise("rule-at-once")
def test_a_new_policy_revision_sees_the_same_token_afresh(desk: Desk) -> None:
    authorization = ALICE.bearer(desk.corp, now=desk.now)
    assert "dba" in desk.admit(authorization).groups
    desk.publish(2, groups={"dba": {"members": [BOB.email]}, "security": {}, "platform": {"members": [DAVE.email]}})
    assert "dba" not in desk.admit(authorization).groups
    desk.change_issuer(issuer="https://elsewhere.example.com", revision=3)
    with pytest.raises(TokenRejected):
        desk.admit(authorization)


def test_only_so_many_tokens_are_remembered() -> None:
    desk = Desk(capacity=5)
    for number in range(20):
        desk.admit(f"Bearer {desk.token(f'user-{number}')}")
    assert desk.identity.remembered == 5


def test_a_refused_token_is_not_remembered(desk: Desk) -> None:
    desk.rejection(signing.with_broken_signature(desk.token()))
    desk.rejection(desk.token(exp=NOW - 100))
    assert desk.identity.remembered == 0


def test_a_remembered_token_costs_no_signature_check(desk: Desk) -> None:
    authorization = ALICE.bearer(desk.corp, now=desk.now)
    first = desk.admit(authorization)
    assert desk.admit(authorization) is first


def test_the_real_clock_and_real_tokens_agree(desk: Desk) -> None:
    desk.now = time.time()
    assert desk.admit(ALICE.bearer(desk.corp)).sub == "alice"
