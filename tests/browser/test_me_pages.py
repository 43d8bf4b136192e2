"""My accounts and Away in a real Chromium: without scripts, on a phone, by keyboard."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from approvals.database import database_now
from approvals.links import make_sign_in_link
from tests.browsing import sign_in
from tests.held import held, house, signed_in
from tests.people import ALICE, BOB, EVE, Human

__all__ = ["house"]

PAGES = ("/me/accounts/", "/me/away/")


@pytest.fixture
def plain(chromium: Browser) -> Page:
    """A page of a browser that runs no scripts."""
    return chromium.new_context(java_script_enabled=False).new_page()


def enter(page: Page, gateway: str, human: Human) -> None:
    """Sign in without a script."""
    page.goto(gateway + make_sign_in_link(signed_in(human)))
    page.get_by_role("button", name=f"Continue as {human.name}").click()


def test_two_sign_ins_are_linked_without_scripts(chromium: Browser, plain: Page, gateway: str) -> None:
    enter(plain, gateway, ALICE)
    plain.goto(gateway + PAGES[0])
    plain.get_by_role("button", name="Make a code").click()
    address = plain.locator("code.exact").first.inner_text()

    other = chromium.new_context(java_script_enabled=False).new_page()
    enter(other, gateway, EVE)
    other.goto(address)
    expect(other.get_by_role("heading", name="Are these both you?")).to_be_visible()
    expect(other.locator(".lone")).to_contain_text("Alice Ames")
    other.get_by_role("button", name="Yes, both are me: link them").click()

    expect(other.get_by_role("status")).to_contain_text("It is linked to you now.")
    expect(other.get_by_role("list", name="Accounts")).to_contain_text(signed_in(ALICE).key)
    plain.goto(gateway + PAGES[0])
    plain.get_by_role("button", name=f"Unlink {signed_in(EVE).key}").click()
    expect(plain.get_by_role("region", name="Formerly linked")).to_contain_text("refuses until")


def test_somebody_is_named_without_scripts_and_decides(chromium: Browser, plain: Page, gateway: str) -> None:
    signed_in(EVE)
    request = held()
    enter(plain, gateway, BOB)
    plain.goto(gateway + PAGES[1])
    plain.get_by_label("Who").select_option(label="Eve Ekman, eve@example.com")
    plain.get_by_label("Until").fill(f"{database_now() + timedelta(days=2):%Y-%m-%dT%H:%M}")
    plain.get_by_role("button", name="Let them decide").click()
    expect(plain.get_by_role("list", name="Who decides for you")).to_contain_text("Eve Ekman")

    eve = chromium.new_context(java_script_enabled=False).new_page()
    enter(eve, gateway, EVE)
    eve.goto(f"{gateway}/approvals/{request.pk}/")
    expect(eve.get_by_text("You decide in place of")).to_be_visible()
    eve.get_by_role("button", name="Approve: run it once").click()
    expect(eve.locator(".votes")).to_contain_text("Eve Ekman, in place of Bob Byrne")


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_fit_a_phone_and_their_parts_are_named(path: str, phone: Page, gateway: str) -> None:
    found: list[str] = []
    phone.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    signed_in(EVE)
    sign_in(phone, gateway, ALICE)
    phone.goto(gateway + path)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for field in phone.locator("main select, main input:not([type=hidden])").all():
        assert field.evaluate("field => field.labels.length") == 1
        assert field.evaluate("field => field.getBoundingClientRect().height") >= 24
    for button in phone.locator("main button").all():
        assert button.evaluate("button => button.getBoundingClientRect().height") >= 24
    phone.keyboard.press("Tab")
    assert phone.evaluate("document.activeElement.className") == "skip"
    assert found == []
