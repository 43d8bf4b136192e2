"""An emergency in a real Chromium: breaking the glass on a phone, what it owes, and a second person's look."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from approvals.break_glass import Breaking, break_glass, close_review
from approvals.runtime import runtime
from tests.browser.test_accessibility import axe, look_at, page, theme
from tests.browsing import live, sign_in
from tests.engine import approver
from tests.held import RULES, held, publish_policy
from tests.people import ALICE, BOB, CAROL

__all__ = ["axe", "page", "theme"]
RULE = {
    **RULES[0],
    "approval": {
        "require": {"any_of": [{"groups": ["dba"], "count": 2}]},
        "break_glass": {"groups": ["security"]},
        "escalate": [{"after": "20m", "add_groups": ["platform"]}],
    },
}


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_the_glass_is_broken_and_a_second_person_looks(desktop: Page, gateway: str, problems: list[str]) -> None:
    walk(desktop, gateway, "desktop")
    assert problems == []


def test_the_same_on_a_phone(phone: Page, gateway: str) -> None:
    walk(phone, gateway, "phone")


def test_who_has_the_inbox_open_sees_the_alarm_come_and_go(desktop: Page, gateway: str) -> None:
    publish_policy(rules=[RULE])
    call = held()
    sign_in(desktop, gateway, ALICE)
    live(desktop)
    alarm = desktop.get_by_text("1 approval given by one person alone")
    expect(alarm).to_have_count(0)

    break_glass(runtime(), call.pk, Breaking(approver(CAROL), "orders are down", "api"))
    expect(alarm).to_be_visible()

    close_review(runtime(), approval_id=call.pk, person=approver(BOB), comment="it was right", via="api")
    expect(alarm).to_have_count(0)
    expect(desktop.get_by_role("link", name="Emergencies, and who looked at them")).to_be_visible()


def test_no_page_of_an_emergency_has_what_axe_objects_to(page: Page, gateway: str, axe: str) -> None:
    publish_policy(rules=[RULE])
    waiting, broken, looked_at = held(), held(), held()
    for call in (broken, looked_at):
        break_glass(runtime(), call.pk, Breaking(approver(CAROL), "orders are down", "api"))
    close_review(runtime(), approval_id=looked_at.pk, person=approver(BOB), comment="it was right", via="api")
    sign_in(page, gateway, CAROL)
    form = f"{gateway}/approvals/{waiting.pk}/"
    found = look_at(page, axe, form, lambda: page.get_by_text("Emergency: approve alone").click())
    page.context.clear_cookies()
    sign_in(page, gateway, ALICE)
    addresses = ("/", "/reviews/", f"/approvals/{broken.pk}/", f"/approvals/{looked_at.pk}/")

    assert found + [line for one in addresses for line in look_at(page, axe, gateway + one)] == []


def walk(page: Page, gateway: str, size: str) -> None:
    """Break the glass as Carol, and look at it as Alice."""
    publish_policy(rules=[RULE])
    call = held(reason="Orders of yesterday are stuck.")
    sign_in(page, gateway, CAROL)
    page.goto(f"{gateway}/approvals/{call.pk}/")
    page.get_by_text("Emergency: approve alone").click()
    button = page.get_by_role("button", name="Break the glass: approve alone")
    expect(button).to_be_enabled()
    shot(page, f"{size}-alone")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")

    page.get_by_label("Why can it not wait?").fill("Nobody of dba answers, and orders are down.")
    button.click()

    expect(page.get_by_text("Approved alone. Everybody is told")).to_be_visible()
    shot(page, f"{size}-broken")
    page.get_by_role("link", name="Holdgate").click()
    expect(page.get_by_text("1 approval given by one person alone")).to_be_visible()
    shot(page, f"{size}-inbox")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, gateway, ALICE)
    page.get_by_role("link", name="See what is owed").click()
    page.get_by_label("What did you find?").fill("It was right: the queue was stuck.")
    shot(page, f"{size}-owed")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")
    page.get_by_role("button", name="Close the review").click()
    expect(page.get_by_text("Nothing is owed.")).to_be_visible()
    shot(page, f"{size}-closed")
    page.get_by_role("link", name=f"{call.tool} on").click()
    expect(page.get_by_role("button", name="Take the approval back")).to_be_visible()
    shot(page, f"{size}-approved")
