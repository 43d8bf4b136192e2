"""Notifications in a real Chromium: the worker shows what a push message says, and who does not allow it is told.

The push service of the browser's maker is not asked: its message is handed to the worker by the browser's own tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from approvals.runtime import Runtime
from tests.browsing import sign_in
from tests.people import ALICE
from tests.ways import Ways, receivers

REGISTER = """async (script) => {
  const registration = await navigator.serviceWorker.register(script);
  const worker = registration.installing || registration.waiting || registration.active;
  const changed = () => new Promise((go) => worker.addEventListener("statechange", go, { once: true }));
  while (worker.state !== "activated") await changed();
  return registration.scope;
}"""
SHOWN = """async (scope) => {
  const registration = await navigator.serviceWorker.getRegistration(scope);
  return (await registration.getNotifications()).map((one) => [one.title, one.body, one.data]);
}"""


@pytest.fixture
def ways(gateway: str, house: Runtime, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Ways]:
    with receivers(house, monkeypatch, settings) as made:
        made.publish({"push": "approvers"}, push={"contact": "operations@example.com"})
        yield made


def test_the_worker_shows_that_something_waits(desktop: Page, gateway: str, ways: Ways, problems: list[str]) -> None:
    desktop.context.grant_permissions(["notifications"], origin=gateway)
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/me/browsers/")
    tools = desktop.context.new_cdp_session(desktop)
    found: list[str] = []
    tools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(one["registrationId"] for one in event["registrations"]),
    )
    tools.send("ServiceWorker.enable")
    script = desktop.locator("[data-worker]").get_attribute("data-worker")
    scope = desktop.evaluate(REGISTER, script)
    desktop.wait_for_function("() => navigator.serviceWorker.getRegistrations().then((all) => all.length === 1)")
    told = json.dumps({"text": "1 approval waits", "url": "/approvals/1/", "tag": "1"})
    message = {"origin": gateway, "registrationId": found[-1], "data": told}

    tools.send("ServiceWorker.deliverPushMessage", message)

    desktop.wait_for_function(f"async (scope) => (await ({SHOWN})(scope)).length === 1", arg=scope)
    assert desktop.evaluate(SHOWN, scope) == [["Holdgate", "1 approval waits", "/approvals/1/"]]
    assert problems == []


def test_who_does_not_allow_notifications_is_told_what_to_do(desktop: Page, gateway: str, ways: Ways) -> None:
    sign_in(desktop, gateway, ALICE)
    desktop.goto(f"{gateway}/me/accounts/")
    desktop.get_by_role("link", name="My browsers").click()
    expect(desktop.get_by_text("None of your browsers is told.")).to_be_visible()
    desktop.get_by_role("button", name="Notify me in this browser").click()
    expect(desktop.get_by_role("status")).to_contain_text("does not allow notifications")
