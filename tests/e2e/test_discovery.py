"""The gateway looks at the tools of its servers by itself: before any caller, again and again, whatever their era."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.blocks import spelled_out
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE, config_yaml
from tests.running_stdio import COMMANDS
from tests.running_stdio import connection as over_stdio
from tests.upstream import running
from tests.world import World, marker, until, world

CREDENTIAL = {"header": "Authorization", "prefix": "Bearer ", "value": "env:UPSTREAM_TOKEN"}


@pytest.fixture
def here(tmp_path: Path, issuer: FakeIssuer) -> Iterator[World]:
    """A gateway that looks all the time, at servers of every kind, one of which is down."""
    with contextlib.ExitStack() as stack:
        upstreams = {
            CONNECTION: stack.enter_context(running(sessions=True)),
            "paged": stack.enter_context(running()),
            "modern": stack.enter_context(running(stream=True)),
        }
        upstreams["paged"].page_size = 3
        upstreams["modern"].is_modern_only = True
        document = yaml.safe_load(config_yaml(issuer.url, upstreams[CONNECTION].url, orders={"credential": CREDENTIAL}))
        orders = document["connections"][CONNECTION]
        for name, url in (("paged", upstreams["paged"].url), ("modern", upstreams["modern"].url), ("down", DOWN)):
            document["connections"][name] = {key: orders[key] for key in orders if key != "credential"} | {"url": url}
        # Its requests are named otherwise on their way than in the record, so nobody watches them.
        newer = stack.enter_context(running())
        newer.is_modern_only = True
        translated = {"url": newer.url, "protocol": "2026-07-28"}
        document["connections"]["translated"] = {**document["connections"]["modern"], **translated}
        text = json.dumps(document)
        env = {"HOLDGATE_CATALOGUE_SECONDS": "1", "UPSTREAM_TOKEN": "secret-of-the-gateway"}
        made = stack.enter_context(world(tmp_path, issuer, upstreams, text, **env))
        made.start()
        yield made


DOWN = "http://127.0.0.1:1/mcp"


def shelf(here: World, connection: str = CONNECTION) -> dict[str, Any]:
    answer = here.api(DAVE, "GET", f"connections/{connection}/tools/")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def states(here: World, connection: str = CONNECTION) -> dict[str, str]:
    return {one["tool"]: one["status"] for one in shelf(here, connection)["results"]}


def wait_for_a_look(here: World, connection: str = CONNECTION) -> None:
    """Wait until the gateway has looked once more than it had."""
    before = shelf(here, connection)["looked_at"]
    until(lambda: shelf(here, connection)["looked_at"] != before, f"a look at the tools of {connection}")


def wait_for_all(here: World, connection: str) -> None:
    everything = {"query", "echo", "slow", "fail"}
    until(lambda: states(here, connection).keys() == everything, f"the tools of {connection}")


@pytest.mark.promise("intent-first")
def test_tools_are_seen_before_any_caller_comes_and_watched_from_then_on(here: World) -> None:
    for connection in (*here.upstreams, "translated"):
        wait_for_all(here, connection)
        assert set(states(here, connection).values()) == {"accepted"}
        wait_for_a_look(here, connection)
    assert not any(upstream.calls for upstream in here.upstreams.values())

    upstream = here.upstream
    asked = [seen for seen in upstream.requests if b"tools/list" in seen.body]
    assert {seen.header("authorization") for seen in asked} == {"Bearer secret-of-the-gateway"}
    until(lambda: not upstream.live_sessions, "the end of the session in which it looked")

    upstream.tools[0] = {**upstream.tools[0], "description": "Another text."}
    here.upstreams["paged"].tools = here.upstreams["paged"].tools[:3]
    until(lambda: states(here)["query"] == "changed", "the change to be noticed without a caller")
    until(lambda: states(here, "paged").get("fail") == "removed", "what is on a page no more to be noticed")
    assert here.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).outcome == ("tool_changed", "false")
    here.assert_history()


def test_a_server_that_is_down_or_refuses_is_said_to_and_its_connection_can_be_put_right(here: World) -> None:
    until(lambda: shelf(here, "down")["look_failed"], "the failure to be shown")
    found = shelf(here, "down")
    assert (found["look_failed"], found["looked_at"]) == ("The upstream cannot be reached.", None)
    assert states(here, "down") == {}

    document = yaml.safe_load(here.api(DAVE, "GET", "policy/", headers={"accept": "application/yaml"}).text)
    with running() as risen:
        document["connections"]["down"]["url"] = risen.url
        assert here.api(DAVE, "PUT", "policy/", json=document).status_code == 200
        until(lambda: states(here, "down"), "the tools of the server that is there now")
        until(lambda: shelf(here, "down")["look_failed"] is None, "the failure to be forgotten")
    assert here.api(DAVE, "POST", "connections/down/look/").status_code == 202
    assert here.api(DAVE, "POST", "connections/nowhere/look/").status_code == 404

    refusing = here.upstreams["paged"]
    refusing.refuses_lists = True
    until(lambda: shelf(here, "paged")["look_failed"], "the refusal to be shown")
    assert set(states(here, "paged").values()) == {"accepted"}, "nothing is gone because the server would not say"
    refusing.refuses_lists = False
    here.assert_history()


def _is_listed(here: World, name: str) -> bool:
    return "echo" in states(here, name)


def test_servers_over_stdio_are_looked_at_too_once_and_left_running_nowhere(tmp_path: Path, issuer: FakeIssuer) -> None:
    access = [{"groups": ["corp/engineering"], "tools": ["*"]}]
    servers = {"tools": over_stdio(access=access), "shared": over_stdio(access=access, shared=True)}
    servers["broken"] = over_stdio("exits", access=access)
    text = config_yaml(issuer.url, "", **spelled_out(connections=servers, rules=[]))
    env = {"HOLDGATE_CATALOGUE_SECONDS": "1", "HOLDGATE_STDIO_COMMANDS": shlex.join(COMMANDS[0])}
    with world(tmp_path, issuer, {}, text, **env) as here:
        here.start()
        for name in ("tools", "shared"):
            until(partial(_is_listed, here, name), f"the tools of {name}")
            assert set(states(here, name).values()) == {"accepted"}
        until(lambda: shelf(here, "broken")["look_failed"], "the failure to be shown")
        looked = shelf(here, "tools")["looked_at"]
        ended = [line for line in here.gateway.log if "tools: a server ended" in line]
        assert len(ended) == 1, "its session was ended, and its server with it"

        assert here.api(DAVE, "POST", "connections/tools/look/").status_code == 202
        until(lambda: shelf(here, "tools")["looked_at"] != looked, "the look that was asked for")
        assert here.caller(DAVE, "tools").call("echo", {"text": "hello"}).said == "hello"
        here.assert_history()
