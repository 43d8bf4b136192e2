"""What browser tests do on the pages: sign in by a one-time link, and wait until a page listens."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from approvals.links import make_sign_in_link
from tests.held import signed_in
from tests.people import Human


def sign_in(page: Page, gateway: str, human: Human) -> None:
    """Open a one-time link and press its button."""
    page.goto(gateway + make_sign_in_link(signed_in(human)))
    page.get_by_role("button", name=f"Continue as {human.name}").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def live(page: Page) -> None:
    """Wait until the page listens."""
    page.wait_for_selector("html[data-socket=open]")
