"""The replay of a session in a real browser: step by step by keyboard, and on paper."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from approvals.runtime import Runtime
from tests.browsing import sign_in
from tests.people import GRACE
from tests.replayed import SESSION, replayed


class _Gateway:
    """The gateway's own sequencer gives entries their place; nobody else does."""

    class sequencer:
        @staticmethod
        def run_once() -> int:
            return 0


def test_a_session_is_stepped_through_by_keyboard_and_printed_whole(
    desktop: Page, gateway: str, house: Runtime, problems: list[str]
) -> None:
    replayed(house, _Gateway)
    sign_in(desktop, gateway, GRACE)
    desktop.goto(f"{gateway}/sessions/{SESSION}/")
    step: Any = desktop.locator("[data-step]:focus")

    desktop.keyboard.press("j")
    expect(step).to_contain_text("Session began")
    desktop.keyboard.press("j")
    expect(step).to_contain_text("The caller asked")
    desktop.keyboard.press("j")
    expect(step).to_contain_text("Allowed")
    desktop.keyboard.press("k")
    expect(step).to_contain_text("SELECT * FROM orders")
    desktop.keyboard.press("n")
    expect(step).to_contain_text("DELETE FROM orders")
    desktop.keyboard.press("o")
    expect(step.locator("details").last).to_have_attribute("open", "")

    desktop.get_by_role("link", name="Print view").click()
    desktop.emulate_media(media="print")
    assert desktop.locator("details:not([open])").count() == desktop.locator("details.entry").count()
    expect(desktop.locator(".masthead")).to_be_hidden()
    expect(desktop.get_by_text("one row deleted")).to_be_visible()
    assert problems == []
