"""Signing in with a browser: at an issuer, and by the links of the demo."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from approvals.links import make_sign_in_link
from approvals.models import AccountLink, Person
from approvals.runtime import Runtime, runtime
from approvals.seen import view_digest
from gatewayproj import entering
from gatewayproj.entering import Flood
from sessions.leaf import decode
from sessions.models import Entry
from tests.held import RULES, anonymous, held, house, publish_policy, signed_in
from tests.issuer import FakeIssuer
from tests.people import ALICE, CONNECTION, EVE
from tests.signing_in import OURS, START, corp, is_signed_in, redirected

__all__ = ["corp", "house"]


def test_the_browser_is_sent_away_with_state_nonce_and_pkce(corp: FakeIssuer) -> None:
    query = parse_qs(urlsplit(anonymous().get(START).headers["Location"]).query)

    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"{OURS}{START}callback/"]
    assert {"state", "nonce", "code_challenge"} <= query.keys()


def test_a_person_is_known_by_issuer_and_subject(corp: FakeIssuer) -> None:
    client = anonymous()

    answer = client.get(redirected(client))

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    person = Person.objects.get()
    assert (person.iss, person.sub, person.email, person.display) == (corp.url, "alice", ALICE.email, ALICE.name)
    assert person.issuer_groups == ["corp/engineering"]
    assert person.issuer_groups_at is not None
    assert is_signed_in(client)


def test_an_address_that_the_issuer_has_not_verified_is_not_kept(corp: FakeIssuer) -> None:
    corp.register("mallory", email="alice@example.com", email_verified=False, groups=[])
    corp.login_as("mallory")
    client = anonymous()

    client.get(redirected(client))

    assert Person.objects.get(sub="mallory").email == ""


def test_the_same_address_under_another_subject_is_another_person(corp: FakeIssuer) -> None:
    for sub in ("alice", "alice-2"):
        corp.register(sub, **ALICE.claims)
        corp.login_as(sub)
        client = anonymous()
        client.get(redirected(client))

    assert Person.objects.count() == 2


def test_what_the_issuer_says_is_ones_account_is_linked_at_each_sign_in(corp: FakeIssuer) -> None:
    accounts = {"account_claims": {"slack_uid": "slack:T0ACME/*"}}
    entry = {"name": "corp", "issuer": corp.url, "login": True, **accounts}
    publish_policy(issuers=[entry], people=[], roles={}, connections={}, rules=[])
    for uid, linked in (("U0ALICE", ["slack:T0ACME/U0ALICE"]), ("U1", ["slack:T0ACME/U1"]), (None, [])):
        corp.register(ALICE.sub, **ALICE.claims, **({"slack_uid": uid} if uid else {}))
        client = anonymous()
        client.get(redirected(client))
        assert is_signed_in(client)
        standing = AccountLink.objects.filter(ended_at=None)
        assert [link.account for link in standing] == linked
        assert all(link.holder == f"{corp.url}|alice" for link in standing)


def test_signing_in_gives_the_session_a_new_key(corp: FakeIssuer) -> None:
    client = anonymous()
    back = redirected(client)
    before = client.session.session_key

    client.get(back)

    assert client.session.session_key != before


def test_one_goes_where_one_wanted_to_but_never_to_another_site(corp: FakeIssuer) -> None:
    ours, theirs = anonymous(), anonymous()

    assert ours.get(redirected(ours, f"{START}?next=/sessions/")).headers["Location"] == "/sessions/"
    assert theirs.get(redirected(theirs, f"{START}?next=https://evil.example.com/")).headers["Location"] == "/"


BROKEN: list[dict[str, Any]] = [
    {"aud": "elsewhere"},
    {"aud": ["holdgate", "elsewhere"]},
    {"aud": ["holdgate", "elsewhere"], "azp": "elsewhere"},
    {"azp": "elsewhere"},
    {"nonce": "another"},
    {"drop": ["nonce"]},
    {"lifetime": -3600},
    {"drop": ["exp"]},
    {"drop": ["sub"]},
    {"iss": "https://evil.example.com"},
    {"header": {"kid": "unknown"}},
    {"header": {"alg": "none"}},
    {"header": {"alg": "HS256"}},
    {"client_id": "agent-planner"},
    {"groups": [{"name": "admin"}]},
]


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_an_identity_token_that_is_not_sound_signs_nobody_in(
    change: dict[str, Any], corp: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = anonymous()
    back = redirected(client)
    mint = corp.token
    monkeypatch.setattr(corp, "token", lambda sub, aud, **claims: mint(sub, **{"aud": aud, **claims, **change}))

    answer = client.get(back)

    assert (answer.status_code, b"The sign-in did not work." in answer.content) == (403, True)
    assert not is_signed_in(client)
    assert not Person.objects.exists()


@pytest.mark.parametrize(
    "answer", ["error=access_denied", "code=x", "state=y", "code=x&state=y", "", "code=x&state=y&iss=https://evil"]
)
def test_an_answer_that_we_did_not_ask_for_signs_nobody_in(
    answer: str, corp: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entering, "_FLOOD", Flood())  # other tests of this minute failed to sign in as well
    client = anonymous()
    client.get(START)

    assert client.get(f"{START}callback/?{answer}").status_code == 403
    assert not is_signed_in(client)
    leaf = decode(bytes(Entry.objects.get(kind="person.sign_in_failed").leaf))
    assert (leaf.actor, leaf.facts) == ("", {"via": "corp", "reason": "refused", "more": 0})


def test_a_flood_of_failures_is_counted_and_not_written_down_one_by_one() -> None:
    flood = Flood(most=2)

    told = [flood.admitted(float(second)) for second in (0, 1, 2, 3, 60, 61, 62)]

    assert told == [0, 0, None, None, 2, 0, None]


def test_an_answer_serves_once_and_only_in_the_browser_that_asked(corp: FakeIssuer) -> None:
    mine, theirs = anonymous(), anonymous()
    back = redirected(mine)

    assert theirs.get(back).status_code == 403
    assert mine.get(back).status_code == 302
    assert mine.get(back).status_code == 403


def test_an_issuer_that_is_down_is_a_page_and_no_fault(corp: FakeIssuer) -> None:
    corp.outage()

    answer = anonymous().get(START)

    assert (answer.status_code, b"The sign-in did not work." in answer.content) == (503, True)


def test_nobody_waits_in_turn_for_an_issuer_that_is_down_and_it_is_asked_again_soon(
    corp: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    corp.outage()
    assert [anonymous().get(START).status_code for _ in range(4)] == [503] * 4
    assert corp.counts["/.well-known/openid-configuration"] == 1

    corp.outage(False)
    monkeypatch.setattr("gatewayproj.provider.PAUSE_SECONDS", 0.0)
    assert anonymous().get(START).status_code == 302


GARBAGE = [b"", b"<html>", b"[]", b"{", b'{"keys": 7}', b"\xff" * 64, b" " * 3_000_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda body: f"{body[:8]!r}-{len(body)}")
@pytest.mark.parametrize("endpoint", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
def test_an_issuer_that_answers_nonsense_is_a_page_and_no_fault(
    endpoint: str, garbage: bytes, corp: FakeIssuer
) -> None:
    corp.register(ALICE.sub, name="Alice")  # so that userinfo is asked
    client = anonymous()
    if endpoint.startswith("/.well"):
        corp.instead[endpoint] = garbage
        answer = client.get(START)
        assert answer.status_code == 503
    else:
        back = redirected(client)
        corp.instead[endpoint] = garbage
        answer = client.get(back)
        assert answer.status_code == 403

    assert b"The sign-in did not work." in answer.content
    assert not is_signed_in(client)


@pytest.mark.parametrize("endpoint", ["/token", "/jwks"])
def test_an_issuer_that_never_ends_its_answer_is_given_up(endpoint: str, corp: FakeIssuer, settings: Any) -> None:
    settings.OIDC_TIMEOUT = 1
    client = anonymous()
    back = redirected(client)
    corp.trickling.add(endpoint)
    begun = time.monotonic()

    assert client.get(back).status_code == 403
    assert time.monotonic() - begun < 10


def test_addresses_of_the_discovery_document_are_plain_addresses(corp: FakeIssuer) -> None:
    corp.discovery = {"end_session_endpoint": f"{corp.url}/logout\r\nSet-Cookie: a=b"}

    assert anonymous().get(START).status_code == 503


def test_who_names_themselves_in_every_answer_must_do_so(corp: FakeIssuer) -> None:
    corp.discovery = {"authorization_response_iss_parameter_supported": True}
    nameless, named = anonymous(), anonymous()

    assert nameless.get(redirected(nameless)).status_code == 403
    assert named.get(f"{redirected(named)}&iss={corp.url}").status_code == 302


@pytest.mark.parametrize("methods", [["client_secret_post"], ["client_secret_basic"], None])
def test_we_show_who_we_are_in_the_way_that_the_provider_takes(methods: list[str] | None, corp: FakeIssuer) -> None:
    corp.discovery = {"token_endpoint_auth_methods_supported": methods}
    corp.accounts.only_way = methods[0] if methods else "client_secret_basic"
    client = anonymous()

    assert client.get(redirected(client)).status_code == 302


def test_the_page_of_a_failure_offers_to_try_again(corp: FakeIssuer) -> None:
    page = anonymous().get(f"{START}callback/?error=access_denied").content.decode()

    assert "Sign in with corp" in page
    assert "No sign-in is set up" not in page


def test_a_link_to_a_failure_signs_nobody_out(corp: FakeIssuer) -> None:
    client = anonymous()
    client.get(redirected(client))

    client.get(f"{START}callback/?error=access_denied")

    assert is_signed_in(client)


def test_groups_are_those_of_the_newest_sign_in(corp: FakeIssuer) -> None:
    for groups in (["engineering", "audit"], ["audit"], []):
        corp.register(ALICE.sub, **{**ALICE.claims, "groups": groups})
        client = anonymous()
        client.get(redirected(client))
        assert Person.objects.get().issuer_groups == sorted(f"corp/{group}" for group in groups)


def test_a_rotated_key_is_fetched(corp: FakeIssuer) -> None:
    corp.rotate(keep_old=False)
    client = anonymous()

    assert client.get(redirected(client)).status_code == 302


def test_a_deactivated_person_stays_outside(corp: FakeIssuer) -> None:
    Person.objects.create(iss=corp.url, sub="alice", is_active=False)
    client = anonymous()

    assert client.get(redirected(client)).status_code == 403


def test_there_is_a_button_for_each_issuer_with_a_client(corp: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"Sign in with corp" in anonymous().get("/sign-in/").content
    monkeypatch.delenv("HOLDGATE_LOGIN_CORP_CLIENT_ID")
    assert b"Sign in with corp" not in anonymous().get("/sign-in/").content
    assert anonymous().get(START).status_code == 404


def test_a_link_of_the_demo_signs_in_once_and_only_by_its_button(house: Runtime, settings: Any) -> None:
    settings.DEMO = True
    link = make_sign_in_link(signed_in(ALICE))
    previewer, alice, thief = anonymous(), anonymous(), anonymous()

    assert b"Continue as Alice Ames" in previewer.get(link).content
    assert alice.post(link).headers["Location"] == "/"
    assert is_signed_in(alice)
    assert thief.post(link).status_code == 403
    assert not is_signed_in(thief)


def test_outside_the_demo_there_are_no_links(house: Runtime, settings: Any) -> None:
    settings.DEMO = True
    link = make_sign_in_link(signed_in(EVE))
    settings.DEMO = False

    assert (anonymous().get(link).status_code, anonymous().post(link).status_code) == (404, 404)


def test_who_decides_is_asked_again_for_all_factors_and_comes_back_to_the_request(corp: FakeIssuer) -> None:
    approval = {"require": {"any_of": [{"groups": ["dba"]}]}, "expires_after": "30m", "mfa": "required"}
    policy = runtime().policies.current.policy.config.model_dump(mode="json", exclude_defaults=True)
    corp_entry = {**policy["issuers"][0], "second_factor": {"ask": ["phr", "urn:two"]}}
    access = [{"groups": ["corp/engineering"]}]
    orders = {CONNECTION: {"url": "http://127.0.0.1:9/mcp", "default": "allow", "access": access}}
    publish_policy(
        issuers=[corp_entry], people=[], roles={}, connections=orders, rules=[{**RULES[0], "approval": approval}]
    )
    client = anonymous()
    corp.login_as(ALICE.sub, amr=["pwd"], auth_time=int(time.time()) - 3600)
    client.get(redirected(client))
    request = held()
    page = f"/approvals/{request.pk}/"
    assert "older" not in client.get("/").content.decode()
    assert "Sign in again to decide" in client.get(page).content.decode()

    onward = client.post(f"/sign-in/again/{request.pk}/", {"comment": "Looks right."})
    start = onward.headers["Refresh"].removeprefix("0; url=")
    asked = parse_qs(urlsplit(client.get(start).headers["Location"]).query)
    assert (asked["prompt"], asked["max_age"], asked["acr_values"]) == (["login"], ["0"], ["phr urn:two"])
    corp.login_as(ALICE.sub, amr=["pwd", "otp"])
    assert client.get(redirected(client, start)).headers["Location"] == page

    shown = client.get(page).content.decode()
    assert "Looks right." in shown
    assert "Approve: run it once" in shown
    sent = {"decision": "approve", "comment": "Looks right.", "view": view_digest(request)}
    client.post(f"{page}decide/", sent)
    request.refresh_from_db()
    assert request.status == "approved"


def test_a_plain_sign_in_asks_for_nothing_more(corp: FakeIssuer) -> None:
    asked = parse_qs(urlsplit(anonymous().get(START).headers["Location"]).query)

    assert not {"prompt", "max_age", "acr_values"} & asked.keys()
