"""The pages and the API of accounts: what is shown, what only a button does, and who is let in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from approvals import accounts
from approvals.models import AccountLink, LinkCode
from approvals.runtime import Runtime
from tests.held import anonymous, bearer, browser, house, publish_with_keys, signed_in
from tests.issuer import FakeIssuer
from tests.people import AGENT, ALICE, BOB, CI, EVE

__all__ = ["house"]

SLACK = "slack:T0ACME/U0ALICE"
MINE = "/me/accounts/"
CLAIM = "/api/v1/accounts/claim/"


def code_on(page: str) -> str:
    found = re.search(r"/me/accounts/link/([\w-]+)/", page)
    assert found, page
    return found[1]


@pytest.fixture
def issuer(house: Runtime, tmp_path: Path) -> FakeIssuer:
    """The issuer whose keys are in force, and its GitHub sibling."""
    made = FakeIssuer("https://id.example.com")
    publish_with_keys(made, tmp_path)
    return made


def test_nobody_without_a_sign_in_comes_near(house: Runtime) -> None:
    for path in (MINE, f"{MINE}link/abc/", f"{MINE}agree/", f"{MINE}abc/unlink/"):
        answer = anonymous().get(path) if "unlink" not in path and "agree" not in path else anonymous().post(path)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/sign-in/")


def test_an_account_is_linked_by_the_button_and_by_nothing_else(house: Runtime) -> None:
    address = accounts.offer_link(SLACK, "Alice <b>Ames</b>‮ in acme.slack.com")
    path = "/me/accounts/link/" + code_on(address) + "/"
    alice = browser(ALICE)

    page = alice.get(path)
    assert (page.status_code, page.headers["Cache-Control"].count("no-store")) == (200, 1)
    shown = page.content.decode()
    assert SLACK in shown
    assert "<b>Ames" not in shown
    assert "‮" not in shown
    assert not AccountLink.objects.exists()

    assert alice.post(path).headers["Location"] == MINE
    assert accounts.person_of(SLACK, house.policies.current.policy.config) == signed_in(ALICE)
    assert SLACK in alice.get(MINE).content.decode()
    assert alice.get(path).status_code == 404
    assert "unknown, used up or too old" in browser(BOB).post(path, follow=True).content.decode()


def test_a_form_of_another_site_links_nothing(house: Runtime) -> None:
    path = "/me/accounts/link/" + code_on(accounts.offer_link(SLACK, "Alice")) + "/"
    assert browser(ALICE, enforce_csrf_checks=True).post(path).status_code == 403
    assert not AccountLink.objects.exists()


def test_another_sign_in_is_linked_and_unlinked_from_either_side(house: Runtime) -> None:
    alice, eve = browser(ALICE), browser(EVE)
    code = code_on(alice.post(MINE).content.decode())
    assert signed_in(ALICE).display in eve.get(f"{MINE}link/{code}/").content.decode()
    eve.post(f"{MINE}link/{code}/")
    link = AccountLink.objects.get()
    for client, other in ((alice, signed_in(EVE)), (eve, signed_in(ALICE))):
        assert other.key in client.get(MINE).content.decode()

    browser(BOB).post(f"{MINE}{link.pk}/unlink/")
    assert AccountLink.objects.filter(ended_at=None).exists()
    eve.post(f"{MINE}{link.pk}/unlink/")
    assert not AccountLink.objects.filter(ended_at=None).exists()
    assert "refuses until" in alice.get(MINE).content.decode()


def test_a_code_is_shown_once(house: Runtime) -> None:
    alice = browser(ALICE)
    code = code_on(alice.post(MINE).content.decode())
    assert code not in alice.get(MINE).content.decode()
    assert LinkCode.objects.get().digest == accounts.digest(code)


def test_a_job_claims_with_its_own_token_and_its_maker_agrees(house: Runtime, issuer: FakeIssuer) -> None:
    alice = browser(ALICE)
    code = code_on(alice.post(MINE).content.decode())
    job = bearer(CI.bearer(issuer, actor_id="99"))

    claimed = job.post(CLAIM, {"code": code}, content_type="application/json")

    account = f"{issuer.github.url}|99"
    assert (claimed.status_code, claimed.json()) == (202, {"account": account, "status": "waiting_for_agreement"})
    assert job.post(CLAIM, {"code": code}, content_type="application/json").status_code == 403
    page = alice.get(MINE).content.decode()
    assert account in page
    digest = LinkCode.objects.get().digest
    for answer in ("yes", "no"):
        browser(BOB).post(f"{MINE}agree/", {"claim": digest, "answer": answer})
    assert not AccountLink.objects.exists()
    alice.post(f"{MINE}agree/", {"claim": digest, "answer": "yes"})
    assert accounts.person_of(account, house.policies.current.policy.config) == signed_in(ALICE)


def test_a_job_that_one_does_not_know_is_turned_away(house: Runtime, issuer: FakeIssuer) -> None:
    alice = browser(ALICE)
    code = code_on(alice.post(MINE).content.decode())
    bearer(CI.bearer(issuer, actor_id="666")).post(CLAIM, {"code": code}, content_type="application/json")
    alice.post(f"{MINE}agree/", {"claim": LinkCode.objects.get().digest, "answer": "no"})
    assert not LinkCode.objects.exists()
    assert not AccountLink.objects.exists()


def test_a_person_or_an_agent_claims_nothing(house: Runtime, issuer: FakeIssuer) -> None:
    code = accounts.invite_account(signed_in(ALICE))
    for token in (BOB.bearer(issuer), AGENT.bearer(issuer)):
        answer = bearer(token).post(CLAIM, {"code": code}, content_type="application/json")
        assert answer.status_code == 403
        assert "person_claim" in answer.json()["message"]
    assert anonymous().post(CLAIM, {"code": code}, content_type="application/json").status_code == 401


def test_the_api_lists_and_ends_the_links_of_a_person(house: Runtime, issuer: FakeIssuer) -> None:
    accounts.accept_link(house, code_on(accounts.offer_link(SLACK, "Alice")), signed_in(ALICE))
    alice, bob = bearer(ALICE.bearer(issuer)), bearer(BOB.bearer(issuer))
    rows = alice.get("/api/v1/accounts/").json()["results"]
    assert [(row["account"], row["method"]) for row in rows] == [(f"{issuer.url}|alice", None), (SLACK, "token")]
    assert bob.get("/api/v1/accounts/").status_code == 403  # who never signed in has no accounts
    signed_in(BOB)
    path = f"/api/v1/accounts/{rows[1]['link']}/unlink/"
    assert bob.post(path).status_code == 403
    assert bearer(CI.bearer(issuer)).post(path).status_code == 403
    assert alice.post(path).status_code == 204
    assert len(alice.get("/api/v1/accounts/").json()["results"]) == 1
