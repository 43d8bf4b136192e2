"""Remembering a decision and giving access for a while, in a real browser: by hand, and before axe."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from approvals import access
from approvals.access import Asked
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from tests.browser.test_accessibility import axe, look_at, page, theme
from tests.browsing import sign_in
from tests.engine import approver
from tests.held import RULES, held, policy_text, publish_policy, voted
from tests.people import ALICE, BOB, CONNECTION, EVE

__all__ = ["axe", "page", "theme"]


@pytest.fixture(autouse=True)
def _policy(chromium: Browser, house: Runtime) -> None:
    """Let decisions be remembered and access be asked for; after the browser, whose loop changes connections."""
    caps = {"scopes": ["same_arguments", "same_tool"], "max_age": "1h", "max_uses": 5}
    connections: dict[str, Any] = yaml.safe_load(policy_text())["connections"]
    connections[CONNECTION]["access_requests"] = {"require": {"any_of": [{"groups": ["dba"]}]}}
    first = {**RULES[0], "approval": {**RULES[0]["approval"], "remember": caps}}
    publish_policy(rules=[first, RULES[1]], connections=connections)


def asked(house: Runtime, tool: str) -> ApprovalRequest:
    outcome = access.ask(
        house, approver(EVE), connection=CONNECTION, seconds=3600, reason="The export failed.", tools=[tool]
    )
    assert isinstance(outcome, Asked)
    return outcome.request


def test_what_is_remembered_is_chosen_used_and_taken_back(desktop: Page, gateway: str, problems: list[str]) -> None:
    request = held()
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")

    desktop.get_by_label("every call of the same tool").check()
    expect(desktop.locator("#approve")).to_be_enabled()
    desktop.locator("#approve").click()
    expect(desktop.get_by_text("Your decision is counted and recorded.")).to_be_visible()
    covered = held(sql="DELETE FROM b")

    desktop.goto(f"{gateway}/grants/")
    expect(desktop.get_by_text("Used 1 of 5")).to_be_visible()
    desktop.get_by_role("button", name="Revoke").click()
    expect(desktop.get_by_text("Nothing is remembered now.")).to_be_visible()
    covered.refresh_from_db()
    assert covered.status == "revoked"
    assert problems == []


def test_access_is_asked_for_on_a_phone(phone: Page, gateway: str, house: Runtime) -> None:
    sign_in(phone, gateway, EVE)
    phone.goto(f"{gateway}/access/")

    phone.get_by_label("Why").fill("The export failed.")
    phone.get_by_role("button", name="Ask", exact=True).click()
    expect(phone.get_by_role("button", name="Take it back")).to_be_visible()
    voted(ALICE, ApprovalRequest.objects.get(), "approve")

    expect(phone.get_by_role("button", name="End it")).to_be_visible(timeout=15_000)
    phone.get_by_role("button", name="End it").click()
    expect(phone.get_by_role("heading", name="Over")).to_be_visible()


def test_no_page_of_what_is_granted_has_what_axe_objects_to(page: Page, gateway: str, house: Runtime, axe: str) -> None:
    offered, waiting, opened = held(), asked(house, "query"), asked(house, "echo")
    voted(ALICE, opened, "approve")

    found = []
    for human in (BOB, EVE):
        page.context.clear_cookies()
        sign_in(page, gateway, human)
        addresses = ["/access/", "/grants/", f"/approvals/{waiting.pk}/", f"/approvals/{opened.pk}/"]
        also = [f"/approvals/{offered.pk}/"] if human is BOB else []
        found += [line for one in [*addresses, *also] for line in look_at(page, axe, gateway + one)]

    assert found == []
