"""Servers behind an agent: called, held, masked and recorded as all others, through one socket that it dialled."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import agent as agents
from tests import people
from tests.agent import Agent
from tests.blocks import one_dba, spelled_out, word_rule
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.people import DAVE
from tests.relay import Relay, relay
from tests.running_stdio import connection as stdio
from tests.upstream import running
from tests.world import World, marker, until, world

SECRET = "agents-own-credential-Kq83vLx1"
UPSTREAMS: dict[str, dict[str, bool]] = {"orders-db": {}, "streams": {"stream": True}, "sessions": {"sessions": True}}


def _connection(**more: Any) -> dict[str, Any]:
    access = [{"groups": ["corp/engineering"]}]
    return {"transport": "agent", "agent": agents.NAME, "access": access, "default": "allow", "timeout": "20s", **more}


@pytest.fixture(scope="module")
def way(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Agent, Relay]]:
    """A gateway, an agent that serves three servers over HTTP and one program, and the wire between the two."""
    folder = tmp_path_factory.mktemp("far")
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(running(**options)) for name, options in UPSTREAMS.items()}
        names = [*upstreams, "programs", "unserved", "not-allowed"]
        made = {name: _connection() for name in names} | {"orders-db": _connection(timeout="2s")}
        rules = [
            word_rule("never-drop", "deny", r"(?i)\bdrop\b"),
            word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba()),
        ]
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=made, rules=rules))
        login = {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
        here = stack.enter_context(world(folder, issuer, upstreams, text, **login))
        here.start()
        stack.callback(here.gateway.stop)
        token = agents.made(here.gateway, *names[:-1])
        credential = {"header": "Authorization", "prefix": "Bearer ", "value": "env:UPSTREAM_TOKEN"}
        served: dict[str, dict[str, Any]] = {
            name: {"url": upstream.url, "credential": credential} for name, upstream in upstreams.items()
        }
        program = {key: value for key, value in stdio().items() if key != "default"}
        program["environment"] = {"STDIO_TOKEN": "env:UPSTREAM_TOKEN"}
        served |= {"programs": program, "not-allowed": served["orders-db"]}
        wire = stack.enter_context(relay("127.0.0.1", here.gateway.port))
        agent = Agent(folder / "agent", token, f"http://127.0.0.1:{wire.port}", served, {"UPSTREAM_TOKEN": SECRET})
        stack.enter_context(agents.running(agent))
        yield here, agent, wire


@pytest.fixture
def far(way: tuple[World, Agent, Relay]) -> tuple[World, Agent]:
    """The gateway and its agent."""
    return way[:2]


def _entries(here: World, kind: str) -> list[dict[str, Any]]:
    from sessions.leaf import decode

    rows = here.stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE kind = ? ORDER BY id", kind)
    return [dict(decode(bytes(leaf)).facts) for (leaf,) in rows]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.promise("masked-everywhere")
@pytest.mark.promise("secrets-stay")
def test_a_call_goes_through_the_agent_which_alone_has_the_credential(far: tuple[World, Agent], era: str) -> None:
    here, agent = far
    mark = marker()

    answer = here.caller(DAVE, era=era).call("query", {"sql": "select 1", "marker": mark})

    assert answer.outcome == (None, None), answer.text
    assert answer.result["structuredContent"]["rows"][0]["email"] == "masked@masked.invalid"
    assert here.upstream.markers[mark] == 1
    seen = next(seen for seen in here.upstream.requests if mark.encode() in seen.body)
    assert dict(seen.headers)[b"authorization"] == f"Bearer {SECRET}".encode()
    assert not [name for name, _ in seen.headers if name.startswith(b"holdgate-")]
    assert SECRET not in "".join(here.gateway.log)
    assert all(SECRET.encode() not in written for _, written in here.written())
    assert SECRET not in "".join(agent.log)


@pytest.mark.promise("bound-decision")
def test_a_held_call_runs_once_when_it_was_approved(far: tuple[World, Agent]) -> None:
    here, _ = far
    mark = marker()
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})
    assert here.upstream.markers[mark] == 0

    here.approve(held.approval_id)

    assert held.answer().is_error is False
    assert here.upstream.markers[mark] == 1


def test_a_stream_comes_as_it_is_said(far: tuple[World, Agent]) -> None:
    here, _ = far

    answer = here.caller(DAVE, "streams").call("query", {"sql": "select 1", "marker": marker()})

    assert answer.outcome == (None, None), answer.text


def test_a_session_of_the_server_is_kept(far: tuple[World, Agent]) -> None:
    here, _ = far
    line = here.caller(DAVE, "sessions").initialize()

    assert line.call("query", {"sql": "select 1", "marker": marker()}).outcome == (None, None)


def test_a_large_request_and_a_large_answer_pass_in_pieces(far: tuple[World, Agent]) -> None:
    here, _ = far
    text = "x" * (2 << 20)

    answer = here.caller(DAVE, "streams").call("echo", {"text": text})

    assert answer.outcome == (None, None), answer.text[:500]
    assert text in answer.text


def test_a_program_is_served_by_the_agent(far: tuple[World, Agent]) -> None:
    here, _ = far
    line = here.caller(DAVE, "programs").initialize()

    assert line.call("count", {}).said == "1"
    assert line.call("count", {}).said == "2"


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("name", ["unserved", "not-allowed"])
def test_what_the_agent_does_not_serve_or_may_not_is_refused_with_a_hint(far: tuple[World, Agent], name: str) -> None:
    here, _ = far

    answer = here.caller(DAVE, name).call("query", {"sql": "select 1"})

    assert answer.outcome == ("upstream_unavailable", "false")
    assert answer.decision["retry_after"] == 2


def test_a_server_that_hangs_is_cancelled_when_its_time_is_up(far: tuple[World, Agent]) -> None:
    here, _ = far
    before = here.upstream.disconnects
    here.upstream.hold()

    answer = here.caller(DAVE).call("slow", {"marker": marker()})
    here.upstream.wait_for(lambda it: it.disconnects > before)
    here.upstream.release()

    assert answer.outcome == ("upstream_timeout", "unknown")


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_an_agent_that_goes_while_a_call_runs(far: tuple[World, Agent], how: signal.Signals) -> None:
    here, agent = far
    mark, upstream = marker(), here.upstreams["streams"]
    upstream.hold()
    line = here.caller(DAVE, "streams")
    asked = here.aside(lambda: line.call("slow", {"marker": mark}))
    until(lambda: sum(mark.encode() in seen.body for seen in upstream.requests), "the call at the server")

    if how is signal.SIGKILL:
        agent.kill()
    else:
        ending = here.aside(agent.end)
        until(lambda: _is_away(here), "its leaving")
        away = here.caller(DAVE, "streams").call("query", {"sql": "select 1"})
        assert away.outcome == ("upstream_unavailable", "false")
        upstream.release()
        assert ending.result(30) == 0
    answer = asked.result(30)
    upstream.release()

    assert answer.outcome == (("outcome_unknown", "unknown") if how is signal.SIGKILL else (None, None)), answer.text
    assert sum(mark.encode() in seen.body for seen in upstream.requests) == 1
    assert here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == ("upstream_unavailable", "false")
    agent.start()
    assert here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == (None, None)


SIZE = 2 << 20
NOT_BEGUN, UNCLEAR = ("upstream_unavailable", "false"), ("outcome_unknown", "unknown")


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize(
    ("handed_over", "is_killed", "outcome"),
    [
        pytest.param(30_000, False, NOT_BEGUN, id="cut in the first piece"),
        pytest.param(SIZE // 2, False, NOT_BEGUN, id="cut in the middle"),
        pytest.param(SIZE // 2, True, NOT_BEGUN, id="killed in the middle"),
        # The gateway has sent all of it, and cannot know how far that came.
        pytest.param(SIZE - 30_000, False, UNCLEAR, id="cut in the last piece"),
    ],
)
def test_a_request_of_which_the_agent_has_a_part_is_never_begun(
    way: tuple[World, Agent, Relay], handed_over: int, is_killed: bool, outcome: tuple[str, str]
) -> None:
    here, agent, wire = way
    mark, upstream, line = marker(), here.upstreams["streams"], here.caller(DAVE, "streams")
    brake = wire.brake
    brake.came, brake.left = 0, handed_over
    asked = here.aside(lambda: line.call("echo", {"marker": mark, "text": "x" * (SIZE - 2000)}))
    until(lambda: brake.came > handed_over, "the part of the request")

    if is_killed:
        agent.kill()
        agent.start(wait=False)
    else:
        wire.hang_up()
    answer = asked.result(30)

    assert answer.outcome == outcome, answer.text
    assert answer.decision.get("retry_after") == (2 if outcome == NOT_BEGUN else None)
    until(lambda: line.call("echo", {"text": "x"}).outcome == (None, None), "the agent's coming back", 60)
    assert not [seen for seen in upstream.requests if mark.encode() in seen.body]


def _is_away(here: World) -> bool:
    answer = here.caller(DAVE, "streams").call("query", {"sql": "select 1"})
    return answer.outcome == ("upstream_unavailable", "false")


@pytest.mark.promise("nothing-lost")
def test_a_gateway_that_is_killed_is_found_again(far: tuple[World, Agent]) -> None:
    here, agent = far
    here.gateway.kill()
    until(lambda: not agent.ready.exists(), "the agent's noticing")

    here.start()
    agent.connected()

    assert here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == (None, None)


def test_a_rotated_token_replaces_the_one_before_when_it_is_used(far: tuple[World, Agent]) -> None:
    here, agent = far
    before = agent.token
    agent.token = here.gateway.manage("agents", "rotate", agents.NAME).stdout.strip()
    agent.end()
    agent.start()
    agent.end()

    agent.token, new = before, agent.token
    agent.start(wait=False)
    until(lambda: any("does not take this agent's token" in line for line in agent.log), "its being turned away", 30)
    agent.kill()
    agent.token = new
    agent.start()

    assert here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == (None, None)
    assert new.encode() not in b"".join(written for _, written in here.written())


def test_the_gateway_shows_and_records_who_is_connected(far: tuple[World, Agent]) -> None:
    here, _ = far

    listed = here.gateway.manage("agents", "list").stdout
    ready = httpx.get(f"{here.gateway.url}/readyz", trust_env=False, timeout=30).json()
    assert ready["agents"] == []
    metrics = httpx.get(f"{here.gateway.url}/metrics", trust_env=False, timeout=30).text
    assert f'holdgate_agent_connected{{agent="{agents.NAME}"}} 1.0' in metrics
    assert f'holdgate_agent_server_failing{{agent="{agents.NAME}",connection="programs"}} 0.0' in metrics
    assert listed.split("\t")[:3] == [agents.NAME, "connected", "9.9"]
    assert {one["agent"] for one in _entries(here, "agent.connected")} == {agents.NAME}
    assert _entries(here, "agent.made")[0]["connections"] == sorted([*UPSTREAMS, "programs", "unserved"])
    assert {"lost", "shutdown"} >= {one["why"] for one in _entries(here, "agent.disconnected")}


@pytest.mark.promise("rule-at-once")
def test_a_revoked_agent_is_cut_off_and_comes_back_no_more(far: tuple[World, Agent]) -> None:
    here, agent = far
    mark, upstream = marker(), here.upstreams["streams"]
    with here.browser(DAVE) as browser:
        until(lambda: "orders-db: ok" in browser.get("/admin/proxy/agent/").text, "what the agent says every 10 s", 30)
        page = browser.get("/admin/proxy/agent/").text
        assert "connected" in page
        form = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert form is not None
        upstream.hold()
        asked = here.aside(lambda: here.caller(DAVE, "streams").call("slow", {"marker": mark}))
        until(lambda: sum(mark.encode() in seen.body for seen in upstream.requests), "the call at the server")
        body = {"csrfmiddlewaretoken": form[1], "action": "revoke", "_selected_action": agents.NAME}
        said = browser.post("/admin/proxy/agent/", data=body, headers={"origin": here.gateway.url}).text
        assert f"{agents.NAME.capitalize()} is revoked." in said

    assert asked.result(20).outcome == ("outcome_unknown", "unknown")
    upstream.release()
    until(lambda: not agent.ready.exists(), "its end")
    assert here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == ("upstream_unavailable", "false")
    ready = httpx.get(f"{here.gateway.url}/readyz", trust_env=False, timeout=30).json()
    assert (ready["ready"], ready["agents"]) == (True, [f"the agent {agents.NAME} is revoked"])
    assert any("the token was revoked" in json.loads(line)["message"] for line in agent.log)
    assert _entries(here, "agent.disconnected")[-1]["why"] == "revoked"


def test_the_history_is_sound(far: tuple[World, Agent]) -> None:
    here, _ = far
    here.assert_history()
