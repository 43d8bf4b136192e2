"""The page of routes in a real Chromium: a route that does not work is seen, tested, and seen to work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from approvals.runtime import Runtime
from tests.browsing import sign_in
from tests.held import held
from tests.people import DAVE
from tests.receiver import Answering
from tests.ways import Ways, receivers


@pytest.fixture
def ways(gateway: str, house: Runtime, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Ways]:
    with receivers(house, monkeypatch, settings) as made:
        yield made


def test_a_dead_route_is_seen_tested_and_works_again(
    desktop: Page, gateway: str, ways: Ways, problems: list[str]
) -> None:
    ways.ops.answer = Answering(404)
    held()
    ways.send_in_a_thread()
    sign_in(desktop, gateway, DAVE)
    expect(desktop.get_by_role("alert")).to_contain_text("webhook ops")

    desktop.get_by_role("link", name="See the routes").click()
    expect(desktop.get_by_role("heading", level=1)).to_have_text("Routes")
    ways.ops.answer = Answering(200)
    desktop.get_by_role("button", name="Send a test by webhook ops").click()
    expect(desktop.get_by_text("A test is on its way.")).to_be_visible()
    ways.send_in_a_thread()
    desktop.reload()

    expect(desktop.get_by_role("alert")).to_have_count(0)
    desktop.get_by_text("1 attempt").first.click()
    expect(desktop.get_by_text("answered 200").first).to_be_visible()
    assert problems == []


def test_the_page_fits_a_phone(phone: Page, gateway: str, ways: Ways) -> None:
    ways.publish({"email": f"{'very-long-list-' * 4}@{'department-' * 6}example.com"}, {"webhook": "ops"})
    held()
    ways.send_in_a_thread()
    sign_in(phone, gateway, DAVE)
    phone.goto(f"{gateway}/routes/")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
