"""A server in a network that the gateway cannot enter: its agent dials out, and all of governing holds on that way."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import agent as agents
from tests import people
from tests.agent import Agent
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.namespaces import Network, connecting, network
from tests.people import DAVE
from tests.upstream import FakeUpstream
from tests.world import World, marker, until, world

ELSEWHERE = "192.0.2.1"  # of documentation: nobody has it


@dataclass
class Apart:
    """A gateway here, servers and their agent there."""

    here: World
    there: Network
    upstreams: dict[str, FakeUpstream]


@pytest.fixture(scope="module")
def apart(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """The gateway listens on this end of the cable only, the servers on the loopback of the other network only."""
    folder = tmp_path_factory.mktemp("apart")
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(network())
        kinds: dict[str, dict[str, Any]] = {"orders-db": {}, "streams": {"stream": True}}
        upstreams = {name: there.within(partial(FakeUpstream, **kind)) for name, kind in kinds.items()}
        for upstream in upstreams.values():
            stack.enter_context(upstream)
        by_agent = {"transport": "agent", "agent": agents.NAME, "default": "allow", "timeout": "3s"}
        made: dict[str, Any] = {name: {**by_agent, "access": [{"groups": ["corp/engineering"]}]} for name in kinds}
        made["direct"] = connection(f"http://{there.far}:{upstreams['orders-db'].port}/mcp")
        rules = [word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())]
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=made, rules=rules))
        here = stack.enter_context(world(folder, issuer, upstreams, text, HOLDGATE_EXTRA_HOSTS=there.near))
        here.gateway.host = there.near
        here.start()
        stack.callback(here.gateway.stop)
        served = {name: {"url": upstream.url} for name, upstream in upstreams.items()}
        token = agents.made(here.gateway, *kinds)
        agent = Agent(folder / "agent", token, here.gateway.url, served, more={"allow_http": True})
        stack.callback(agent.kill)
        there.within(agent.start)
        yield Apart(here, there, upstreams)


def test_there_is_no_other_way_between_the_two(apart: Apart, issuer: FakeIssuer) -> None:
    here, there = apart.here, apart.there
    port, others = here.upstream.port, urlsplit(issuer.url).port or 0

    assert there.within(lambda: connecting("127.0.0.1", port)) == 0, "the server is not where it should be"
    assert connecting(there.far, port) == errno.ECONNREFUSED
    answer = here.caller(DAVE, "direct").call("query", {"sql": "select 1"})
    assert answer.outcome == ("upstream_unavailable", "false")
    assert there.within(lambda: connecting(there.near, here.gateway.port)) == 0
    assert there.within(lambda: connecting(there.near, others)) == errno.ECONNREFUSED
    assert there.within(lambda: connecting(ELSEWHERE, 443)) == errno.ENETUNREACH


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("name", ["orders-db", "streams"])
@pytest.mark.promise("masked-everywhere")
def test_a_call_and_its_stream_pass(apart: Apart, name: str, era: str) -> None:
    mark = marker()

    answer = apart.here.caller(DAVE, name, era=era).call("query", {"sql": "select 1", "marker": mark})

    assert answer.outcome == (None, None), answer.text
    assert answer.result["structuredContent"]["rows"][0]["email"] == "masked@masked.invalid"
    assert apart.upstreams[name].markers[mark] == 1


@pytest.mark.promise("bound-decision")
def test_a_held_call_runs_once_when_it_was_approved(apart: Apart) -> None:
    here, mark = apart.here, marker()
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark})
    approval = held.approval_id
    assert here.upstream.markers[mark] == 0

    here.approve(approval)

    assert held.answer().is_error is False
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("nothing-lost")
def test_a_cable_that_is_pulled_while_a_call_runs(apart: Apart) -> None:
    """No end of a connection is told: the time is up, and what comes when the cable is back is nobody's answer."""
    here, mark, upstream = apart.here, marker(), apart.here.upstream
    upstream.hold()
    asked = here.aside(lambda: here.caller(DAVE).call("slow", {"marker": mark}))
    until(lambda: sum(mark.encode() in seen.body for seen in upstream.requests), "the call at the server")

    with apart.there.pulled():
        upstream.release()
        answer = asked.result(30)
    until(lambda: here.caller(DAVE).call("query", {"sql": "select 1"}).outcome == (None, None), "the way back", 60)

    assert answer.outcome == ("upstream_timeout", "unknown")
    assert sum(mark.encode() in seen.body for seen in upstream.requests) == 1


def test_the_history_is_sound(apart: Apart) -> None:
    apart.here.assert_history()
