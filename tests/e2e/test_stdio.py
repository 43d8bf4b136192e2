"""Servers that speak over stdio, behind the real gateway: the same pipeline as in front of a server on the network."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import people, services
from tests.blocks import one_dba, spelled_out, word_rule
from tests.e2e.test_server_requests import able, answer, listening, said
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.running_stdio import SERVER, is_alive
from tests.world import World, marker, until, world

HOSTILE = [sys.executable, SERVER]
SDK = [sys.executable, str(Path(SERVER).with_name("stdio_sdk_server.py"))]
TIME = [sys.executable, "-m", "mcp_server_time"]
EVERYTHING = services.NODE_PROJECT / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
SECRET = "stdio-credential-Rk4vTq8zLm"
CARD = "4111 1111 1111 1111"


def _connection(command: list[str], **more: Any) -> dict[str, Any]:
    usual = {
        "transport": "stdio",
        "command": command,
        "access": [{"groups": ["corp/engineering"], "tools": ["*"]}],
        "default": "allow",
        "limits": {"grace": "1s"},
    }
    return {**usual, **more}


def _commands() -> list[list[str]]:
    node = services.node()
    return [HOSTILE, SDK, TIME, *([[node, str(EVERYTHING)]] if node else [])]


@pytest.fixture(scope="module")
def own(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of this module alone, with stdio servers only."""
    folder = tmp_path_factory.mktemp("stdio")
    connections = {
        "orders": _connection(SDK, cwd=str(folder)),
        "hostile": _connection(
            HOSTILE, environment={"API_TOKEN": "env:STDIO_TOKEN"}, timeout="4s", server_requests=["sampling"]
        ),
        "shared": _connection(HOSTILE, shared=True),
        "time": _connection(TIME),
        "broken": _connection([*HOSTILE, "exits"]),
        "older": _connection(SDK, cwd=str(folder), protocol="2025-11-25"),
        "newer": _connection(SDK, cwd=str(folder), protocol="2026-07-28"),
    }
    if node := services.node():
        connections["everything"] = _connection([node, str(EVERYTHING)])
        connections["everything-older"] = _connection([node, str(EVERYTHING)], protocol="2025-11-25")
    rules = [
        word_rule("never-drop", "deny", r"(?i)\bdrop\b"),
        word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba()),
    ]
    text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, rules=rules))
    allowed = ",".join(map(shlex.join, _commands()))
    with world(folder, issuer, {}, text, STDIO_TOKEN=SECRET, HOLDGATE_STDIO_COMMANDS=allowed) as made:
        made.start()
        yield made
        assert made.gateway.stop() == 0


def _seen(own: World, mark: str) -> list[str]:
    file = own.gateway.folder / "seen.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [found["sql"] for found in map(json.loads, lines) if found["marker"] == mark]


def _play(own: World, mode: str, connection: str, story: Any) -> None:
    async def whole() -> None:
        line = own.caller(DAVE, connection)
        headers = {"Authorization": f"Bearer {line.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
            Client(streamable_http_client(line.url, http_client=http), mode=mode) as client,
        ):
            await story(client)

    asyncio.run(whole())


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize(
    ("mode", "connection"),
    [("legacy", "orders"), ("auto", "orders"), ("2026-07-28", "orders"), ("2026-07-28", "older"), ("legacy", "newer")],
)
def test_the_sdks_client_and_server_meet_in_each_era_and_between(own: World, mode: str, connection: str) -> None:
    mark, notes = marker(), []

    async def story(client: Client) -> None:
        async def note(progress: float, total: float | None, message: str | None) -> None:
            notes.append(progress)

        assert [tool.name for tool in (await client.list_tools()).tools] == ["query", "steps"]
        result = await client.call_tool("query", {"sql": "select 1", "marker": mark})
        assert not result.is_error
        assert CARD not in str(result)
        assert "1111" in str(result)
        await client.call_tool("steps", {"count": 3}, progress_callback=note)
        blocked = await client.call_tool("query", {"sql": "drop table orders", "marker": mark})
        assert blocked.is_error

    _play(own, mode, connection, story)
    assert _seen(own, mark) == ["select 1"]
    assert notes == [1, 2, 3]


@pytest.mark.promise("unchanged-clients")
def test_a_client_of_the_newer_era_alone_meets_a_server_that_knows_the_older_one(own: World) -> None:
    """The reference server knows revisions up to 2025-11-25 only."""
    if services.node() is None or not EVERYTHING.is_file():
        services.missing("Node.js with the packages of tests/node", "HOLDGATE_REQUIRE_NODE")

    async def story(client: Client) -> None:
        assert client.protocol_version == "2026-07-28"
        assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
        assert "Echo: hello" in str(await client.call_tool("echo", {"message": "hello"}))

    _play(own, "auto", "everything-older", story)


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_held_call_runs_once_after_it_was_approved(own: World, era: str) -> None:
    caller, mark = own.caller(DAVE, "orders", era=era), marker()
    if era == "legacy":
        caller = caller.initialize()
    held = caller.begin("query", {"sql": "delete from orders", "marker": mark})
    (approval,) = own.asked_for(mark)
    assert _seen(own, mark) == []
    own.approve(approval)
    answer = held.answer()
    assert not answer.is_error, answer.body
    assert CARD not in answer.text
    assert _seen(own, mark) == ["delete from orders"]
    document = own.call_document(answer.decision["call_id"])
    assert (document["connection"], document["executed"]) == ("orders", "true")


@pytest.mark.promise("secrets-stay")
def test_a_servers_secret_is_hidden_from_callers_record_and_log(own: World) -> None:
    line = own.caller(DAVE, "hostile").initialize()
    shown = line.call("env", {"marker": marker()})
    assert "API_TOKEN" in shown.said
    line.call("complain", {"lines": 3})
    until(lambda: "line 2 " in "".join(own.gateway.log), "the server's complaints in the log")
    line.raw("DELETE")
    places = [("answer", shown.text.encode()), *own.written()]
    found = [where for where, data in places if SECRET.encode() in data or CARD.encode() in data]
    assert not found


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("tool", "outcome"),
    [
        ("die", ("outcome_unknown", "unknown")),
        ("half", ("outcome_unknown", "unknown")),
        ("garbage", ("upstream_invalid", "unknown")),
        ("slow", ("upstream_timeout", "unknown")),
    ],
)
def test_what_becomes_of_a_call_whose_server_fails_is_said(own: World, tool: str, outcome: tuple[str, str]) -> None:
    line = own.caller(DAVE, "hostile").initialize()
    assert line.call(tool, {"marker": marker()}).outcome == outcome
    again = own.caller(DAVE, "hostile").initialize()
    assert again.call("echo", {"text": "well again"}).said == "well again"
    again.raw("DELETE")


def test_a_server_that_cannot_start_is_unavailable(own: World) -> None:
    answers = [own.caller(DAVE, "broken").ask("initialize", {"protocolVersion": "2025-11-25"}) for _ in range(3)]
    for refused in answers:
        assert refused.body["error"]["data"]["reason"] == "upstream_unavailable"
        assert refused.body["error"]["data"]["executed"] == "false"
    assert "exit status 7" in answers[0].text
    assert "cannot find the database" in "".join(own.gateway.log)


def test_a_session_is_over_when_its_caller_says_so_or_its_server_is_gone(own: World) -> None:
    line, other = own.caller(DAVE, "hostile").initialize(), own.caller(DAVE, "hostile").initialize()
    assert [line.call("count", {}).said, line.call("count", {}).said, other.call("count", {}).said] == ["1", "2", "1"]
    pid = json.loads(line.call("where", {}).said)["pid"]
    assert line.raw("DELETE").status_code == 204
    until(lambda: not is_alive(pid), "the end of the server")
    assert line.ask("ping").status == 404
    os.kill(json.loads(other.call("where", {}).said)["pid"], 9)
    until(lambda: other.ask("tools/list").status == 404, "the end of the session")


def test_a_server_asks_its_caller_and_speaks_by_itself_in_a_session(own: World) -> None:
    line = able(own, "hostile")
    with listening(line, line.tool_call("ask", {})) as heard:
        asked = heard.until("sampling/createMessage")
        assert answer(line, asked, result=said(f"the card is {CARD}")) == 202
        ended = heard.next()
    assert ended is not None
    assert "the card is" in str(ended)
    assert CARD not in str(ended)
    with listening(line) as standing:
        line.call("announce", {"text": f"card {CARD}"})
        note = standing.until("notifications/resources/list_changed")
    assert note["method"] == "notifications/resources/list_changed"
    line.raw("DELETE")


def test_a_shared_server_serves_all_callers_and_a_shell_without_a_session(own: World) -> None:
    lines = [own.caller(who, "shared").initialize() for who in (DAVE, DAVE)]
    pids = {json.loads(line.call("where", {}).said)["pid"] for line in [*lines, own.caller(DAVE, "shared")]}
    assert len(pids) == 1


def test_only_the_file_says_what_is_started(own: World) -> None:
    policy = own.api(DAVE, "GET", "policy/").json()
    assert policy["connections"]["hostile"]["command"] == HOSTILE
    policy["connections"]["hostile"]["description"] = "Said over the API"
    assert own.api(DAVE, "PUT", "policy/", json=policy).status_code == 200
    for key, value in (("command", [*HOSTILE, "more"]), ("environment", {"A": "b"}), ("shared", True)):
        changed = {**policy, "connections": {**policy["connections"]}}
        changed["connections"]["hostile"] = {**policy["connections"]["hostile"], key: value}
        answer = own.api(DAVE, "PUT", "policy/", json=changed)
        assert answer.status_code == 400
        assert f"connections.hostile.{key}" in answer.json()["message"]
    further = {**policy, "connections": {**policy["connections"], "new": _connection(HOSTILE)}}
    assert own.api(DAVE, "PUT", "policy/", json=further).status_code == 400
    file = own.gateway.folder / "other.yaml"
    text = (own.gateway.folder / "holdgate.yaml").read_text()
    file.write_text(text.replace(SERVER, "/bin/sh"))
    refused = own.gateway.manage("policy", "apply", str(file), check=False)
    assert refused.returncode == 2
    assert "HOLDGATE_STDIO_COMMANDS" in refused.stderr
    assert refused.stderr.startswith(("CommandError: line ", "line "))


@pytest.mark.needs_node
@pytest.mark.promise("unchanged-clients")
def test_the_reference_server_of_npm_works_unchanged(own: World) -> None:
    if services.node() is None or not EVERYTHING.is_file():
        services.missing("Node.js with the packages of tests/node", "HOLDGATE_REQUIRE_NODE")

    async def story(client: Client) -> None:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert "echo" in names
        assert "hello" in str(await client.call_tool("echo", {"message": "hello"}))
        assert (await client.list_prompts()).prompts
        assert (await client.list_resources()).resources

    _play(own, "legacy", "everything", story)


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_the_reference_server_of_pypi_works_unchanged(own: World, mode: str) -> None:
    pytest.importorskip("mcp_server_time", reason="requirements/dev.txt is not wholly installed")

    async def story(client: Client) -> None:
        result = await client.call_tool("get_current_time", {"timezone": "Europe/Berlin"})
        assert not result.is_error
        assert "Europe/Berlin" in str(result)

    _play(own, mode, "time", story)
