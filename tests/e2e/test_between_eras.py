"""A client of one era before a server that knows only the other: `protocol` of a connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.conformance import everything
from tests.people import DAVE
from tests.world import World, marker

pytestmark = [
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

MODERN = "2026-07-28"
# The client's era, and the connection to a server that knows only the other one, or only the transport of 2024-11-05.
ROUTES = [("auto", "older"), ("legacy", "newer"), ("legacy", "old"), ("auto", "old")]
ABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
CARD, EMAIL = "4111 1111 1111 1111", "jo@example.com"


def _text(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, types.TextContent))


@asynccontextmanager
async def _connected(between: World, mode: str, connection: str, **options: Any) -> AsyncIterator[Client]:
    line = between.caller(DAVE, connection)
    headers = {"Authorization": f"Bearer {line.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
        Client(streamable_http_client(line.url, http_client=http), mode=mode, **options) as client,
    ):
        yield client


def _play(
    between: World, mode: str, connection: str, story: Callable[[Client], Awaitable[None]], **options: Any
) -> None:
    async def whole() -> None:
        async with _connected(between, mode, connection, **options) as client:
            await story(client)

    asyncio.run(whole())


async def _samples(_: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    (block,) = [one.content for one in params.messages]
    assert isinstance(block, types.TextContent)
    return types.CreateMessageResult(
        role="assistant", model="m", content=types.TextContent(type="text", text=f"{block.text}, paid with {CARD}")
    )


async def _fills(_: Any, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"username": params.message, "email": EMAIL})


async def _names_roots(_: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root.model_validate({"uri": "file:///srv/project"})])


ASKED: dict[str, Any] = {
    "sampling_callback": _samples,
    "elicitation_callback": _fills,
    "list_roots_callback": _names_roots,
}


@pytest.mark.parametrize(("mode", "where"), ROUTES)
def test_the_sdks_client_finds_all_that_the_server_has(between: World, mode: str, where: str) -> None:
    async def story(client: Client) -> None:
        assert client.protocol_version == (MODERN if mode == "auto" else "2025-11-25")
        assert client.server_info is not None
        assert client.server_info.name == "mcp-conformance-test-server"
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert "test_simple_text" in tools
        assert len(tools) > 20
        assert _text(await client.call_tool("test_simple_text", {})).startswith("This is a simple")
        many = await client.call_tool("test_multiple_content_types", {})
        assert [block.type for block in many.content] == ["text", "image", "resource"]
        assert (await client.call_tool("test_error_handling", {})).is_error
        read = await client.read_resource("test://static-text")
        assert "This is the content of the static text resource." in str(read.contents)
        assert (await client.list_resources()).resources
        assert (await client.list_resource_templates()).resource_templates
        assert (await client.list_prompts()).prompts
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": EMAIL})
        assert "arg1='a', arg2='[email]'" in str(prompt.messages)
        reference = types.PromptReference(name="test_prompt_with_arguments")
        found = await client.complete(reference, {"name": "arg1", "value": "a"})
        assert found.completion.values == ["alpha", "beta"]

    _play(between, mode, where, story)


@pytest.mark.parametrize(("mode", "where"), ROUTES)
def test_progress_reaches_the_caller_under_its_own_token(between: World, mode: str, where: str) -> None:
    notes: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        notes.append((progress, total))

    async def story(client: Client) -> None:
        await client.call_tool("test_tool_with_progress", {}, progress_callback=note)

    _play(between, mode, where, story)
    assert notes == [(0, 100), (50, 100), (100, 100)]


@pytest.mark.parametrize(("mode", "where"), ROUTES)
def test_errors_are_those_of_the_callers_era(between: World, mode: str, where: str) -> None:
    codes = []

    async def story(client: Client) -> None:
        for wrong in (client.read_resource("test://nowhere"), client.get_prompt("nobody", {})):
            with pytest.raises(MCPError) as failed:
                await wrong
            codes.append(failed.value.error.code)

    _play(between, mode, where, story)
    # The test's server says -32602 in both eras; the older one has a code for a resource that is not there.
    assert codes == ([-32002, -32602] if where == "newer" else [-32602, -32602])


@pytest.mark.parametrize(("mode", "where"), ROUTES)
def test_what_the_server_asks_is_asked_in_the_callers_way(between: World, mode: str, where: str) -> None:
    """Requests in the middle of a call become rounds, and rounds become requests; both are masked both ways."""
    heard: list[str] = []

    async def story(client: Client) -> None:
        if where != "newer":
            mark = marker()
            sampled = await client.call_tool("test_sampling", {"prompt": f"{mark} {EMAIL}"})
            heard.append(_text(sampled))
            filled = await client.call_tool("test_elicitation", {"message": mark})
            heard.append(_text(filled))
            roots = await client.call_tool("roots", {})
            assert _text(roots) == "file:///srv/project"
            assert everything.HEARD[-2:] == [
                f"{mark} [email], paid with ****1111",
                json.dumps({"username": mark, "email": "[email]"}),
            ]
        else:
            for tool, says in [
                ("test_input_required_result_sampling", "Answered."),
                ("test_input_required_result_elicitation", "Answered."),
                ("test_input_required_result_list_roots", "Answered."),
                ("test_input_required_result_request_state", "state-ok"),
                ("test_input_required_result_multiple_inputs", "Answered."),
                ("test_input_required_result_multi_round", "Both steps are done."),
            ]:
                result = await client.call_tool(tool, {})
                heard.append(_text(result))
                assert heard[-1] == says, tool

    _play(between, mode, where, story, **ASKED)
    assert all(CARD not in text for text in heard)


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize(("mode", "where"), ROUTES)
def test_a_held_call_runs_once_when_it_was_approved(between: World, mode: str, where: str) -> None:
    mark = marker()

    async def decided(verb: str) -> None:
        (approval,) = await asyncio.to_thread(between.asked_for, mark)
        answer = await asyncio.to_thread(between.decide, approval, verb, comment="so")
        assert answer.status_code == 200

    async def story(client: Client) -> None:
        deciding = asyncio.create_task(decided("approve"))
        result = await client.call_tool("json_schema_2020_12_tool", {"marker": mark, "sql": "delete", "mail": EMAIL})
        await deciding
        assert json.loads(_text(result))["mail"] == "[email]"
        assert (result.meta or {})["holdgate/decision"]["verdict"] == "hold"
        blocked = await client.call_tool("json_schema_2020_12_tool", {"marker": mark, "sql": "drop"})
        assert blocked.is_error

    _play(between, mode, where, story)
    document = between.call_document(between.approval(between.asked(mark, "executed")[0])["call_id"])
    assert (document["connection"], document["executed"]) == (where, "true")
