"""Signing in, out and in again in a real Chromium, at identity providers that are another site than the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from gatewayproj.provider import _providers as provider_cache
from tests.held import RULES, held, house, publish_policy
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.people import ALICE, CONNECTION
from tests.saml_partner import Partner, running_partner

__all__ = ["house"]
STRICT = {**RULES[0], "approval": {**RULES[0]["approval"], "mfa": "required"}}


@pytest.fixture
def here(gateway: str, settings: Any) -> str:
    """The gateway by another name than its providers have, so that they are another site for a browser."""
    settings.PUBLIC_URL = gateway.replace("127.0.0.1", "localhost")
    address: str = settings.PUBLIC_URL
    return address


def publish(*issuers: dict[str, Any]) -> None:
    orders = {
        CONNECTION: {"url": "http://127.0.0.1:9/mcp", "default": "allow", "access": [{"groups": ["corp/engineering"]}]}
    }
    publish_policy(issuers=list(issuers), people=[], roles={}, connections=orders, rules=[STRICT])


@pytest.fixture
def corp(here: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIssuer]:
    """An OpenID provider at which Alice sits."""
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_SECRET", CLIENT_SECRET)
    provider_cache.clear()
    with running_issuer() as issuer:
        publish({"name": "corp", "issuer": issuer.url, "login": True, "groups_claim": "groups"})
        issuer.register(ALICE.sub, **ALICE.claims)
        issuer.login_as(ALICE.sub, amr=["pwd"])
        yield issuer


def enter(page: Page, here: str) -> None:
    page.goto(f"{here}/sign-in/")
    page.get_by_role("link", name="Sign in with corp").click()


def test_one_signs_in_and_out_at_the_provider_too(
    desktop: Page, here: str, corp: FakeIssuer, problems: list[str]
) -> None:
    enter(desktop, here)
    expect(desktop.get_by_role("heading", name="Inbox")).to_be_visible()

    desktop.get_by_role("button", name="Sign out").click()

    desktop.wait_for_url(f"{here}/sign-in/")
    assert corp.counts["/logout"] == 1
    assert problems == []


def test_a_second_factor_is_shown_and_the_comment_is_still_there(phone: Page, here: str, corp: FakeIssuer) -> None:
    enter(phone, here)
    expect(phone.get_by_role("heading", name="Inbox")).to_be_visible()
    request = held()
    phone.goto(f"{here}/approvals/{request.pk}/")
    expect(phone.get_by_role("button", name="Approve")).to_have_count(0)
    phone.get_by_label("Comment").fill("Looks right.")
    corp.login_as(ALICE.sub, amr=["pwd", "otp"])

    phone.get_by_role("button", name="Sign in again to decide").click()

    expect(phone.get_by_label("Comment")).to_have_value("Looks right.")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.get_by_role("button", name="Approve").click()
    expect(phone.locator("#standing")).to_contain_text("Approved, not yet run")


@pytest.fixture
def partner(here: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    """A SAML provider at which Alice sits."""
    with running_partner(tmp_path_factory.mktemp("idp")) as running:
        spoken = {"metadata": running.entity}
        publish({"name": "corp", "issuer": running.entity, "login": True, "groups_claim": "groups", "saml": spoken})
        running.introduce(requests.get(f"{here}/sign-in/saml/corp/metadata/", timeout=20).text)
        running.present()
        yield running


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_the_posted_answer_of_another_site_signs_in(
    scripts: bool, chromium: Browser, here: str, partner: Partner
) -> None:
    context = chromium.new_context(java_script_enabled=scripts)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    enter(page, here)

    page.get_by_role("button", name="Continue").click()  # at the provider
    if not scripts:
        page.get_by_role("button", name="Continue").click()  # ours, which posts it again

    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    expect(page.get_by_text("Alice Ames").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{here}/sign-in/")
    assert said == []
    context.close()
