"""Credentials towards servers, through a whole gateway: tokens that are renewed, servers that refuse, addresses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from tests import people
from tests.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer, authorization_server
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import leaks
from tests.issuer import CLIENT_ID as LOGIN_ID
from tests.issuer import CLIENT_SECRET as LOGIN_SECRET
from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import ALICE, DAVE, GRACE
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("secrets-stay")

STATIC = "canary-static-credential"
UPSTREAMS = ("tokens", "renewed", "exchanged", "accounts", "static", "elsewhere")
SEED = "canary-refresh-seed"


@pytest.fixture(scope="module")
def desk() -> Iterator[AuthorizationServer]:
    """Where the gateway gets tokens for servers."""
    with authorization_server() as server:
        yield server


@pytest.fixture(scope="module")
def here(issuer: FakeIssuer, desk: AuthorizationServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(running()) for name in UPSTREAMS}
        for name in ("tokens", "renewed", "exchanged", "accounts"):
            upstreams[name].admits = desk.admits
        desk.refresh[SEED] = "the gateway"
        desk.metadata = {
            "/.well-known/oauth-authorization-server": {
                "issuer": desk.issuer,
                "token_endpoint": desk.token_endpoint,
                "authorization_endpoint": f"{desk.issuer}/authorize",
            }
        }
        blocks = {"connections": connections(upstreams, desk), "rules": [held()]}
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        env = {"CLIENT_SECRET": CLIENT_SECRET, "STATIC": STATIC, "SEED": SEED}
        env |= {"HOLDGATE_LOGIN_CORP_CLIENT_ID": LOGIN_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": LOGIN_SECRET}
        made = stack.enter_context(world(tmp_path_factory.mktemp("tokens"), issuer, upstreams, text, **env))
        made.start()
        yield made
        made.gateway.stop()


def held() -> dict[str, Any]:
    return word_rule("ask-first", "hold", r"\bask first\b", approval=one_dba())


def connections(upstreams: dict[str, FakeUpstream], desk: AuthorizationServer) -> dict[str, Any]:
    client = {"client_id": CLIENT_ID, "client_secret": "env:CLIENT_SECRET", "issuer": desk.issuer}
    own = {**client, "grant": "client_credentials"}
    renewed = {**client, "grant": "refresh_token", "refresh_token": "env:SEED"}
    exchanged = {**client, "grant": "token_exchange"}
    accounts = {**client, "grant": "authorization_code"}
    secret = {"header": "X-Key", "value": "env:STATIC"}
    return {
        "tokens": connection(upstreams["tokens"].url, credential={"oauth": own}),
        "renewed": connection(upstreams["renewed"].url, credential={"oauth": renewed}),
        "exchanged": connection(upstreams["exchanged"].url, credential={"oauth": exchanged}),
        "accounts": connection(upstreams["accounts"].url, credential={"oauth": accounts}),
        "static": connection(upstreams["static"].url, credential=secret),
        "bare": connection(upstreams["static"].url),
        "elsewhere": connection(upstreams["elsewhere"].url, networks=["10.0.0.0/8"]),
    }


def called(here: World, name: str, **arguments: str) -> tuple[Answer, FakeUpstream, str]:
    upstream, mark = here.upstreams.get(name, here.upstreams["static"]), marker()
    return here.caller(DAVE, name).call("echo", {"marker": mark, **arguments}), upstream, mark


def refusal(here: World, answer: Answer) -> dict[str, Any]:
    """Return the refusal fields of an answer, and of its end in the record the detail."""
    found = answer.decision
    failed = here.stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE kind = 'call.failed'")
    # It may be the gateway's own look at the tools, for this call, that failed.
    [facts] = [leaf for leaf in (bytes(one).decode() for (one,) in failed) if found["call_id"] in leaf]
    return {**found, "facts": facts}


def test_a_call_travels_with_a_token_of_its_own_server_and_never_the_callers(
    here: World, desk: AuthorizationServer
) -> None:
    answer, upstream, mark = called(here, "tokens")
    assert not answer.is_error, answer.text
    assert upstream.markers[mark] == 1
    assert desk.admits(upstream.calls[-1])
    callers = here.told.secrets.values()
    assert not any(one in str(seen.headers) for seen in upstream.requests for one in callers)


def test_a_token_that_the_server_no_longer_takes_is_got_anew_and_the_call_runs_once(
    here: World, desk: AuthorizationServer
) -> None:
    called(here, "tokens")
    asked, upstream = len(desk.asked), here.upstreams["tokens"]
    desk.revoke()
    answer, _, mark = called(here, "tokens")
    assert not answer.is_error, answer.text
    assert upstream.markers[mark] == 1
    assert [desk.admits(seen) for seen in upstream.calls if mark.encode() in seen.body] == [False, True]
    assert len(desk.asked) == asked + 1
    [(leaf,)] = here.stored.rows(
        "SELECT leaf FROM mcp_sessions_entry WHERE call_id = ? AND kind = 'call.result'", answer.decision["call_id"]
    )
    assert b'"renewed":true' in bytes(leaf)


def test_a_server_that_refuses_every_token_is_an_error_of_ours_that_says_what_to_do(
    here: World, desk: AuthorizationServer
) -> None:
    upstream = here.upstreams["tokens"]
    upstream.admits = lambda seen: False
    try:
        answer, _, mark = called(here, "tokens")
    finally:
        upstream.admits = desk.admits
    assert answer.status == 200
    assert "www-authenticate" not in answer.headers
    found = refusal(here, answer)
    assert (found["reason"], found["executed"]) == ("credential_unavailable", "false")
    assert "an admin must look at the client at its authorization server" in found["message"]
    assert '"detail":"credential_refused"' in found["facts"]
    assert len([seen for seen in upstream.calls if mark.encode() in seen.body]) == 2


@pytest.mark.parametrize(
    ("name", "challenge", "detail", "said"),
    [
        ("static", 'Bearer realm="canary-realm"', "credential_refused", "the secret that `credential` names"),
        ("static", 'Bearer error="insufficient_scope", scope="canary"', "insufficient_scope", "may not do this"),
        ("bare", 'Bearer resource_metadata="https://canary.example"', "credential_missing", "must give it one"),
    ],
)
def test_whose_credential_failed_is_said_and_the_servers_challenge_is_not(
    here: World, name: str, challenge: str, detail: str, said: str
) -> None:
    upstream = here.upstreams["static"]
    upstream.admits, upstream.challenge = (lambda seen: False), challenge
    try:
        answer, _, _ = called(here, name)
    finally:
        upstream.admits = None
    found = refusal(here, answer)
    assert said in found["message"]
    assert f'"detail":"{detail}"' in found["facts"]
    assert "canary" not in answer.text + str(answer.headers)


def test_no_token_is_asked_for_before_the_decision(here: World, desk: AuthorizationServer) -> None:
    until(lambda: not called(here, "tokens")[0].is_error, "a token")
    desk.revoke()
    asked = len(desk.asked)
    mark = marker()
    waiting = here.caller(DAVE, "tokens").begin("echo", {"marker": mark, "text": "ask first"})
    [approval] = here.asked_for(mark)
    assert len(desk.asked) == asked
    here.approve(approval)
    assert not waiting.answer().is_error
    assert here.upstreams["tokens"].markers[mark] == 1


def test_an_authorization_server_that_refuses_or_is_silent_is_told_apart(
    here: World, desk: AuthorizationServer
) -> None:
    desk.revoke()
    desk.fault = (400, {"error": "invalid_client", "error_description": "canary"})
    try:
        answer, upstream, mark = called(here, "tokens")
    finally:
        desk.fault = None
    found = refusal(here, answer)
    assert (found["reason"], found["executed"]) == ("credential_unavailable", "false")
    assert "invalid_client" in found["message"]
    assert upstream.markers[mark] == 0


def test_a_callers_token_goes_to_the_authorization_server_alone(here: World, desk: AuthorizationServer) -> None:
    marks = {}
    for who in (DAVE, ALICE):
        line, mark = here.caller(who, "exchanged"), marker()
        assert not line.call("echo", {"marker": mark}).is_error
        marks[mark] = who.sub
        assert line.token in [form["subject_token"][0] for form in desk.asked if "subject_token" in form]
    upstream = here.upstreams["exchanged"]
    for mark, subject in marks.items():
        [seen] = [one for one in upstream.calls if mark.encode() in one.body]
        assert desk.good[(seen.header("authorization") or "").removeprefix("Bearer ")] == subject
    told = here.told.secrets.values()
    assert not any(secret in str(one.headers) + one.body.decode() for one in upstream.requests for secret in told)


def test_a_grant_is_renewed_when_the_server_no_longer_takes_its_token(here: World, desk: AuthorizationServer) -> None:
    assert not called(here, "renewed")[0].is_error
    desk.revoke()
    answer, upstream, mark = called(here, "renewed")
    assert not answer.is_error, answer.text
    assert upstream.markers[mark] == 1
    grants = [form["refresh_token"][0] for form in desk.asked if "refresh_token" in form]
    assert len(grants) == len(set(grants)) >= 2


def test_a_person_connects_an_account_and_nobody_else_calls_with_it(here: World, desk: AuthorizationServer) -> None:
    answer, upstream, mark = called(here, "accounts")
    assert answer.outcome == ("credential_unavailable", "false")
    assert answer.decision["url"] == f"{here.gateway.url}/me/servers/"
    desk.person = "dave-at-the-server"
    with here.browser(DAVE) as browser:
        form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', _page(browser, "/me/servers/"))
        assert form is not None
        shown = browser.post(
            "/me/servers/accounts/connect/",
            data={"csrfmiddlewaretoken": form[1]},
            headers={"origin": here.gateway.url},
        )
        leads = re.search(r'href="(http://[^"]*/authorize[^"]*)"', shown.text)
        assert leads is not None, shown.text
        assert "Your account is connected" in _page(browser, unescape(leads[1]))
    answer = until(lambda: _unless_refused(called(here, "accounts")[0]), "a call with the account")
    [seen] = [one for one in upstream.calls if desk.good.get((one.header("authorization") or "")[7:])]
    assert desk.good[(seen.header("authorization") or "")[7:]] == "dave-at-the-server"
    assert here.caller(ALICE, "accounts").call("echo", {"marker": mark}).outcome == ("credential_unavailable", "false")
    assert upstream.markers[mark] == 0


def _unless_refused(answer: Answer) -> Answer | None:
    return None if answer.is_error else answer


def test_a_server_outside_of_its_networks_is_not_dialled(here: World) -> None:
    answer, upstream, _ = called(here, "elsewhere")
    found = refusal(here, answer)
    assert (found["reason"], found["executed"]) == ("upstream_unavailable", "false")
    assert "outside of `networks` of the connection" in found["message"]
    assert '"detail":"address_refused"' in found["facts"]
    assert not upstream.requests


def test_a_token_that_a_server_tells_is_hidden_and_none_is_written_down(here: World, desk: AuthorizationServer) -> None:
    upstream = here.upstreams["tokens"]
    until(lambda: not called(here, "tokens")[0].is_error, "a token")
    upstream.script = lambda message: (
        [{"result": {"content": [{"type": "text", "text": f"it is {next(reversed(desk.good))}"}]}}]
        if message["method"] == "tools/call"
        else None
    )
    try:
        answer, _, _ = called(here, "tokens")
    finally:
        upstream.script = None
    assert "[credential]" in answer.text
    pages = [here.api(GRACE, "GET", path).text for path in ("sessions/", "policy/")]
    with here.browser(GRACE) as browser:
        pages += [_page(browser, path) for path in ("/sessions/", "/evidence/")]
    said = [("an answer", one.text.encode()) for one in (*here.told.answers, answer)]
    said += [("a page", one.encode()) for one in pages]
    secrets = {
        "the client's secret": CLIENT_SECRET,
        "a static one": STATIC,
        "any token": "canary-access",
        "any grant": "canary-refresh",
    }
    assert not sorted(set(leaks(secrets.items(), [*said, *here.written()])))


def _page(browser: httpx.Client, path: str) -> str:
    return browser.get(path).raise_for_status().text


def test_what_happened_stands_in_the_record(here: World) -> None:
    here.assert_history()
