"""My servers: a person connects an account of their own, and no other browser, person or answer gets in between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from django.test import Client

from approvals.config.schema import Connection
from approvals.runtime import Runtime
from approvals.secrets import Secrets
from approvals.verdicts import Caller
from proxy.credentials import Credentials
from proxy.errors import CredentialUnavailable
from proxy.models import TokenGrant
from proxy.oauth import connecting
from proxy.oauth.tokens import Asker, Tokens
from proxy.upstream import pooled_transport
from sessions.models import Entry
from tests.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server
from tests.blocks import connection
from tests.held import ISS, anonymous, browser, house, publish_policy
from tests.people import DAVE, EVE, Human

__all__ = ["house"]

pytestmark = pytest.mark.promise("secrets-stay")
MINE = "/me/servers/"
CALENDAR = f"{MINE}calendar/"


@pytest.fixture
def server(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuthorizationServer]:
    """The authorization server of a connection `calendar` that engineers may use."""
    monkeypatch.setenv("CALENDAR_SECRET", CLIENT_SECRET)
    with authorization_server() as made:
        made.metadata = {
            "/.well-known/oauth-authorization-server": {
                "issuer": made.issuer,
                "authorization_endpoint": f"{made.issuer}/authorize",
                "token_endpoint": made.token_endpoint,
                "authorization_response_iss_parameter_supported": True,
            }
        }
        publish_policy(connections={"calendar": calendar(made), "other": calendar(made)}, rules=[])
        yield made


def calendar(server: AuthorizationServer, **keys: Any) -> dict[str, Any]:
    own = {"grant": "authorization_code", "client_id": CLIENT_ID, "client_secret": "env:CALENDAR_SECRET"}
    credential = {"oauth": {**own, "issuer": server.issuer, "scope": ["events"], **keys}}
    return connection("https://calendar.example.com/mcp", credential=credential, description="Everybody's calendar")


def begun(client: Client, where: str = CALENDAR) -> str:
    """Press Connect, and return the address to which the next page leads."""
    page = client.post(f"{where}connect/")
    assert page.status_code == 200, page
    assert "no-store" in page.headers["Cache-Control"]
    found = re.search(r'href="(http://127[^"]*)"', page.content.decode())
    assert found, page.content.decode()
    return unescape(found[1])


def visited(address: str) -> str:
    """Go to the authorization server as a browser does, agree, and return where it sends the browser back."""
    answer = httpx.get(address, trust_env=False)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


def connected(client: Client) -> str:
    answer = client.get(visited(begun(client)), follow=True)
    return str(answer.content.decode())


def token_of(server: AuthorizationServer, human: Human, kind: Any = "person") -> str:
    """Return with which token the data path would call for somebody."""

    async def main() -> str:
        transport = pooled_transport()
        tokens = Tokens(transport, Credentials(Secrets(environ={"CALENDAR_SECRET": CLIENT_SECRET})))
        asker = Asker(Caller(iss=ISS, sub=human.sub, kind=kind))
        try:
            made = Connection.model_validate(calendar(server))
            return (await tokens.get("calendar", made, asker)).secret.reveal()
        finally:
            await transport.aclose()

    return asyncio.run(main())


def test_a_person_connects_their_account_and_their_calls_travel_with_it(
    house: Runtime, server: AuthorizationServer
) -> None:
    dave = browser(DAVE)
    assert "not connected" in dave.get(MINE).content.decode()
    server.person = "dave-at-the-calendar"
    address = begun(dave)
    query = dict(parse_qsl(urlsplit(address).query))
    assert {name: query[name] for name in ("response_type", "client_id", "scope", "resource")} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "scope": "events",
        "resource": "https://calendar.example.com/mcp",
    }
    page = dave.get(visited(address), follow=True).content.decode()
    assert "Your account is connected" in page
    assert server.good[token_of(server, DAVE)] == "dave-at-the-calendar"
    row = TokenGrant.objects.get()
    assert "canary" not in page + str(bytes(row.sealed)) + repr(row)
    assert Entry.objects.filter(kind="server.connected", connection="calendar").count() == 1
    assert "canary" not in str([bytes(leaf) for leaf in Entry.objects.values_list("leaf", flat=True)])


def test_who_has_connected_nothing_hears_where_to_do_so(house: Runtime, server: AuthorizationServer) -> None:
    connected(browser(DAVE))
    with pytest.raises(CredentialUnavailable) as caught:
        token_of(server, EVE)
    refusal = caught.value.refusal()
    assert (refusal.executed, caught.value.detail) == ("false", "account_missing")
    assert (refusal.url or "").endswith("/me/servers/")
    with pytest.raises(CredentialUnavailable, match="people alone") as caught:
        token_of(server, EVE, kind="agent")
    assert caught.value.url is None


def test_an_account_is_renewed_until_the_server_says_no(house: Runtime, server: AuthorizationServer) -> None:
    server.seconds = 0
    dave = browser(DAVE)
    connected(dave)
    assert len({token_of(server, DAVE) for _ in range(3)}) == 3
    server.refresh.clear()
    with pytest.raises(CredentialUnavailable) as caught:
        token_of(server, DAVE)
    assert caught.value.detail == "account_ended"
    assert "Connect it anew" in dave.get(MINE).content.decode()
    connected(dave)
    assert token_of(server, DAVE) in server.good


def test_a_server_without_refresh_tokens_is_connected_anew_when_its_token_is_over(
    house: Runtime, server: AuthorizationServer
) -> None:
    server.rotates, server.seconds = False, 0
    connected(browser(DAVE))
    with pytest.raises(CredentialUnavailable) as caught:
        token_of(server, DAVE)
    assert caught.value.detail == "account_ended"


def test_an_account_that_is_disconnected_is_gone(house: Runtime, server: AuthorizationServer) -> None:
    dave = browser(DAVE)
    connected(dave)
    assert "forgotten here" in dave.post(f"{CALENDAR}disconnect/", follow=True).content.decode()
    assert "There was none" in dave.post(f"{CALENDAR}disconnect/", follow=True).content.decode()
    assert not TokenGrant.objects.exists()
    assert Entry.objects.filter(kind="server.disconnected").count() == 1


def _of_another_session(dave: Client) -> tuple[Client, str]:
    return browser(DAVE), visited(begun(dave))


def _of_another_person(dave: Client) -> tuple[Client, str]:
    alice = browser(Human("alice", "Alice Ames", ("engineering",)))
    begun(alice)
    return alice, visited(begun(dave))


def _of_another_connection(dave: Client) -> tuple[Client, str]:
    begun(dave, f"{MINE}other/")
    return dave, visited(begun(dave)).replace("/calendar/", "/other/")


def _twice(dave: Client) -> tuple[Client, str]:
    address = visited(begun(dave))
    dave.get(address.replace("canary-code", "guessed"))
    return dave, address


def _without_state(dave: Client) -> tuple[Client, str]:
    return dave, re.sub(r"state=[^&]*&", "", visited(begun(dave)))


def _too_late(dave: Client) -> tuple[Client, str]:
    address = visited(begun(dave))
    session = dave.session
    session["connecting_server"]["calendar"]["until"] -= connecting.SECONDS + 1
    session.save()
    return dave, address


def _of_another_sender(dave: Client) -> tuple[Client, str]:
    return dave, re.sub(r"iss=[^&]*", "iss=https://evil.example", visited(begun(dave)))


def _of_nobody(dave: Client) -> tuple[Client, str]:
    return dave, re.sub(r"iss=[^&]*&", "", visited(begun(dave)))


def _without_code(dave: Client) -> tuple[Client, str]:
    return dave, re.sub(r"code=[^&]*", "error=access_denied", visited(begun(dave)))


WRONG = [
    _of_another_session,
    _of_another_person,
    _of_another_connection,
    _twice,
    _without_state,
    _too_late,
    _of_another_sender,
    _of_nobody,
    _without_code,
]


@pytest.mark.parametrize("answer", WRONG, ids=lambda one: str(one.__name__))
def test_an_answer_that_was_not_asked_for_here_connects_nothing(
    house: Runtime, server: AuthorizationServer, answer: Any
) -> None:
    client, address = answer(browser(DAVE))
    asked = len(server.asked)
    page = client.get(address, follow=True).content.decode()
    assert "Begin anew." in page or "Nothing was connected." in page
    assert "Your account is connected" not in page
    assert not TokenGrant.objects.exists()
    assert not server.good
    if answer is not _twice:
        assert len(server.asked) == asked  # the code went nowhere


def test_only_who_may_use_a_server_sees_it_and_only_a_form_of_ours_begins(
    house: Runtime, server: AuthorizationServer
) -> None:
    assert "calendar" not in browser(EVE).get(MINE).content.decode()
    for what in ("connect", "disconnect"):
        assert browser(EVE).post(f"{CALENDAR}{what}/").status_code == 404
        assert browser(DAVE).post(f"{MINE}orders-db/{what}/").status_code == 404
        assert browser(DAVE).get(f"{CALENDAR}{what}/").status_code == 405
        assert browser(DAVE, enforce_csrf_checks=True).post(f"{CALENDAR}{what}/").status_code == 403
        assert anonymous().post(f"{CALENDAR}{what}/").headers["Location"].startswith("/sign-in/")
    assert browser(EVE).get(f"{CALENDAR}callback/?code=x&state=y").status_code == 404


def test_an_authorization_server_that_is_down_is_said_on_the_page(house: Runtime, server: AuthorizationServer) -> None:
    dave = browser(DAVE)
    address = visited(begun(dave))
    server.fault = (503, b"canary")
    page = dave.get(address, follow=True).content.decode()
    assert "answered with no bearer token" in page
    server.metadata = {}
    page = dave.post(f"{CALENDAR}connect/", follow=True).content.decode()
    assert "publishes no metadata" in page
    assert "canary" not in page
    assert not TokenGrant.objects.exists()


def test_the_api_tells_the_same_and_lets_go(house: Runtime, server: AuthorizationServer) -> None:
    dave = browser(DAVE)

    def statuses(client: Client) -> dict[str, str]:
        return {one["connection"]: one["status"] for one in client.get("/api/v1/servers/").json()["results"]}

    assert statuses(dave) == {"calendar": "missing", "other": "missing"}
    connected(dave)
    assert statuses(dave) == {"calendar": "connected", "other": "missing"}
    TokenGrant.objects.update(ended="invalid_grant")
    assert statuses(dave)["calendar"] == "ended"
    assert "canary" not in dave.get("/api/v1/servers/").content.decode()
    assert statuses(browser(EVE)) == {}
    assert browser(EVE).post("/api/v1/servers/calendar/disconnect/").status_code == 404
    assert dave.post("/api/v1/servers/calendar/disconnect/").status_code == 204
    assert statuses(dave)["calendar"] == "missing"
    assert anonymous().get("/api/v1/servers/").status_code == 401
