"""My access, as a browser shows it without any script: asking, ending, and what is open for others."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.test import Client

from approvals.models import ApprovalRequest
from approvals.rules.ruleset import ACCESS
from approvals.seen import view_digest
from tests.held import browser, house, policy_text, publish_policy
from tests.people import ALICE, BOB, CAROL, CONNECTION, DAVE, EVE, GRACE, Human

__all__ = ["house"]
FORM = {"connection": CONNECTION, "duration": "2h", "reason": "The export failed."}


@pytest.fixture(autouse=True)
def _rules(house: Any) -> None:
    connections = yaml.safe_load(policy_text())["connections"]
    connections[CONNECTION]["access_requests"] = {"require": {"any_of": [{"groups": ["dba"]}]}, "max_duration": "4h"}
    publish_policy(connections=connections)


def page(client: Client, path: str = "/access/") -> str:
    return " ".join(client.get(path).content.decode().split())


def ask(who: Human = EVE, **changes: Any) -> Any:
    return browser(who).post("/access/", {**FORM, **changes})


def asked() -> ApprovalRequest:
    return ApprovalRequest.objects.get(rule=ACCESS)


def approve(request: ApprovalRequest, by: Human = ALICE) -> None:
    form = {"decision": "approve", "version": request.version, "view": view_digest(request)}
    assert browser(by).post(f"/approvals/{request.pk}/decide/", form).status_code == 302
    request.refresh_from_db()


def test_who_has_nothing_sees_what_can_be_asked_for() -> None:
    shown = page(browser(EVE))

    assert "Your groups give you no connection." in shown
    assert f"{CONNECTION}: Orders, production (at most 4 h)" in shown
    assert "all tools" in page(browser(DAVE))


def test_access_is_asked_for_given_shown_and_ended() -> None:
    assert ask(tools="query, get_*").status_code == 302
    assert "Take it back" in page(browser(EVE))
    request = asked()
    assert request.terms["access"] == {"tools": ["get_*", "query"], "seconds": 7200, "ends_with_session": False}
    assert "Eve Ekman asks for access to" in page(browser(ALICE), f"/approvals/{request.pk}/")

    approve(request)

    assert "End it" in page(browser(EVE))
    assert "Open for others" in page(browser(BOB))
    assert browser(EVE).post(f"/access/{request.pk}/end/").status_code == 302
    request.refresh_from_db()
    assert request.status == "cancelled"
    assert "End it" not in page(browser(EVE))


WRONG: dict[str, dict[str, Any]] = {
    "no reason": {"reason": " "},
    "too long": {"duration": "5h"},
    "no duration": {"duration": "soon"},
    "no connection": {"connection": "elsewhere"},
    "no name of a tool": {"tools": "query;drop"},
    "too many tools": {"tools": " ".join(f"tool-{number}" for number in range(21))},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_asked_is_said_and_what_was_written_stays(wrong: str) -> None:
    answer = ask(**WRONG[wrong])

    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert wrong == "no reason" or "The export failed." in answer.content.decode()
    assert not ApprovalRequest.objects.exists()


def test_an_approver_takes_it_back_from_the_page_and_others_cannot() -> None:
    ask()
    request = asked()
    approve(request)

    assert f"/approvals/{request.pk}/revoke/" in page(browser(BOB))
    assert f"/approvals/{request.pk}/revoke/" not in page(browser(GRACE))
    assert request.pk not in page(browser(CAROL))
    assert browser(CAROL).post(f"/access/{request.pk}/end/").status_code == 404
    browser(BOB).post(f"/approvals/{request.pk}/revoke/")
    request.refresh_from_db()
    assert request.status == "revoked"


@pytest.mark.promise("no-self-approval")
def test_nobody_opens_access_for_themselves() -> None:
    ask(ALICE)
    request = asked()

    form = {"decision": "approve", "version": request.version, "view": view_digest(request)}
    assert browser(ALICE).post(f"/approvals/{request.pk}/decide/", form).status_code == 403
    approve(request, BOB)
    assert request.status == "approved"
