"""The browser itself, so that a broken Chromium is told apart from a broken page."""

from playwright.sync_api import Page


def test_a_chromium_starts_and_renders(desktop: Page) -> None:
    desktop.set_content("<h1>Inbox</h1>")

    assert desktop.get_by_role("heading").inner_text() == "Inbox"


def test_the_phone_page_is_as_wide_as_a_phone(phone: Page) -> None:
    assert phone.evaluate("window.innerWidth") == 390
