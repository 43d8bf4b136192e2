"""Held calls in several answers: each is ended after `wait.stream`, and their callers come back for the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.e2e.test_server_requests import Heard
from tests.issuer import FakeIssuer
from tests.line import STREAM, Line
from tests.people import AGENT, CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = [pytest.mark.promise("unchanged-clients"), pytest.mark.promise("bound-decision")]

LEG = "1s"


def _config(issuer: FakeIssuer, upstream: str) -> str:
    made = {
        CONNECTION: connection(upstream, wait={"default": "30s", "ci": "30s", "max": "1m", "stream": LEG}),
        "brief": connection(upstream, wait={"default": "3s", "stream": LEG}),
        "whole": connection(upstream),
    }
    rules = [word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())]
    return people.config_yaml(issuer.url, "", **spelled_out(connections=made, rules=rules))


@pytest.fixture(scope="module")
def own(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose answers are a second long."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running(sessions=True))
        folder = tmp_path_factory.mktemp("polling")
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, _config(issuer, upstream.url)))
        made.start()
        yield made
        assert made.gateway.stop() == 0


@contextlib.contextmanager
def _answer(line: Line, message: Any = None, **fields: str) -> Iterator[Heard]:
    headers = line.headers(message or {"method": "", "params": {}}, {"accept": STREAM, **fields})
    verb = "GET" if message is None else "POST"
    with (
        httpx.Client(timeout=30, trust_env=False) as client,
        client.stream(verb, line.url, json=message, headers=headers) as response,
    ):
        yield Heard(response)


def _call(line: Line, mark: str) -> dict[str, Any]:
    return line.tool_call("query", {"sql": "delete from x", "marker": mark})


def _leg(line: Line, message: Any = None, last: str = "") -> tuple[str, dict[str, Any] | None]:
    """Read one answer to its end; return the last event id and the message that came."""
    fields = {"last_event_id": last} if last else {}
    with _answer(line, message, **fields) as heard:
        assert heard.status == 200
        found = heard.next()
        return heard.ids[-1] if heard.ids else "", found


def test_the_sdks_client_waits_over_many_answers_and_the_call_runs_once(own: World) -> None:
    mark, gets = marker(), []

    async def count(request: httpx2.Request) -> None:
        if request.method == "GET" and "last-event-id" in request.headers:
            gets.append(request.headers["last-event-id"])

    async def whole() -> None:
        line = own.caller(DAVE, CONNECTION)
        headers = {"Authorization": f"Bearer {line.token}"}
        hooks = {"request": [count]}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False, event_hooks=hooks) as http,
            Client(streamable_http_client(line.url, http_client=http), mode="legacy") as client,
        ):
            calling = asyncio.create_task(client.call_tool("query", {"sql": "delete from x", "marker": mark}))
            (approval,) = await asyncio.to_thread(own.asked_for, mark)
            await asyncio.to_thread(until, lambda: len(gets) >= 2, "the client to come back twice")
            await asyncio.to_thread(own.approve, approval)
            result = await calling
            assert not result.is_error
            assert (result.meta or {})["holdgate/approval"]["id"] == approval

    asyncio.run(whole())
    assert own.upstream.markers[mark] == 1
    assert len(own.asked(mark, "executed")) == 1


def test_who_comes_back_after_the_approval_gets_the_answer_and_then_the_place_is_over(own: World) -> None:
    line, mark = own.caller(DAVE, CONNECTION).initialize(), marker()
    message = _call(line, mark)
    last, found = _leg(line, message)
    assert found is None
    (approval,) = own.asked(mark)
    own.approve(approval)

    _, answer = _leg(line, last=last)

    assert answer is not None
    assert answer["id"] == message["id"]
    assert answer["result"]["_meta"]["holdgate/approval"]["status"] == "executed"
    again = until(lambda: _status(line, last) == 404, "the place to be over")
    assert again
    assert own.upstream.markers[mark] == 1


def _status(line: Line, last: str) -> int:
    with _answer(line, last_event_id=last) as heard:
        return heard.status


def test_a_place_is_of_one_caller_in_one_session(own: World) -> None:
    line, mark = own.caller(DAVE, CONNECTION).initialize(), marker()
    last, _ = _leg(line, _call(line, mark))
    others = [own.caller(AGENT, CONNECTION).initialize(), own.caller(DAVE, CONNECTION).initialize()]

    assert [_status(one, last) for one in others] == [400, 400]
    assert own.asked(mark)


def test_the_time_of_a_caller_counts_over_all_its_answers(own: World) -> None:
    line, mark = own.caller(DAVE, "brief").initialize(), marker()
    last, found = _leg(line, _call(line, mark))
    legs = 1
    while found is None:
        last, found = _leg(line, last=last) if last else ("", {})
        legs += 1

    assert 3 <= legs <= 4
    assert found["result"]["_meta"]["holdgate/decision"]["reason"] == "pending"
    assert len(own.asked(mark)) == 1


def test_an_answer_that_is_cut_before_its_time_is_taken_up_as_well(own: World) -> None:
    line, mark = own.caller(DAVE, CONNECTION).initialize(), marker()
    with _answer(line, _call(line, mark)) as heard:
        last = heard.wait_for_id()
    (approval,) = own.asked_for(mark)
    own.approve(approval)

    _, answer = _leg(line, last=last)

    assert answer is not None
    assert not answer["result"].get("isError")
    assert own.upstream.markers[mark] == 1


def test_who_gave_up_between_two_answers_is_not_waited_for(own: World) -> None:
    """The TypeScript SDK says so after a minute, and its transport asks for the rest of the stream all the same."""
    line, mark = own.caller(DAVE, CONNECTION).initialize(), marker()
    message = _call(line, mark)
    last, _ = _leg(line, message)
    (approval,) = own.asked(mark)
    line.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}})
    own.noticed()
    with _answer(line, last_event_id=last) as rest:
        again, _ = _leg(line, _call(line, mark))
        asked = own.asked(mark)
    for one in asked:
        own.approve(one)
    _, answer = _leg(line, last=again)
    own.noticed()

    assert (rest.status, asked) == (404, [approval])
    assert answer is not None
    assert own.upstream.markers[mark] == 1


@pytest.mark.parametrize(("where", "version"), [("whole", "2025-11-25"), (CONNECTION, "2025-06-18")])
def test_others_are_held_in_one_answer(own: World, where: str, version: str) -> None:
    line, mark = own.caller(DAVE, where).initialize(), marker()
    held = line.begin("query", {"sql": "delete from x", "marker": mark}, mcp_protocol_version=version)
    own.approve(held.approval_id)
    answer = held.answer()

    assert not answer.is_error
    assert "id: " not in answer.text


def test_a_call_is_taken_up_by_another_process(issuer: FakeIssuer, tmp_path: Path, postgresql_url: str) -> None:
    with running(sessions=True) as upstream:
        text = _config(issuer, upstream.url)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, postgresql_url) as one:
            one.gateway.form = "web"
            one.gateway.prepare()
            one.start()
            with one.beside() as other:
                line, mark = one.caller(DAVE, CONNECTION).initialize(), marker()
                last, _ = _leg(line, _call(line, mark))
                there = Line(other.gateway.url, CONNECTION, line.token, session=line.session)
                second, found = _leg(there, last=last)
                one.approve(one.asked(mark)[0])
                _, answer = _leg(line, last=second)
        assert found is None
        assert answer is not None
        assert upstream.markers[mark] == 1
