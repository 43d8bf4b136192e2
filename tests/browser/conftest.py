"""Browser tests: a real Chromium, driven by Playwright.

They run as a pytest of their own (see the Makefile): Playwright's synchronous face leaves an event loop
running in the main thread, in which Django refuses the database to every test that follows.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from approvals.runtime import Runtime
from tests import services
from tests.held import house

__all__ = ["house"]

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
GUARD = 60

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


@pytest.fixture
def gateway(house: Runtime, settings: Any) -> Iterator[str]:
    """Serve the real application on a free port and return its address."""
    settings.DEMO = True
    # Each test begins with an empty database, and with nothing anchored.
    shutil.rmtree(Path(settings.STATE_DIR) / "anchor", ignore_errors=True)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    settings.PUBLIC_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # By its name: the module starts the record, so it is imported where the database may be used.
    settings.ALL_IN_ONE = True
    config = uvicorn.Config("gatewayproj.asgi:application", lifespan="on", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gateway", daemon=True)
    thread.start()
    # The first page of a process reads all of its modules and templates; no browser's patience is meant for that.
    requests.get(f"{settings.PUBLIC_URL}/sign-in/", timeout=GUARD).raise_for_status()
    yield settings.PUBLIC_URL
    server.should_exit = True
    thread.join(timeout=20)
    listener.close()


@pytest.fixture
def problems(desktop: Page) -> list[str]:
    """What the browser itself complains about: scripts that fail, content that the policy refuses."""
    found: list[str] = []
    desktop.on("pageerror", lambda error: found.append(str(error)))
    desktop.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found
