"""The page Away and the API of delegations: naming somebody, seeing for whom one decides, revoking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client

from approvals.database import database_now
from approvals.models import ApprovalRequest, Delegation
from approvals.runtime import Runtime
from approvals.seen import view_digest
from tests.held import anonymous, bearer, browser, held, house, publish_with_keys, signed_in
from tests.issuer import FakeIssuer
from tests.people import AGENT, ALICE, BOB, CI, EVE

__all__ = ["house"]

AWAY = "/me/away/"
API = "/api/v1/delegations/"


@pytest.fixture
def issuer(house: Runtime, tmp_path: Path) -> FakeIssuer:
    made = FakeIssuer("https://id.example.com")
    publish_with_keys(made, tmp_path)
    return made


def until(days: float = 2) -> str:
    return f"{database_now() + timedelta(days=days):%Y-%m-%dT%H:%M}"


def name_eve(client: Client, **fields: str) -> str:
    """Let Eve decide in one's place, and return the page that follows."""
    body = {"delegate": signed_in(EVE).key, "starts_at": "", "ends_at": until(), **fields}
    return client.post(AWAY, body, follow=True).content.decode()


def test_somebody_is_named_and_decides_and_the_page_says_for_whom(house: Runtime) -> None:
    bob, eve, row = browser(BOB), browser(EVE), held()
    assert eve.get(f"/approvals/{row.pk}/").status_code == 404
    assert "decides in your place" in name_eve(bob)

    assert "You decide in place of <strong>Bob Byrne</strong>" in eve.get(AWAY).content.decode()
    assert row.tool in eve.get("/").content.decode()
    page = eve.get(f"/approvals/{row.pk}/").content.decode()
    assert "You decide in place of <strong>Bob Byrne</strong>, who is away." in page
    assert "created_at" in page
    assert "Eve Ekman may decide in place of Bob Byrne" in browser(ALICE).get(f"/approvals/{row.pk}/").content.decode()

    eve.post(f"/approvals/{row.pk}/decide/", {"decision": "approve", "view": view_digest(row)})
    assert ApprovalRequest.objects.get(pk=row.pk).status == "approved"
    assert "Eve Ekman, in place of Bob Byrne" in bob.get(f"/approvals/{row.pk}/").content.decode()


def test_the_fields_are_read_in_utc(house: Runtime) -> None:
    ends = database_now() + timedelta(days=3)
    name_eve(browser(BOB), starts_at=until(1), ends_at=f"{ends:%Y-%m-%dT%H:%M}")
    made = Delegation.objects.get()
    assert made.ends_at == datetime(ends.year, ends.month, ends.day, ends.hour, ends.minute, tzinfo=UTC)
    assert made.starts_at > database_now()


@pytest.mark.parametrize(
    "fields",
    [
        {"ends_at": ""},
        {"ends_at": "soon"},
        {"starts_at": "2026-13-01T00:00"},
        {"delegate": "x"},
        {"ends_at": "2199-01-01T00:00"},
    ],
)
def test_what_cannot_be_is_said_beside_the_form(fields: dict[str, str], house: Runtime) -> None:
    bob, eve = browser(BOB), signed_in(EVE)
    answer = bob.post(AWAY, {"delegate": eve.key, "starts_at": "", "ends_at": until(), **fields})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert not Delegation.objects.exists()


def test_either_of_the_two_ends_it_and_nobody_else(house: Runtime) -> None:
    bob, eve = browser(BOB), browser(EVE)
    for client in (bob, eve):
        name_eve(bob)
        path = f"{AWAY}{Delegation.objects.get(revoked_at=None).pk}/revoke/"
        assert browser(ALICE).post(path).status_code == 400
        assert anonymous().post(path).status_code == 302
        assert Delegation.objects.filter(revoked_at=None).exists()
        assert client.post(path).status_code == 302
        assert not Delegation.objects.filter(revoked_at=None).exists()
    assert "revoked" in bob.get(AWAY).content.decode()


def test_a_name_on_the_page_is_text(house: Runtime) -> None:
    eve = signed_in(EVE)
    eve.display = "<script>alert(1)</script>"
    eve.save()
    page = browser(BOB).get(AWAY).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_api_makes_lists_and_revokes(house: Runtime, issuer: FakeIssuer) -> None:
    for human in (BOB, EVE, ALICE):
        signed_in(human)
    bob, eve, alice = (bearer(human.bearer(issuer)) for human in (BOB, EVE, ALICE))
    body = {"delegate": signed_in(EVE).key, "ends_at": f"{until()}Z"}

    made = bob.post(API, body, content_type="application/json")

    assert made.status_code == 201, made.content
    found = made.json()
    assert (found["delegator"], found["delegate"]) == (signed_in(BOB).key, signed_in(EVE).key)
    assert [one["id"] for one in eve.get(API).json()["results"]] == [found["id"]]
    assert alice.get(API).json()["results"] == []
    assert bob.post(API, body, content_type="application/json").status_code == 400
    row = held()
    decided = eve.post(f"/api/v1/approvals/{row.pk}/decide/", {"decision": "approve"}, content_type="application/json")
    (vote,) = decided.json()["votes"]
    assert (vote["by"], vote["on_behalf_of"]) == (signed_in(EVE).key, signed_in(BOB).key)
    assert alice.post(f"{API}{found['id']}/revoke/").status_code == 400
    assert eve.post(f"{API}{found['id']}/revoke/").json()["revoked_at"]


def test_a_program_names_nobody(house: Runtime, issuer: FakeIssuer) -> None:
    body = {"delegate": signed_in(EVE).key, "ends_at": f"{until()}Z"}
    for token in (CI.bearer(issuer), AGENT.bearer(issuer)):
        assert bearer(token).post(API, body, content_type="application/json").status_code == 403
        assert bearer(token).get(API).status_code == 403
    assert anonymous().get(API).status_code == 401
