"""Signing in at a certified OpenID provider of others, npm's `oidc-provider`: the whole way, out, and in again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from django.test import Client

from approvals.models import Person
from approvals.runtime import Runtime
from approvals.second_factor import SignIn
from gatewayproj.provider import _providers as provider_cache
from tests import services
from tests.held import anonymous, house, publish_policy
from tests.issuer import CLIENT_ID, CLIENT_SECRET
from tests.people import ALICE, BOB, Human
from tests.saml_partner import form
from tests.signing_in import OURS, START, is_signed_in

__all__ = ["house"]
pytestmark = pytest.mark.needs_node


class Provider:
    """The running provider, and the browser's cookies at it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer: str = self.told()["issuer"]
        self.browser = requests.Session()

    def told(self) -> dict[str, Any]:
        """Return what it says next, without the notices of the library."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(next(line for line in self._process.stdout if line.startswith("{")))
        return found

    def seat(self, human: Human, *, amr: list[str], acr: str = "urn:one") -> None:
        """Choose who sits at the browser and how they will show who they are."""
        assert self._process.stdin is not None
        said = {"sub": human.sub, "claims": human.claims, "amr": amr, "acr": acr}
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()
        assert self.told() == {}

    def through(self, address: str) -> tuple[str, list[dict[str, Any]]]:
        """Follow the browser until it is sent back to us; return the path, and what the person was asked."""
        asked = []
        while not address.startswith(OURS):
            answer = self.browser.get(address, allow_redirects=False, timeout=20)
            if "/interaction/" in address:
                asked.append(self.told())
            if answer.status_code == 200:  # the question whether to sign out
                question = {**form(answer.text), "logout": "yes"}
                target = f"{self.issuer}/session/end/confirm"
                answer = self.browser.post(target, data=question, allow_redirects=False, timeout=20)
            assert answer.status_code in (302, 303), answer.text
            address = urljoin(address, answer.headers["Location"])
        return address.removeprefix(OURS), asked


@pytest.fixture
def corp(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider as the issuer of the policy in force, with Alice at the browser."""
    node = services.node()
    if node is None or not (services.NODE_PROJECT / "node_modules" / "oidc-provider").is_dir():
        services.missing("Node.js with oidc-provider", "HOLDGATE_REQUIRE_NODE")
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_SECRET", CLIENT_SECRET)
    provider_cache.clear()
    command = [node, "oidc_provider.mjs", f"{OURS}{START}callback/", f"{OURS}/sign-in/"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=services.NODE_PROJECT, text=True, **pipes) as process:
        try:
            provider = Provider(process)
            entry = {"name": "corp", "issuer": provider.issuer, "login": True, "groups_claim": "groups"}
            entry["second_factor"] = {"ask": ["phr"]}
            publish_policy(issuers=[entry], people=[], roles={}, connections={}, rules=[])
            provider.seat(ALICE, amr=["pwd"])
            yield provider
        finally:
            process.communicate()


def signed_in_by(client: Client, corp: Provider, path: str = START) -> list[dict[str, Any]]:
    """Go the whole way; return what the person was asked."""
    back, asked = corp.through(client.get(path).headers["Location"])
    assert client.get(back).status_code == 302
    return asked


def test_a_person_signs_in_by_the_code_flow(corp: Provider) -> None:
    client = anonymous()

    asked = signed_in_by(client, corp)

    assert [question["prompt"] for question in asked] == ["login", "consent"]
    assert is_signed_in(client)
    person = Person.objects.get()
    assert (person.iss, person.sub, person.email, person.display) == (corp.issuer, "alice", ALICE.email, ALICE.name)
    assert person.issuer_groups == ["corp/engineering"]


def test_signing_out_ends_the_session_at_the_provider_and_comes_back(corp: Provider) -> None:
    client = anonymous()
    signed_in_by(client, corp)
    again = anonymous()
    assert signed_in_by(again, corp) == []  # the provider knows the browser, and asks nothing

    back, _ = corp.through(client.post("/sign-out/").headers["Refresh"].removeprefix("0; url="))

    assert (back, is_signed_in(client)) == ("/sign-in/", False)
    assert [question["prompt"] for question in signed_in_by(anonymous(), corp)][:1] == ["login"]


def test_a_fresh_sign_in_asks_again_for_all_factors_and_shows_them(corp: Provider) -> None:
    client = anonymous()
    signed_in_by(client, corp)
    before = SignIn.kept(client.session)
    corp.seat(ALICE, amr=["pwd", "otp"], acr="phr")

    asked = signed_in_by(client, corp, f"{START}?fresh=1")

    assert before is not None
    assert (asked[0]["prompt"], asked[0]["acr_values"]) == ("login", "phr")
    assert "login_prompt" in asked[0]["reasons"]
    after = SignIn.kept(client.session)
    assert after is not None
    assert (after.amr, after.acr) == (("pwd", "otp"), "phr")
    assert after.at >= before.at > 0


def test_whoever_signs_in_afresh_as_somebody_else_is_somebody_else_here(corp: Provider) -> None:
    client = anonymous()
    signed_in_by(client, corp)
    corp.seat(BOB, amr=["pwd", "otp"])

    signed_in_by(client, corp, f"{START}?fresh=1")

    kept = SignIn.kept(client.session)
    assert kept is not None
    assert kept.sub == BOB.sub
    assert client.session["_auth_user_id"] == Person.objects.get(sub=BOB.sub).pk


def test_the_provider_takes_the_request_and_gives_the_code_once(corp: Provider) -> None:
    client, thief = anonymous(), anonymous()
    location = client.get(START).headers["Location"]
    asked = parse_qs(urlsplit(location).query)
    back, _ = corp.through(location)

    assert asked["code_challenge_method"] == ["S256"]
    assert thief.get(back).status_code == 403
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 403
