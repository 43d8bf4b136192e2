"""Signing in with a browser at a running issuer, for the tests of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from django.test import Client

from approvals.runtime import Runtime
from gatewayproj.provider import _providers as provider_cache
from tests.held import house, publish_policy
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer, running_issuer
from tests.people import ALICE

__all__ = ["house"]
START = "/sign-in/with/corp/"
OURS = "http://localhost"


@pytest.fixture
def corp(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIssuer]:
    """A running issuer of the policy in force, with a client for us."""
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("HOLDGATE_LOGIN_CORP_CLIENT_SECRET", CLIENT_SECRET)
    provider_cache.clear()  # the port may have been another issuer's
    with running_issuer() as issuer:
        entry = {
            "name": "corp",
            "issuer": issuer.url,
            "audiences": ["holdgate"],
            "login": True,
            "groups_claim": "groups",
            "kind": {"default": "person", "agent": {"client_id": "agent-*"}},
        }
        publish_policy(issuers=[entry], people=[], roles={"admin": ["platform"]}, connections={}, rules=[])
        issuer.register(ALICE.sub, **ALICE.claims)
        issuer.login_as(ALICE.sub)
        yield issuer


def redirected(client: Client, path: str = START) -> str:
    """Begin to sign in and return the address that the issuer sends the browser back to."""
    started = client.get(path)
    assert started.status_code == 302, started.content
    back = requests.get(started.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith(f"{OURS}{START}callback/?")
    return back.removeprefix(OURS)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session
