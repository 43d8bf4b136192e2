"""Browser tests: a real Chromium, driven by Playwright.

They run as a pytest of their own (see the Makefile): Playwright's synchronous face leaves an event loop
running in the main thread, in which Django refuses the database to every test that follows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import services

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

# Set here and not only in the Makefile, so that `pytest tests/browser` works by itself.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for the whole run; without one skips, or fails under HOLDGATE_REQUIRE_BROWSER=1."""
    program = services.chromium()
    if program is None:
        services.missing("Chromium", "HOLDGATE_REQUIRE_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(services.CHROMIUM_ARGUMENTS))
        yield browser
        browser.close()


def _page(chromium: Browser, width: int, height: int) -> Iterator[Page]:
    context: BrowserContext = chromium.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def desktop(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile at desktop width."""
    yield from _page(chromium, DESKTOP["width"], DESKTOP["height"])


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh browser profile at phone width."""
    yield from _page(chromium, PHONE["width"], PHONE["height"])
