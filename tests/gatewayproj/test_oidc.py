"""Signing in with a browser: at an issuer, and by the links of the demo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.test import Client

from approvals.links import make_sign_in_link
from approvals.models import Person
from approvals.runtime import Runtime
from tests.held import anonymous, house, publish_policy, signed_in
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.people import ALICE, EVE

__all__ = ["house"]
START = "/sign-in/with/corp/"
OURS = "http://localhost"


@pytest.fixture
def corp(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIssuer]:
    """A running issuer of the policy in force, with a client for us."""
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_SECRET", CLIENT_SECRET)
    with running_issuer() as issuer:
        entry = {
            "name": "corp",
            "issuer": issuer.url,
            "audiences": ["holdgate"],
            "login": True,
            "groups_claim": "groups",
            "kind": {"default": "person", "agent": {"client_id": "agent-*"}},
        }
        publish_policy(issuers=[entry], people=[], roles={"admin": ["platform"]}, connections={}, rules=[])
        issuer.register(ALICE.sub, **ALICE.claims)
        issuer.login_as(ALICE.sub)
        yield issuer


def redirected(client: Client, path: str = START) -> str:
    """Begin to sign in and return the address that the issuer sends the browser back to."""
    started = client.get(path)
    assert started.status_code == 302, started.content
    back = requests.get(started.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith(f"{OURS}{START}callback/?")
    return back.removeprefix(OURS)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


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
def test_an_answer_that_we_did_not_ask_for_signs_nobody_in(answer: str, corp: FakeIssuer) -> None:
    client = anonymous()
    client.get(START)

    assert client.get(f"{START}callback/?{answer}").status_code == 403
    assert not is_signed_in(client)


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


def test_signing_out_ends_the_session(house: Runtime) -> None:
    client = anonymous()
    client.force_login(signed_in(ALICE))

    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert not is_signed_in(client)
