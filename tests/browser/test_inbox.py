"""The inbox in a real Chromium: choosing, deciding several at once, searching, and what stays over a live change."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browsing import live, sign_in
from tests.held import held
from tests.people import ALICE


def test_what_was_chosen_stays_chosen_when_another_call_comes(desktop: Page, gateway: str, problems: list[str]) -> None:
    first, _ = held(sql="DELETE FROM a"), held(sql="DELETE FROM b")
    sign_in(desktop, gateway, ALICE)
    live(desktop)
    expect(desktop.get_by_role("button", name="Deny…")).to_be_hidden()
    desktop.locator(f"#choose-{first.pk}").check()
    expect(desktop.get_by_role("button", name="Deny…")).to_be_visible()

    third = held(sql="DELETE FROM c")

    expect(desktop.locator(f"#card-{third.pk}")).to_be_visible()
    expect(desktop.locator(f"#choose-{first.pk}")).to_be_checked()
    assert problems == []


def test_several_are_denied_with_one_comment(phone: Page, gateway: str) -> None:
    first, second = held(sql="DELETE FROM a"), held(tool="drop_table", table="b")
    sign_in(phone, gateway, ALICE)
    for request in (first, second):
        phone.locator(f"#choose-{request.pk}").check()

    phone.get_by_role("button", name="Deny…").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Deny 2 requests?")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.get_by_label("One comment for all of them").fill("Not today.")
    phone.get_by_role("button", name="Deny all 2").click()

    expect(phone.get_by_text("Your decision is counted and recorded.")).to_have_count(2)


def test_identical_calls_are_looked_at_and_approved_together(desktop: Page, gateway: str) -> None:
    first, second = held(), held()
    sign_in(desktop, gateway, ALICE)

    desktop.get_by_role("link", name="Look at all 2 together").click()
    button = desktop.get_by_role("button", name="Approve all 2: run it 2 times")
    expect(button).to_be_disabled()
    button.click()  # waits for the second that it takes

    expect(desktop.get_by_text("Your decision is counted and recorded.")).to_have_count(2)
    for request in (first, second):
        request.refresh_from_db()
        assert request.status == "approved"


def test_the_keyboard_searches_and_chooses_and_can_be_switched_off(desktop: Page, gateway: str) -> None:
    request, _ = held(), held(tool="drop_table", table="b")
    sign_in(desktop, gateway, ALICE)

    desktop.keyboard.press("j")
    desktop.keyboard.press("x")
    expect(desktop.locator(f"#choose-{request.pk}")).to_be_checked()
    desktop.keyboard.press("/")
    expect(desktop.get_by_label("Tool, caller or id")).to_be_focused()
    desktop.keyboard.type("drop")
    desktop.keyboard.press("Enter")
    expect(desktop.locator(f"#card-{request.pk}")).to_have_count(0)

    desktop.get_by_role("button", name="Switch keys off").click()
    desktop.keyboard.press("/")
    expect(desktop.get_by_label("Tool, caller or id")).not_to_be_focused()
