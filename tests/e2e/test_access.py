"""Access for a while, from the asking to the end: what it opens, and that its end takes held and running calls too."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.people import CAROL, CONNECTION, DAVE, EVE
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, until, world

GUEST = EVE
REASON = "The nightly export failed; I look why."


def text(issuer: FakeIssuer, url: str, longest: str = "8h", **changes: Any) -> str:
    """Return a configuration in which whoever is known may ask for access, and Dave decides."""
    asked = {"require": {"any_of": [{"groups": ["platform"]}]}, "max_duration": longest}
    orders = connection(url, access_requests=asked, **changes)
    rules = [word_rule("deletes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
    return people.config_yaml(issuer.url, "", **spelled_out(connections={CONNECTION: orders}, rules=rules))


@pytest.fixture
def house(tmp_path: Path, issuer: FakeIssuer) -> Iterator[World]:
    """A gateway of this test alone."""
    with running() as upstream, world(tmp_path, issuer, {CONNECTION: upstream}, text(issuer, upstream.url)) as here:
        here.start()
        yield here


def ask(house: World, who: Any = GUEST, **more: Any) -> dict[str, Any]:
    """Ask for access, and return what was asked."""
    body = {"connection": CONNECTION, "duration": "1h", "reason": REASON, **more}
    answer = house.api(who, "POST", "access/", json=body)
    assert answer.status_code in {200, 201}, answer.text
    return dict(answer.json())


def opened(house: World, who: Any = GUEST, **more: Any) -> str:
    """Ask for access, have it approved by Dave, and return its id."""
    wanted = ask(house, who, **more)["id"]
    assert house.decide(wanted, "approve", DAVE).status_code == 200
    return str(wanted)


def call(house: World, who: Any = GUEST, sql: str = "select 1", tool: str = "query", **more: Any) -> Any:
    return house.caller(who).call(tool, {"sql": sql, "marker": marker()}, **more)


def test_who_has_no_access_gets_it_for_a_while_when_a_person_says_so(house: World) -> None:
    assert call(house).status == 403
    wanted = ask(house)
    assert call(house).status == 403, "asking opens nothing"

    assert house.decide(wanted["id"], "approve", DAVE).status_code == 200

    assert call(house).is_error is False, "at once"
    assert "query" in [tool["name"] for tool in house.caller(GUEST).ask("tools/list").result["tools"]]
    assert call(house, CAROL).status == 403, "and nobody else"
    assert house.api(GUEST, "POST", f"access/{wanted['id']}/end/").status_code == 200
    assert call(house).status == 403
    house.assert_history()


def test_asking_tells_nothing_of_connections_that_cannot_be_asked_for(house: World) -> None:
    other = house.api(GUEST, "POST", "access/", json={"connection": "nothing", "duration": "1h", "reason": REASON})
    listed = house.api(GUEST, "GET", "access/").json()["requestable"]

    assert other.status_code == 403
    assert other.json()["message"] == "There is no such connection, or access to it cannot be asked for."
    assert [one["name"] for one in listed] == [CONNECTION]


def test_a_window_opens_the_tools_that_were_asked_for_and_no_others(house: World) -> None:
    opened(house, tools=["que*"])

    assert call(house).is_error is False
    assert call(house, tool="echo").outcome == ("forbidden", "false")
    assert [tool["name"] for tool in house.caller(GUEST).ask("tools/list").result["tools"]] == ["query"]


def test_a_window_is_over_when_its_time_is_and_a_call_that_still_runs_is_cut_off(house: World) -> None:
    opened(house, duration="2s", tools=["slow", "query"])
    running_call = begun(house)

    answer = running_call.answer()

    assert answer.outcome == ("revoked", "unknown")
    assert call(house).status == 403
    house.assert_history()


ENDS = ["the holder ends it", "an approver revokes it", "its terms change"]


def end(house: World, window: str, how: str) -> None:
    if how == "the holder ends it":
        assert house.api(GUEST, "POST", f"access/{window}/end/").status_code == 200
    elif how == "an approver revokes it":
        assert house.api(DAVE, "POST", f"approvals/{window}/revoke/", json={}).status_code == 200
    else:
        house.gateway.configure(text(house.issuer, house.upstream.url, longest="7h"))
        house.gateway.manage("policy", "apply", str(house.gateway.folder / "holdgate.yaml"))


def begun(house: World, who: Any = GUEST) -> Any:
    """Begin a call that runs until it is cut off, and return it when the upstream has it."""
    held = house.caller(who).begin("slow", {"seconds": 30, "marker": (mark := marker())})
    until(lambda: house.upstream.markers[mark], "the call to reach the upstream")
    return held


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_window_ends_held_and_running_calls(house: World, how: str) -> None:
    window = opened(house)
    held = house.caller(GUEST).begin("query", {"sql": "delete from a", "marker": (mark := marker())})
    approval = held.approval_id
    running_call = begun(house)

    end(house, window, how)

    assert held.answer().outcome == ("revoked", "false")
    assert running_call.answer().outcome == ("revoked", "unknown")
    assert house.approval(approval)["status"] == "revoked"
    assert house.upstream.markers[mark] == 0
    assert call(house).status == 403
    house.assert_history()


def test_a_revocation_in_another_process_reaches_held_and_running_calls(
    issuer: FakeIssuer, tmp_path: Path, postgresql_url: str
) -> None:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        config = text(issuer, upstream.url)
        one = stack.enter_context(world(tmp_path, issuer, {CONNECTION: upstream}, config, postgresql_url))
        one.gateway.form = "web"
        one.gateway.prepare()
        one.start()
        other = stack.enter_context(one.beside())
        window = opened(other)
        held = one.caller(GUEST).begin("query", {"sql": "delete from a", "marker": marker()})
        approval = held.approval_id
        running_call = begun(one)

        assert other.api(DAVE, "POST", f"approvals/{window}/revoke/", json={}).status_code == 200

        assert running_call.answer().outcome == ("revoked", "unknown")
        assert held.answer().outcome == ("revoked", "false")
        assert one.approval(approval)["status"] == "revoked"
        assert (call(one).status, call(other).status) == (403, 403)
        one.assert_history()


def test_the_server_hears_that_a_running_call_was_cancelled(house: World) -> None:
    window = opened(house)
    running_call = begun(house)

    end(house, window, "the holder ends it")

    assert running_call.answer().outcome == ("revoked", "unknown")
    until(lambda: "notifications/cancelled" in methods(house.upstream), "the notification")
    house.assert_history()


def methods(upstream: FakeUpstream) -> list[str]:
    """Return the methods of everything that reached the upstream."""
    return [json.loads(seen.body).get("method", "") for seen in upstream.requests if seen.body]


def test_a_modern_caller_is_cut_off_with_its_stream(house: World) -> None:
    window = opened(house)
    line = house.caller(GUEST, era="modern")
    running_call = line.begin("slow", {"marker": (mark := marker())})
    until(lambda: house.upstream.markers[mark], "the call to reach the upstream")

    end(house, window, "the holder ends it")

    assert running_call.answer().outcome == ("revoked", "unknown")
    assert "notifications/cancelled" not in methods(house.upstream)
    house.assert_history()


def test_a_call_that_was_approved_and_runs_is_cut_off_too_and_never_run_again(house: World) -> None:
    window = opened(house)
    held = house.caller(GUEST).begin("slow", {"sql": "delete from a", "marker": (mark := marker())})
    house.approve(held.approval_id)
    until(lambda: house.upstream.markers[mark], "the call to reach the upstream")

    end(house, window, "an approver revokes it")

    assert held.answer().outcome == ("revoked", "unknown")
    assert house.approval(held.approval_id)["status"] == "outcome_unknown"
    assert house.upstream.markers[mark] == 1
    house.assert_history()


def test_a_window_may_end_with_the_session_of_its_holder(issuer: FakeIssuer, tmp_path: Path) -> None:
    with (
        running(sessions=True) as upstream,
        world(tmp_path, issuer, {CONNECTION: upstream}, text(issuer, upstream.url)) as house,
    ):
        house.start()
        kept, ending = opened(house, tools=["echo"]), opened(house, ends_with_session=True)
        line = house.caller(GUEST).initialize()
        assert line.call("query", {"sql": "select 1", "marker": marker()}).is_error is False

        assert line.raw("DELETE").status_code == 204

        states = [house.api(GUEST, "GET", f"access/{one}/").json()["status"] for one in (kept, ending)]
        assert states == ["approved", "cancelled"]
        again = house.caller(GUEST).initialize()
        assert again.call("query", {"marker": marker()}).outcome == ("forbidden", "false")


def test_the_sdk_lists_and_calls_through_a_window(house: World) -> None:
    opened(house, tools=["query"])
    line = house.caller(GUEST)

    async def story() -> None:
        headers = {"Authorization": f"Bearer {line.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
            Client(streamable_http_client(line.url, http_client=http), mode="2026-07-28") as client,
        ):
            assert [tool.name for tool in (await client.list_tools()).tools] == ["query"]
            assert not (await client.call_tool("query", {"sql": "select 1", "marker": marker()})).is_error

    asyncio.run(story())
    house.assert_history()


@pytest.mark.promise("intent-first")
def test_calls_that_meet_the_end_of_their_window_run_before_it_or_not_at_all(
    issuer: FakeIssuer, tmp_path: Path, postgresql_url: str
) -> None:
    """The record says which was first; that no call was begun after the end is a rule of the history."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        config = text(issuer, upstream.url)
        one = stack.enter_context(world(tmp_path, issuer, {CONNECTION: upstream}, config, postgresql_url))
        one.gateway.form = "web"
        one.gateway.prepare()
        one.start()
        other = stack.enter_context(one.beside())
        window = opened(one)
        threads = stack.enter_context(ThreadPoolExecutor(8))
        calls = [threads.submit(call, house) for house in (one, other) * 20]
        until(lambda: len(upstream.calls) > 4, "some calls to run")

        revoked = other.api(DAVE, "POST", f"approvals/{window}/revoke/", json={})

        assert revoked.status_code == 200
        answers = [done.result() for done in calls]
        outcomes = {"forbidden" if answer.status == 403 else answer.outcome[0] for answer in answers}
        assert outcomes <= {None, "forbidden", "revoked"}
        assert outcomes > {None}, "the end came too late to be met"
        one.assert_history()
