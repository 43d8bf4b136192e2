"""Several web processes on PostgreSQL: a call finds the agent's socket wherever it is, or says when to come again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests import agent as agents
from tests import people
from tests.agent import Agent
from tests.blocks import spelled_out
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.upstream import running
from tests.world import World, marker, until, world

INSIDE = {"HOLDGATE_INTERNAL_BIND": "127.0.0.1:0"}
AWAY = ("upstream_unavailable", "false")


def _asked(here: World, mark: str = "", connection: str = "orders-db") -> tuple[str | None, str | None]:
    return here.caller(DAVE, connection).call("query", {"sql": "select 1", "marker": mark or marker()}).outcome


@pytest.mark.promise("nothing-lost")
def test_a_call_finds_the_process_that_has_the_agent(issuer: FakeIssuer, tmp_path: Path, postgresql_url: str) -> None:
    access = [{"groups": ["corp/engineering"]}]
    made = {"transport": "agent", "agent": agents.NAME, "access": access, "default": "allow", "timeout": "20s"}
    with running() as upstream, running(stream=True) as streams:
        upstreams = {"orders-db": upstream, "streams": streams}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=dict.fromkeys(upstreams, made), rules=[]))
        with world(tmp_path, issuer, upstreams, text, postgresql_url, **INSIDE) as first:
            first.gateway.form = "web"
            first.gateway.prepare()
            first.start()
            with first.beside() as second:
                served = {name: {"url": one.url} for name, one in upstreams.items()}
                token = agents.made(first.gateway, *upstreams)
                with agents.running(Agent(tmp_path / "agent", token, first.gateway.url, served)) as agent:
                    _passes_on(first, second)
                    _refuses_others(first)
                    _loses_a_call(first, second, agent)


def _passes_on(first: World, second: World) -> None:
    for here in (first, second):
        mark = marker()
        assert _asked(here, mark) == (None, None)
        assert here.upstream.markers[mark] == 1
        assert _asked(here, connection="streams") == (None, None)
    upstream = second.upstream
    upstream.hold()
    before = upstream.disconnects
    line = second.caller(DAVE, era="modern")
    running_call = line.begin("slow", {"marker": marker()})
    upstream.wait_for(lambda it: b'"slow"' in it.requests[-1].body)
    running_call.leave()
    upstream.wait_for(lambda it: it.disconnects > before)  # the cancel went all the way
    upstream.release()


def _refuses_others(first: World) -> None:
    """Nobody without the key is heard on the internal port, whose address stands in the agent's row."""
    address = str(first.stored.value("SELECT address FROM proxy_agent WHERE name = ?", agents.NAME))
    answer = httpx.post(f"{address}/agents/{agents.NAME}", content=b"x", trust_env=False)
    assert answer.status_code == 403
    assert not answer.content


def _loses_a_call(first: World, second: World, agent: Agent) -> None:
    """The process with the socket is killed while a call of the other one runs: unknown, once, and found again."""
    mark, upstream = marker(), second.upstream
    upstream.hold()
    asked = second.aside(lambda: second.caller(DAVE).call("slow", {"marker": mark}))
    until(lambda: sum(mark.encode() in seen.body for seen in upstream.requests), "the call at the server")
    first.gateway.kill()
    assert asked.result(60).outcome == ("outcome_unknown", "unknown")
    upstream.release()
    assert sum(mark.encode() in seen.body for seen in upstream.requests) == 1
    refused = second.caller(DAVE).call("query", {"sql": "select 1"})
    assert refused.outcome == AWAY
    assert refused.decision["retry_after"] == 2
    first.start()
    agent.connected()
    until(lambda: _asked(second) == (None, None), "the new route", 30)
