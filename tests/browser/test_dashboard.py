"""The dashboard in a real Chromium: sign in by a link, see the inbox change by itself, decide."""

from __future__ import annotations

import os

from playwright.sync_api import Page, expect

from tests.browsing import live, sign_in
from tests.held import RULES, held, house, publish_policy, voted
from tests.people import ALICE, BOB

__all__ = ["house"]


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


def test_a_vote_of_another_keeps_what_is_being_written_chosen_and_opened(desktop: Page, gateway: str) -> None:
    remember = {"scopes": ["same_arguments"], "max_age": "1h", "max_uses": 5}
    alone = {"groups": ["dba"]}
    publish_policy(
        rules=[RULES[0], {**RULES[1], "approval": {**RULES[1]["approval"], "remember": remember, "break_glass": alone}}]
    )
    request = held(tool="drop_table", table="a")
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    live(desktop)
    desktop.get_by_text("Emergency: approve alone").click()
    desktop.get_by_label("Why can it not wait?").fill("It burns.")
    desktop.locator("#remember-same_arguments").check()
    desktop.locator("#comment").fill("half a thought")
    desktop.keyboard.press("ArrowLeft")

    voted(BOB, request, "approve")

    expect(desktop.locator(".votes")).to_contain_text("Bob Byrne")
    expect(desktop.get_by_label("Why can it not wait?")).to_have_value("It burns.")
    expect(desktop.get_by_label("Why can it not wait?")).to_be_visible()
    expect(desktop.locator("#remember-same_arguments")).to_be_checked()
    expect(desktop.locator("#comment")).to_be_focused()
    desktop.keyboard.type("X")
    expect(desktop.locator("#comment")).to_have_value("half a thoughXt")


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


def test_the_three_forms_of_a_call_are_chosen_by_keyboard_and_change_nothing_else(desktop: Page, gateway: str) -> None:
    voted(BOB, held(sql="DELETE FROM a\nWHERE id = 1"), "approve")
    request = held(sql="DELETE FROM a\nWHERE id = 2")
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    desktop.get_by_label("Comment").fill("half a thought")

    desktop.get_by_role("radio", name="Readable").focus()
    desktop.keyboard.press("ArrowRight")
    expect(desktop.locator(".view-raw")).to_contain_text('{"sql":"DELETE FROM a\\nWHERE id = 2"}')
    desktop.keyboard.press("ArrowRight")

    gone = desktop.locator(".diff .gone")
    expect(gone).to_contain_text("WHERE id = 1")
    expect(desktop.locator(".view-raw")).to_be_hidden()
    box = gone.bounding_box()
    assert box is not None
    assert box["height"] < 40  # one line
    expect(desktop.get_by_label("Comment")).to_have_value("half a thought")


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
