"""Who is let in, and what is turned away at the door: tokens, hosts, origins, sizes, framing. Over real HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.issuer import FakeIssuer
from tests.line import Line
from tests.people import CI, CONNECTION, DAVE, EVE
from tests.signing import key
from tests.world import World, marker

pytestmark = pytest.mark.promise("fail-closed")


def _swapped(issuer: FakeIssuer) -> str:
    """Dave's signature under somebody else's claims."""
    head, _, signature = DAVE.token(issuer).split(".")
    _, claims, _ = issuer.token("mallory", groups=["engineering"]).split(".")
    return f"{head}.{claims}.{signature}"


WRONG: dict[str, Callable[[FakeIssuer], str | None]] = {
    "no header": lambda issuer: None,
    "another scheme": lambda issuer: "Basic ZGF2ZTpkYXZl",
    "empty": lambda issuer: "Bearer",
    "no JWT": lambda issuer: "Bearer not-a-token",
    "two tokens": lambda issuer: f"{DAVE.bearer(issuer)} {DAVE.token(issuer)}",
    "expired": lambda issuer: DAVE.bearer(issuer, now=time.time() - 7200),
    "of the future": lambda issuer: DAVE.bearer(issuer, now=time.time() + 7200),
    "for another audience": lambda issuer: DAVE.bearer(issuer, aud="somebody-else"),
    "without audience": lambda issuer: DAVE.bearer(issuer, drop=["aud"]),
    "without subject": lambda issuer: DAVE.bearer(issuer, drop=["sub"]),
    "without expiry": lambda issuer: DAVE.bearer(issuer, drop=["exp"]),
    "of an unknown issuer": lambda issuer: DAVE.bearer(issuer, iss="https://evil.example.com"),
    "of the sibling's name, by our key": lambda issuer: DAVE.bearer(issuer, iss=issuer.github.url),
    "signed by a stranger": lambda issuer: DAVE.bearer(issuer, by=key("RS256", "stranger")),
    "unsigned": lambda issuer: DAVE.bearer(issuer, header={"alg": "none"}),
    "with an unknown critical header": lambda issuer: DAVE.bearer(issuer, header={"crit": ["x"], "x": 1}),
    "with swapped claims": lambda issuer: f"Bearer {_swapped(issuer)}",
    "cut short": lambda issuer: DAVE.bearer(issuer)[:-8],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_token_gets_401_and_is_told_where_to_get_one(here: World, wrong: str) -> None:
    authorization, mark = WRONG[wrong](here.issuer), marker()
    body = here.caller(DAVE).tool_call("query", {"sql": "select 1", "marker": mark})
    headers = {"content-type": "application/json", "accept": "application/json"}
    if authorization is not None:
        headers["authorization"] = authorization

    answer = httpx.post(f"{here.gateway.url}/mcp/{CONNECTION}", json=body, headers=headers, trust_env=False)

    assert answer.status_code == 401
    metadata = f"{here.gateway.url}/.well-known/oauth-protected-resource/mcp/{CONNECTION}"
    assert f'resource_metadata="{metadata}"' in answer.headers["www-authenticate"]
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert (answer.json()["reason"], answer.json()["executed"]) == ("unauthenticated", "false")
    assert here.upstream.markers[mark] == 0
    api = httpx.get(
        f"{here.gateway.url}/api/v1/approvals/", headers={k: v for k, v in headers.items() if k == "authorization"}
    )
    assert api.status_code in {401, 403}


@pytest.mark.parametrize("connection", ["", f"/mcp/{CONNECTION}", "/mcp/no-such-connection"])
def test_the_metadata_document_names_the_issuers(here: World, connection: str) -> None:
    url = f"{here.gateway.url}/.well-known/oauth-protected-resource{connection}"

    answer = httpx.get(url, trust_env=False)

    assert answer.status_code == 200
    document = answer.json()
    assert document["resource"] == f"{here.gateway.url}{connection}"
    assert document["authorization_servers"] == [here.issuer.url]


def test_a_token_for_one_connection_opens_no_other(here: World) -> None:
    own = f"{here.gateway.url}/mcp/{CONNECTION}"

    there = here.caller(DAVE, aud=own).ask("tools/list")
    elsewhere = here.caller(DAVE, "quick", aud=own).ask("tools/list")

    assert (there.status, elsewhere.status) == (200, 401)


def test_a_job_of_a_branch_that_may_not_deploy_is_known_and_has_no_access(here: World) -> None:
    allowed = here.caller(CI).ask("tools/list")
    other = here.caller(CI, ref="refs/heads/feature").ask("tools/list")

    assert (allowed.status, other.status) == (200, 403)


def test_an_unknown_connection_and_one_without_access_look_the_same(here: World) -> None:
    answers = [
        here.caller(EVE).raw(content=b"{}"),
        here.caller(DAVE, "closed").raw(content=b"{}"),
        here.caller(DAVE, "no-such-connection").raw(content=b"{}"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["reason"] == "forbidden"


def test_a_foreign_host_is_misdirected_and_a_foreign_origin_forbidden(here: World) -> None:
    caller = here.caller(DAVE)
    body = json.dumps(caller.message("tools/list")).encode()

    assert caller.raw(content=body, host="evil.example.com").status_code == 421
    assert caller.raw(content=body, origin="http://evil.example.com").status_code == 403
    assert caller.raw(content=body, origin="null").status_code == 403
    assert caller.raw(content=body, origin=here.gateway.url).status_code == 200
    for path in ("healthz", "readyz"):
        answer = httpx.get(f"{here.gateway.url}/{path}", headers={"host": "evil.example.com"}, trust_env=False)
        assert answer.status_code == 200


def test_a_body_beyond_the_limit_is_too_large_whether_it_says_so_or_not(here: World) -> None:
    caller, mark = here.caller(DAVE, "faulty"), marker()
    body = json.dumps(caller.tool_call("echo", {"text": "x" * 70_000, "marker": mark})).encode()

    declared = caller.raw(content=body)
    chunked = httpx.post(
        caller.url, content=iter([body[:1000], body[1000:]]), headers=caller.headers({}, {}), trust_env=False
    )

    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert here.upstreams["faulty"].markers[mark] == 0


FRAMING: dict[str, Callable[[Line], dict[str, Any]]] = {
    "a key twice": lambda it: {"content": _call(it).replace(b'"name"', b'"name": "echo", "name"')},
    "a key twice but for case": lambda it: {"content": _call(it).replace(b'"name"', b'"NAME": "echo", "name"')},
    "no JSON": lambda it: {"content": b"select 1"},
    "NaN": lambda it: {"content": _call(it).replace(b'"sql"', b'"n": NaN, "sql"')},
    "a lone surrogate": lambda it: {"content": _call(it).replace(b"select 1", rb"\ud800")},
    "too deep": lambda it: {"content": _call(it).replace(b'"select 1"', b"[" * 80 + b"]" * 80)},
    "not UTF-8": lambda it: {"content": _call(it).replace(b"select 1", b"\xff")},
    "another content type": lambda it: {"content": _call(it), "content_type": "text/plain"},
    "an id that is null": lambda it: {"content": json.dumps({**it.tool_call("query", {}), "id": None}).encode()},
    "a header that is not the body": lambda it: {"content": _call(it), "mcp_method": "tools/list"},
    "an unknown revision": lambda it: {"content": _call(it), "mcp_protocol_version": "1999-01-01"},
}


def _call(line: Line) -> bytes:
    return json.dumps(line.tool_call("query", {"sql": "select 1"})).encode()


@pytest.mark.parametrize("wrong", FRAMING)
def test_a_request_that_two_readers_could_read_differently_is_refused(here: World, wrong: str) -> None:
    line = here.caller(DAVE)
    before = len(here.upstream.requests)

    answer = line.raw(**FRAMING[wrong](line))

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["data"]["executed"] == "false"
    assert len(here.upstream.requests) == before


def test_other_verbs_are_not_allowed(here: World) -> None:
    for verb in ("PUT", "PATCH"):
        assert here.caller(DAVE).raw(verb, content=b"{}").status_code == 405


def test_the_issuers_outage_lets_known_keys_go_on_and_unknown_ones_not(here: World) -> None:
    here.caller(DAVE).ask("tools/list")
    here.issuer.outage()
    try:
        known = here.caller(DAVE).ask("tools/list")
        unknown = here.caller(DAVE, by=key("RS256", "never-published")).raw(content=b"{}")
    finally:
        here.issuer.outage(down=False)

    assert (known.status, unknown.status_code) == (200, 401)


@pytest.mark.promise("intent-first")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()
