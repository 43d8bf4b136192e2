"""Pages that bring themselves up to date: what must not be clicked by mistake, and what happens without a socket."""

from __future__ import annotations

import re

from playwright.sync_api import Page, WebSocketRoute, expect

from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from tests.browsing import live, sign_in
from tests.held import held, voted
from tests.people import ALICE, BOB, CAROL

POLLED = 20_000
# Notes how the two buttons are when they have been exchanged, and how long it takes until one may approve.
WATCH = """() => {
    const before = document.getElementById("approve");
    new MutationObserver(() => {
        const [approve, deny] = ["approve", "deny"].map(id => document.getElementById(id));
        if (approve === before) return;
        window.found ??= { approve: approve.disabled, deny: deny.disabled, at: performance.now() };
        if (!approve.disabled) window.waited ??= performance.now() - window.found.at;
    }).observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled"] });
}"""


def test_approve_waits_a_second_after_any_change_and_deny_never_does(desktop: Page, gateway: str) -> None:
    request = held(tool="drop_table", table="a")
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    live(desktop)
    expect(desktop.locator("#approve")).to_be_enabled()
    desktop.evaluate(WATCH)

    voted(CAROL, request, "approve")

    expect(desktop.locator(".votes")).to_contain_text("Carol Cruz")
    expect(desktop.locator("#approve")).to_be_enabled()
    found = desktop.evaluate("window.found")
    assert (found["approve"], found["deny"]) == (True, False)
    assert desktop.evaluate("window.waited") >= 900


def test_without_the_live_connection_the_page_says_so_and_looks_for_news_itself(desktop: Page, gateway: str) -> None:
    cut: list[WebSocketRoute] = []
    is_cut = False

    def through(socket: WebSocketRoute) -> None:
        if is_cut:
            socket.close()
            return
        socket.connect_to_server()
        cut.append(socket)

    desktop.route_web_socket("**/ws/inbox/**", through)
    sign_in(desktop, gateway, ALICE)
    live(desktop)
    expect(desktop.locator("#offline")).to_be_hidden()

    is_cut = True
    for socket in cut:
        socket.close()
    request = held()

    expect(desktop.locator(f"#card-{request.pk}")).to_be_visible(timeout=POLLED)
    expect(desktop.locator("#offline")).to_be_visible(timeout=POLLED)
    is_cut = False
    expect(desktop.locator("#offline")).to_be_hidden(timeout=POLLED)


def test_approve_waits_also_when_a_line_above_it_comes_or_goes(desktop: Page, gateway: str) -> None:
    request = held()
    desktop.route_web_socket("**/ws/inbox/**", lambda socket: socket.close())
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    approve = desktop.locator("#approve")
    expect(approve).to_be_enabled()
    approve.focus()
    desktop.evaluate(
        """() => new MutationObserver(() => (window.found ??= document.getElementById("approve").disabled))
            .observe(document.getElementById("offline"), { attributeFilter: ["hidden"] })"""
    )

    expect(desktop.locator("#offline")).to_be_visible(timeout=POLLED)

    assert desktop.evaluate("window.found") is True
    expect(approve).to_be_enabled()
    expect(approve).to_be_focused()


def test_what_is_shown_changes_together_with_what_the_form_says(desktop: Page, gateway: str, house: Runtime) -> None:
    request = held()
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    live(desktop)
    shown = desktop.locator("#decision-form [name=view]").get_attribute("value")
    expect(desktop.locator("#case")).to_contain_text("DELETE FROM orders")

    changed = {"arguments": '{"sql": "DELETE FROM customers"}', "version": request.version + 1}
    ApprovalRequest.objects.filter(pk=request.pk).update(**changed)
    house.waiting.hint([request.pk])

    expect(desktop.locator("#case")).to_contain_text("DELETE FROM customers")
    expect(desktop.locator("#decision-form [name=view]")).not_to_have_value(str(shown))


def test_a_clock_that_is_wrong_counts_down_all_the_same(desktop: Page, gateway: str) -> None:
    request = held()
    desktop.clock.install(time="2020-01-01T00:00:00Z")
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/approvals/{request.pk}/")

    expect(desktop.locator(".aside time.left")).to_have_text(re.compile(r"29:\d\d"))


def test_a_decision_shown_in_an_old_page_is_not_counted(desktop: Page, gateway: str) -> None:
    request = held(tool="drop_table", table="a")
    sign_in(desktop, gateway, ALICE)
    desktop.route_web_socket("**/ws/inbox/**", lambda socket: socket.close())
    desktop.goto(f"{gateway}/approvals/{request.pk}/")
    expect(desktop.locator("#approve")).to_be_enabled()

    voted(CAROL, request, "approve")
    desktop.locator("#approve").click()

    expect(desktop.get_by_text("Something changed while you looked at it.")).to_be_visible()
    assert request.votes.count() == 1
    voted(BOB, request, "deny", "No.")
