"""Rules that ask for a fresh second factor: what a sign-in must prove, and that nothing else will do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from django.test import Client

from approvals import second_factor, services
from approvals.config.loader import ConfigError
from approvals.config.schema import Issuer
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.second_factor import SignIn, lacking
from approvals.seen import view_digest
from approvals.standing import caller_of
from sessions.models import Entry
from tests.held import ISS, RULES, browser, caller, held, house, policy_text, publish_policy, signed_in
from tests.people import ALICE, BOB

__all__ = ["house"]
NOW = 1_800_000_000.0
CORP = Issuer(name="corp", issuer=ISS, login=True)
STRICT: list[dict[str, Any]] = [{**RULES[0], "approval": {**RULES[0]["approval"], "mfa": "required"}}]


def claims(**changes: Any) -> dict[str, Any]:
    return {"iss": ISS, "sub": ALICE.sub, "auth_time": NOW - 10, "amr": ["pwd", "otp"], **changes}


def lacks(issuer: Issuer = CORP, **changes: Any) -> str:
    proof = SignIn.of_claims(claims(**changes), now=NOW)
    return lacking(proof, caller(ALICE), issuer, now=NOW, within=300)


@pytest.mark.parametrize("value", ["mfa", "otp", "hwk", "swk", "fido", "face", "fpt"])
def test_a_second_factor_is_told_by_amr(value: str) -> None:
    assert lacks(amr=["pwd", value]) == ""
    assert lacks(amr=value) == ""


def test_a_second_factor_is_told_by_acr() -> None:
    assert lacks(amr=["pwd"], acr="https://refeds.org/profile/mfa") == ""


@pytest.mark.parametrize(
    "change",
    [
        {"amr": ["pwd"]},
        {"amr": []},
        {"amr": None},
        {"amr": {"mfa": True}},
        {"amr": [["mfa"]]},
        {"amr": ["pwd", "sms"]},
        {"amr": ["mfa\n"]},
        {"amr": ["pwd"], "acr": "urn:one"},
        {"amr": ["pwd"], "acr": ["phr"]},
    ],
    ids=str,
)
def test_whatever_else_a_provider_says_shows_none(change: dict[str, Any]) -> None:
    assert lacks(**change) == second_factor.NO_FACTOR


def test_what_shows_one_is_configured_for_each_issuer() -> None:
    ours = Issuer.model_validate({"name": "corp", "issuer": ISS, "second_factor": {"amr": ["sms"], "acr": ["urn:two"]}})

    assert lacks(ours, amr=["sms"]) == ""
    assert lacks(ours, amr=["pwd"], acr="urn:two") == ""
    assert lacks(ours, amr=["otp"]) == second_factor.NO_FACTOR


@pytest.mark.parametrize("at", [NOW - 300, NOW, NOW + 59])
def test_a_sign_in_of_the_last_five_minutes_is_fresh(at: float) -> None:
    assert lacks(auth_time=at) == ""


def test_an_older_one_is_not() -> None:
    assert "Sign in again" in lacks(auth_time=NOW - 301)


@pytest.mark.parametrize("at", [None, True, "1800000000", NOW + 3600, 0, -5, float("nan")])
def test_a_time_that_is_not_told_is_no_fresh_one(at: Any) -> None:
    assert lacks(auth_time=at) == second_factor.NO_TIME


@pytest.mark.parametrize("change", [{"iss": "https://evil.example.com"}, {"sub": "mallory"}])
def test_the_sign_in_of_another_account_is_none(change: dict[str, Any]) -> None:
    assert lacks(**change) == second_factor.NOT_HERE


def test_a_rule_that_asks_for_it_must_let_decide_on_the_dashboard() -> None:
    from approvals.config.loader import load

    approval = {**STRICT[0]["approval"], "decide_in": ["slack", "api"]}
    with pytest.raises(ConfigError, match="mfa: required can be shown on the dashboard only"):
        load(policy_text(rules=[{**STRICT[0], "approval": approval}]))


@pytest.fixture
def strict(house: Runtime) -> Runtime:
    """The house, where the one rule asks for a fresh second factor."""
    publish_policy(rules=STRICT)
    return house


def decided(house: Runtime, request: ApprovalRequest, sign_in: SignIn | None, **more: Any) -> services.Outcome:
    policy = house.policies.current.policy
    who = caller_of(signed_in(ALICE), policy)
    given: dict[str, Any] = {"decision": "approve", "via": "dashboard", **more}
    return services.decide(house, approval_id=request.pk, approver=who, sign_in=sign_in, **given)


def proof(**changes: Any) -> SignIn:
    now = time.time()
    return SignIn.of_claims(claims(auth_time=now - 5, **changes), now=now)


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_decision_with_a_fresh_second_factor_counts_and_the_record_says_what_was_shown(
    decision: str, strict: Runtime
) -> None:
    shown = proof(acr="urn:two")

    outcome = decided(strict, held(), shown, decision=decision, comment="seen")

    assert isinstance(outcome, services.Decided)
    facts = orjson.loads(Entry.objects.get(kind="approval.voted").leaf)["facts"]
    assert (facts["auth_time"], facts["amr"], facts["acr"]) == (shown.at, ["pwd", "otp"], "urn:two")


@pytest.mark.parametrize("via", ["dashboard", "api", "slack"])
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_decision_without_one_is_refused_with_the_reason(decision: str, via: str, strict: Runtime) -> None:
    request = held()

    outcome = decided(strict, request, None, decision=decision, via=via, comment="x")

    assert isinstance(outcome, services.NotEligible)
    assert "second factor" in outcome.reason
    request.refresh_from_db()
    assert (request.status, request.votes.count()) == ("pending", 0)


@pytest.mark.parametrize("via", ["api", "slack"])
def test_the_other_ways_stay_shut_also_with_one(via: str, strict: Runtime) -> None:
    assert isinstance(decided(strict, held(), proof(), via=via), services.NotEligible)


def test_a_rule_that_asks_for_nothing_records_nothing_of_the_sign_in(house: Runtime) -> None:
    assert isinstance(decided(house, held(), proof()), services.Decided)
    assert "amr" not in orjson.loads(Entry.objects.get(kind="approval.voted").leaf)["facts"]


def shown_on(client: Client, request: ApprovalRequest, sign_in: SignIn | None) -> str:
    if sign_in is not None:
        session = client.session
        sign_in.keep(session)
        session.save()
    return client.get(f"/approvals/{request.pk}/").content.decode()


def test_the_page_offers_to_sign_in_again_and_no_decision_before_that(strict: Runtime) -> None:
    request, alice = held(), browser(ALICE)
    now = time.time()
    stale = SignIn.of_claims(claims(auth_time=now - 3600), now=now)

    for sign_in in (None, stale, replace(proof(), amr=("pwd",))):
        page = shown_on(alice, request, sign_in)
        assert "Sign in again to decide" in page
        assert "Approve: run it once" not in page
        forced = alice.post(f"/approvals/{request.pk}/decide/", {"decision": "approve", "view": view_digest(request)})
        assert forced.status_code == 403

    page = shown_on(alice, request, proof())
    assert "Sign in again to decide" not in page
    assert "Approve: run it once" in page
    assert (
        alice.post(
            f"/approvals/{request.pk}/decide/", {"decision": "approve", "view": view_digest(request)}
        ).status_code
        == 302
    )
    request.refresh_from_db()
    assert request.status == "approved"


def test_the_comment_waits_masked_until_it_is_sent(strict: Runtime) -> None:
    request, alice = held(), browser(ALICE)
    address = f"/approvals/{request.pk}/"

    page = alice.post(f"/sign-in/again/{request.pk}/", {"comment": "I asked bob@example.com, and he said <yes>."})

    assert "needs an identity provider" in page.content.decode()  # the test signed her in without one
    assert "I asked [email], and he said &lt;yes&gt;." in alice.get(address).content.decode()
    assert all("bob@example.com" not in str(value) for value in alice.session.values())
    shown_on(alice, request, proof())
    alice.post(f"{address}decide/", {"decision": "approve", "comment": "Fine.", "view": view_digest(request)})
    assert "I asked" not in alice.get(address).content.decode()


def test_only_who_sees_the_request_is_sent_to_sign_in_for_it(strict: Runtime) -> None:
    request = held()
    stranger = signed_in(BOB)
    publish_policy(rules=STRICT, groups={"dba": {"members": [ALICE.email]}, "platform": {}, "security": {}})
    bob = browser(BOB)

    assert stranger.sub == BOB.sub
    assert bob.post(f"/sign-in/again/{request.pk}/", {"comment": "x"}).status_code == 404
