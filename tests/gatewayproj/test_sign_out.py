"""Signing out: here, and at the provider."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from approvals.runtime import Runtime, runtime
from gatewayproj.provider import _providers as provider_cache
from sessions.journal import RecordUnavailable
from sessions.leaf import decode
from sessions.models import Entry, Payload
from tests.held import anonymous, house, signed_in
from tests.issuer import CLIENT_ID, FakeIssuer
from tests.people import ALICE
from tests.signing_in import OURS, START, corp, is_signed_in, redirected

__all__ = ["corp", "house"]


def test_signing_out_ends_the_session(house: Runtime) -> None:
    client = anonymous()
    client.force_login(signed_in(ALICE))

    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert not is_signed_in(client)


def test_who_comes_and_goes_is_recorded(corp: FakeIssuer) -> None:
    client = anonymous()
    client.get(redirected(client))
    client.post("/sign-out/")

    leaves = [decode(bytes(row.leaf)) for row in Entry.objects.filter(kind__startswith="person.signed_").order_by("id")]

    assert [(leaf.kind, leaf.facts["via"]) for leaf in leaves] == [
        ("person.signed_in", "corp"), ("person.signed_out", "page"),
    ]  # fmt: skip
    who = Payload.objects.get(commitment=bytes.fromhex(leaves[0].payloads["who"].digest)).body
    assert json.loads(bytes(who))["sub"] == ALICE.sub


@pytest.mark.promise("fail-closed")
def test_nobody_comes_in_whom_the_record_does_not_take(corp: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = anonymous()
    back = redirected(client)

    def down(*_: object) -> None:
        raise RecordUnavailable("the disk is full")

    monkeypatch.setattr(runtime().journal, "append_now", down)

    assert client.get(back).status_code == 503
    assert not is_signed_in(client)


def test_signing_in_again_gives_the_session_a_new_key(corp: FakeIssuer) -> None:
    client = anonymous()
    client.get(redirected(client))
    back = redirected(client)
    before = client.session.session_key

    client.get(back)

    assert is_signed_in(client)
    assert client.session.session_key != before


def test_signing_out_goes_on_to_the_provider_and_comes_back(corp: FakeIssuer) -> None:
    client = anonymous()
    client.get(redirected(client))

    page = client.post("/sign-out/")

    address = page.headers["Refresh"].removeprefix("0; url=")
    query = parse_qs(urlsplit(address).query)
    assert (page.status_code, is_signed_in(client)) == (200, False)
    assert address.replace("&", "&amp;") in page.content.decode()
    assert query["client_id"] == [CLIENT_ID]
    assert json.loads(base64.urlsafe_b64decode(query["id_token_hint"][0].split(".")[1] + "=="))["sub"] == "alice"
    back = requests.get(address, allow_redirects=False, timeout=5).headers["Location"]
    assert back.startswith(f"{OURS}/sign-in/")
    asked = requests.get(anonymous().get(START).headers["Location"], allow_redirects=False, timeout=5)
    assert "error=access_denied" in asked.headers["Location"]  # nobody sits there any more


def test_the_identity_token_is_in_no_cookie_and_in_no_log(corp: FakeIssuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = anonymous()
    client.get(redirected(client))
    client.get("/")
    assert client.cookies["sessionid"]["httponly"]
    hint = parse_qs(urlsplit(client.post("/sign-out/").headers["Refresh"]).query)["id_token_hint"][0]

    assert hint.count(".") == 2
    assert hint.rpartition(".")[2] not in caplog.text
    assert all(hint[:40] not in cookie.value for cookie in client.cookies.values())


@pytest.mark.parametrize("change", [{"end_session_endpoint": None}, None], ids=["has none", "is down"])
def test_where_the_provider_cannot_sign_out_one_is_signed_out_here(
    change: dict[str, Any] | None, corp: FakeIssuer
) -> None:
    client = anonymous()
    client.get(redirected(client))
    provider_cache.clear()
    corp.discovery = change or {}
    corp.outage(change is None)

    assert client.post("/sign-out/").headers["Location"] == "/sign-in/"
    assert not is_signed_in(client)
