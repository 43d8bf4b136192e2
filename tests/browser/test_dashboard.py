"""The dashboard in a real Chromium: sign in by a link, see the inbox change by itself, decide."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from approvals.links import make_sign_in_link
from approvals.runtime import Runtime
from tests.held import held, house, signed_in
from tests.people import ALICE, BOB, Human

__all__ = ["house"]


@pytest.fixture
def gateway(house: Runtime, settings: Any) -> Iterator[str]:
    """Serve the real application on a free port and return its address."""
    settings.DEMO = True
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    settings.PUBLIC_URL = f"http://127.0.0.1:{listener.getsockname()[1]}"
    # By its name: the module starts the record, so it is imported where the database may be used.
    config = uvicorn.Config("gatewayproj.asgi:application", lifespan="on", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gateway", daemon=True)
    thread.start()
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


def sign_in(page: Page, gateway: str, human: Human) -> None:
    """Open a one-time link and press its button."""
    page.goto(gateway + make_sign_in_link(signed_in(human)))
    page.get_by_role("button", name=f"Continue as {human.name}").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def live(page: Page) -> None:
    """Wait until the page listens."""
    page.wait_for_selector("html[data-socket=open]")


def test_a_call_appears_by_itself_and_is_approved(desktop: Page, gateway: str, problems: list[str]) -> None:
    sign_in(desktop, gateway, ALICE)
    live(desktop)
    expect(desktop.get_by_text("Nothing waits for you.")).to_be_visible()

    request = held(reason="ticket 7")
    card = desktop.locator(f"#card-{request.pk}")
    expect(card).to_contain_text("DELETE FROM orders")
    expect(desktop).to_have_title("(1) Inbox · Holdgate")

    card.click()
    expect(desktop.get_by_role("heading", level=1)).to_contain_text("Henry Hale wants to run query on orders-db")
    before = desktop.locator(".aside time.left").inner_text()
    expect(desktop.locator(".aside time.left")).not_to_have_text(before)
    desktop.get_by_role("button", name="Approve").click()

    expect(desktop.get_by_text("Your decision is counted and recorded.")).to_be_visible()
    expect(desktop.locator("#standing")).to_contain_text("Approved, not yet run")
    request.refresh_from_db()
    assert request.status == "approved"
    assert problems == []


def test_denying_without_a_comment_is_refused(phone: Page, gateway: str) -> None:
    request = held()
    sign_in(phone, gateway, ALICE)
    phone.goto(f"{gateway}/approvals/{request.pk}/")

    phone.get_by_role("button", name="Deny").click()
    expect(phone.get_by_role("alert")).to_contain_text("Say why in a comment")
    phone.get_by_label("Comment").fill("No ticket.")
    phone.get_by_role("button", name="Deny").click()

    expect(phone.locator("#standing")).to_contain_text("Denied")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_somebody_else_decided_shows_at_once(desktop: Page, phone: Page, gateway: str) -> None:
    request = held()
    sign_in(desktop, gateway, ALICE)
    sign_in(phone, gateway, BOB)
    for page in (desktop, phone):
        page.goto(f"{gateway}/approvals/{request.pk}/")
    live(desktop)
    desktop.get_by_label("Comment").fill("half a thought")

    phone.get_by_role("button", name="Approve").click()

    expect(desktop.locator("#standing")).to_contain_text("Approved, not yet run")
    expect(desktop.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_vote_of_another_keeps_the_comment_that_is_being_written(desktop: Page, phone: Page, gateway: str) -> None:
    request = held(tool="drop_table", table="a")
    sign_in(desktop, gateway, ALICE)
    sign_in(phone, gateway, BOB)
    for page in (desktop, phone):
        page.goto(f"{gateway}/approvals/{request.pk}/")
    live(desktop)
    desktop.get_by_label("Comment").fill("half a thought")

    phone.get_by_role("button", name="Approve").click()

    expect(desktop.locator(".votes")).to_contain_text("Bob Byrne")
    expect(desktop.get_by_label("Comment")).to_have_value("half a thought")


def test_the_keys_move_and_point_and_never_decide(desktop: Page, gateway: str) -> None:
    first, second = held(), held(sql="DELETE FROM b")
    sign_in(desktop, gateway, ALICE)

    desktop.keyboard.press("j")
    desktop.keyboard.press("j")
    expect(desktop.locator(f"#card-{second.pk}")).to_be_focused()
    desktop.keyboard.press("k")
    desktop.keyboard.press("Enter")
    desktop.wait_for_url(f"**/approvals/{first.pk}/")
    expect(desktop.locator("#approve")).to_be_enabled()
    desktop.keyboard.press("a")

    expect(desktop.locator("#approve")).to_be_focused()
    first.refresh_from_db()
    assert first.status == "pending"


def test_a_foreign_page_may_not_listen(desktop: Page, gateway: str) -> None:
    sign_in(desktop, gateway, ALICE)
    desktop.route("**/foreign.html", lambda route: route.fulfill(body="<h1>Foreign</h1>", content_type="text/html"))
    desktop.goto(gateway.replace("127.0.0.1", "localhost") + "/foreign.html")

    outcome = desktop.evaluate(
        """address => new Promise(done => {
            const socket = new WebSocket(address);
            socket.onopen = () => done("open");
            socket.onclose = () => done("closed");
        })""",
        gateway.replace("http:", "ws:") + "/ws/inbox/",
    )

    assert outcome == "closed"


assert os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE") == "1"
