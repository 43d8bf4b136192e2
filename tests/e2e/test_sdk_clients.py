"""The official Python SDK's client in both eras, pointed at the gateway instead of the server: nothing else changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, RequestParamsMeta

from tests.people import CI, CONNECTION
from tests.world import World, marker

pytestmark = pytest.mark.promise("unchanged-clients")

MODERN = "2026-07-28"
AT_ONCE = cast("RequestParamsMeta", {"holdgate/wait": 0})
# The legacy client has a session; both get plain JSON and event streams.
ROUTES = [("legacy", "sessions"), ("legacy", "streams"), (MODERN, CONNECTION), (MODERN, "streams")]


@asynccontextmanager
async def sdk(here: World, mode: str, connection: str) -> AsyncIterator[Client]:
    """Connect as a CI job, with the era pinned."""
    line = here.caller(CI, connection)
    headers = {"Authorization": f"Bearer {line.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
        Client(streamable_http_client(line.url, http_client=http), mode=mode) as client,
    ):
        yield client


def play(here: World, mode: str, connection: str, story: Callable[[Client], Awaitable[None]]) -> None:
    """Run a story with a connected client."""

    async def whole() -> None:
        async with sdk(here, mode, connection) as client:
            await story(client)

    asyncio.run(whole())


def decision(result: CallToolResult) -> dict[str, Any]:
    return dict((result.meta or {})["holdgate/decision"])


async def decided(here: World, mark: str, verb: str, comment: str = "") -> str:
    """Decide about the call with this marker as soon as it waits, and return the approval's id."""
    (approval,) = await asyncio.to_thread(here.asked_for, mark)
    answer = await asyncio.to_thread(here.decide, approval, verb, comment=comment)
    assert answer.status_code == 200, answer.text
    return approval


@pytest.mark.parametrize(("mode", "connection"), ROUTES)
def test_the_sdk_lists_tools_and_calls_one_that_is_allowed(here: World, mode: str, connection: str) -> None:
    mark = marker()

    async def story(client: Client) -> None:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == ["query", "echo", "slow", "fail"]
        # The client checks the structured result against the output schema that it was given.
        result = await client.call_tool("query", {"sql": "select 1", "marker": mark})
        assert not result.is_error
        assert result.structured_content is not None
        assert result.structured_content["rows"][0]["email"] == "masked@masked.invalid"
        assert decision(result)["verdict"] == "allow"

    play(here, mode, connection, story)
    assert here.upstreams[connection].markers[mark] == 1


@pytest.mark.parametrize(("mode", "connection"), ROUTES)
def test_the_sdk_is_told_of_a_blocked_call_and_goes_on(here: World, mode: str, connection: str) -> None:
    mark = marker()

    async def story(client: Client) -> None:
        blocked = await client.call_tool("query", {"sql": "drop table x", "marker": mark})
        assert blocked.is_error
        assert (decision(blocked)["reason"], decision(blocked)["executed"]) == ("blocked", "false")
        fine = await client.call_tool("echo", {"text": "still here"})
        assert not fine.is_error

    play(here, mode, connection, story)
    assert here.upstreams[connection].markers[mark] == 0


@pytest.mark.parametrize(("mode", "connection"), ROUTES)
def test_the_sdk_waits_while_people_approve_and_sees_progress(here: World, mode: str, connection: str) -> None:
    mark = marker()
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async def story(client: Client) -> None:
        deciding = asyncio.create_task(decided(here, mark, "approve"))
        arguments = {"sql": "delete from x", "marker": mark}
        result = await client.call_tool("query", arguments, progress_callback=on_progress)
        assert not result.is_error
        assert (result.meta or {})["holdgate/approval"]["id"] == await deciding

    play(here, mode, connection, story)
    assert here.upstreams[connection].markers[mark] == 1
    assert len(seen) == (4 if connection == "streams" else 2), seen
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(("mode", "connection"), ROUTES)
def test_the_sdk_reads_why_a_call_was_denied(here: World, mode: str, connection: str) -> None:
    mark = marker()

    async def story(client: Client) -> None:
        deciding = asyncio.create_task(decided(here, mark, "deny", "ask the owner first"))
        result = await client.call_tool("query", {"sql": "delete from x", "marker": mark})
        await deciding
        assert result.is_error
        assert decision(result)["reason"] == "denied"
        assert "ask the owner first" in result.model_dump_json()

    play(here, mode, connection, story)
    assert here.upstreams[connection].markers[mark] == 0


@pytest.mark.parametrize(("mode", "connection"), ROUTES)
def test_the_sdk_that_got_pending_joins_with_the_same_call(here: World, mode: str, connection: str) -> None:
    mark = marker()
    arguments = {"sql": "delete from x", "marker": mark}

    async def story(client: Client) -> None:
        pending = await client.call_tool("query", arguments, meta=AT_ONCE)
        assert pending.is_error
        assert (decision(pending)["reason"], decision(pending)["executed"]) == ("pending", "false")
        deciding = asyncio.create_task(decided(here, mark, "approve"))
        result = await client.call_tool("query", arguments)
        assert not result.is_error
        assert (result.meta or {})["holdgate/approval"]["id"] == await deciding
        assert (pending.meta or {})["holdgate/approval"]["id"] == await deciding

    play(here, mode, connection, story)
    assert here.upstreams[connection].markers[mark] == 1


@pytest.mark.parametrize("mode", ["legacy", MODERN])
def test_the_sdk_uses_the_gateways_own_tools(here: World, mode: str) -> None:
    mark, arguments = marker(), {"sql": "delete from x"}
    pending = here.caller(CI).call("query", {**arguments, "marker": mark}, prefer="wait=0")
    approval, notes = pending.approval["id"], []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        notes.append(message or "")

    async def story(client: Client) -> None:
        # The client checks each structured answer against the output schema that it was given.
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert {"list_connections", "wait_for_approval", "explain_decision"} <= set(names)
        listed = await client.call_tool("list_connections", {})
        assert CONNECTION in {one["name"] for one in (listed.structured_content or {})["connections"]}
        mine = await client.call_tool("list_my_approvals", {"status": "pending"})
        assert approval in {one["id"] for one in (mine.structured_content or {})["approvals"]}
        plan = {"connection": CONNECTION, "tool": "query", "arguments": arguments}
        told = await client.call_tool("explain_decision", plan)
        assert (told.structured_content or {})["verdict"] == "hold"
        deciding = asyncio.create_task(decided(here, mark, "approve"))
        waiting = {"approval_id": approval, "seconds": 60}
        waited = await client.call_tool("wait_for_approval", waiting, progress_callback=on_progress)
        assert await deciding == approval
        assert (waited.structured_content or {})["approval"]["status"] == "approved"
        wrong = await client.call_tool("wait_for_approval", {"approval_id": "no-such-id"})
        assert wrong.is_error
        assert decision(wrong)["reason"] == "invalid_request"

    play(here, mode, "gateway", story)
    assert approval in notes[0]
    assert here.upstream.markers[mark] == 0


@pytest.mark.promise("intent-first")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()
