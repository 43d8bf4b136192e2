"""The everything server of the conformance suite, by the official Python SDK: every feature, under the suite's names.

What its tools, resources and prompts are called and what they answer is laid down by the suite. It serves both eras at
one address, with sessions and resumable streams in the older one. `running()` serves it in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from tests.conformance.contents import AUDIO, IMAGE, PROMPTS, RESOURCES, TEMPLATE, TOOLS
from tests.conformance.questions import ENUMS, ROUNDS, TYPED_DEFAULTS, USER

GUARD = 10.0
RETRY_MILLISECONDS = 100
PUBLIC = CacheHint(ttl_ms=60_000, scope="public")
Context = ServerRequestContext[Any, Any]
Result = types.CallToolResult | types.InputRequiredResult

BUS = InMemorySubscriptionBus()
_LATER: set[asyncio.Future[None]] = set()
OTHER_ERA: list[str] = []  # revisions of what a server of one era refused
HEARD: list[str] = []  # what clients answered, as it came here


def _text(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return types.EmbeddedResource(type="resource", resource=contents)


_IMAGE = types.ImageContent(type="image", data=IMAGE, mime_type="image/png")
_CONTENTS: dict[str, list[types.ContentBlock]] = {
    "test_simple_text": [types.TextContent(type="text", text="This is a simple text response for testing.")],
    "test_image_content": [_IMAGE],
    "test_audio_content": [types.AudioContent(type="audio", data=AUDIO, mime_type="audio/wav")],
    "test_embedded_resource": [_embedded("test://embedded-resource", "This is an embedded resource content.")],
    "test_multiple_content_types": [
        types.TextContent(type="text", text="Multiple content types test:"),
        _IMAGE,
        _embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ],
}


async def _logging(ctx: Context, _: dict[str, Any]) -> Result:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", said, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return _text("Logged.")


async def _progress(ctx: Context, _: dict[str, Any]) -> Result:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"{done} of 100")
        await asyncio.sleep(0.05)
    return _text("Done.")


async def _fails(_: Context, __: dict[str, Any]) -> Result:
    failed = _text("This tool intentionally returns an error for testing")
    return failed.model_copy(update={"is_error": True})


async def _sampling(ctx: Context, arguments: dict[str, Any]) -> Result:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=arguments["prompt"]))
    answer = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    said = answer.content.text if isinstance(answer.content, types.TextContent) else "no text"
    HEARD.append(said)
    return _text(f"LLM response: {said}")


def _elicits(schema: dict[str, Any]) -> Tool:
    async def tool(ctx: Context, arguments: dict[str, Any]) -> Result:
        message = arguments.get("message", "Please answer.")
        answer = await ctx.session.elicit_form(message, schema, ctx.request_id)
        HEARD.append(json.dumps(answer.content))
        return _text(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")

    return tool


async def _reconnection(ctx: Context, _: dict[str, Any]) -> Result:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    return _text("Reconnection test completed")


async def _missing_capability(ctx: Context, _: dict[str, Any]) -> Result:
    required = types.ClientCapabilities(sampling=types.SamplingCapability())
    declared = ctx.session.client_capabilities
    if declared is not None and declared.sampling is not None:
        return _text("Sampling was declared.")
    data = types.MissingRequiredClientCapabilityErrorData(required_capabilities=required)
    raise MCPError(
        code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
        message="Sampling is required.",
        data=data.model_dump(by_alias=True, exclude_none=True),
    )


async def _announce(ctx: Context, arguments: dict[str, Any]) -> Result:
    """Say something on the standing stream of the session, which belongs to no request; a little later if wished."""

    async def say() -> None:
        await asyncio.sleep(arguments.get("after", 0))
        await ctx.session.send_log_message("info", arguments["text"])

    if "after" not in arguments:
        await say()
    else:
        _LATER.add(asyncio.ensure_future(say()))
    return _text("Announced.")


async def _roots(ctx: Context, _: dict[str, Any]) -> Result:
    found = await ctx.session.send_request(
        types.ListRootsRequest(),
        types.ListRootsResult,
        metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
    )
    return _text(" ".join(str(root.uri) for root in found.roots))


async def _tools_changed(_: Context, __: dict[str, Any]) -> Result:
    await BUS.publish(ToolsListChanged())
    return _text("Published.")


async def _prompts_changed(_: Context, __: dict[str, Any]) -> Result:
    await BUS.publish(PromptsListChanged())
    return _text("Published.")


async def _touch(_: Context, arguments: dict[str, Any]) -> Result:
    await BUS.publish(ResourceUpdated(uri=arguments["uri"]))
    return _text("Touched.")


async def _echo(_: Context, arguments: dict[str, Any]) -> Result:
    return _text(json.dumps(arguments))


Tool = Callable[[Context, dict[str, Any]], Awaitable[Result]]
_TOOLS: dict[str, Tool] = {
    "test_tool_with_logging": _logging,
    "test_logging_tool": _logging,
    "test_tool_with_progress": _progress,
    "test_error_handling": _fails,
    "test_sampling": _sampling,
    "test_elicitation": _elicits(USER),
    "test_elicitation_sep1034_defaults": _elicits(TYPED_DEFAULTS),
    "test_elicitation_sep1330_enums": _elicits(ENUMS),
    "test_reconnection": _reconnection,
    "announce": _announce,
    "roots": _roots,
    "test_missing_capability": _missing_capability,
    "test_trigger_tool_change": _tools_changed,
    "test_trigger_prompt_change": _prompts_changed,
    "touch": _touch,
}


async def _call_tool(ctx: Context, params: types.CallToolRequestParams) -> Result:
    if (contents := _CONTENTS.get(params.name)) is not None:
        return types.CallToolResult(content=contents)
    if (rounds := ROUNDS.get(params.name)) is not None:
        found: Result = rounds(ctx, params.input_responses, params.request_state)
        return found
    if params.name not in {tool.name for tool in TOOLS}:
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {params.name}")
    return await _TOOLS.get(params.name, _echo)(ctx, params.arguments or {})


async def _read(_: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    if uri.startswith("test://template/") and uri.endswith("/data"):
        number = uri.split("/")[3]
        text = json.dumps({"id": number, "templateTest": True, "data": f"Data for ID: {number}"})
        found: Any = types.TextResourceContents(uri=uri, mime_type="application/json", text=text)
    elif uri == "test://static-binary":
        found = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=IMAGE)
    elif (text_of := {"test://static-text": "This is the content of the static text resource."}.get(uri)) or (
        uri == "test://watched-resource"
    ):
        text = text_of or "Watched resource content"
        found = types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)
    else:
        raise MCPError(code=types.INVALID_PARAMS, message="Resource not found", data={"uri": uri})
    return types.ReadResourceResult(contents=[found])


async def _prompt(ctx: Context, params: types.GetPromptRequestParams) -> Any:
    arguments = params.arguments or {}
    texts = {
        "test_simple_prompt": "This is a simple prompt for testing.",
        "test_prompt_with_arguments": f"Prompt with arguments: arg1='{arguments.get('arg1')}', "
        f"arg2='{arguments.get('arg2')}'",
        "test_prompt_with_embedded_resource": "Please process the embedded resource above.",
        "test_prompt_with_image": "Please analyze the image above.",
        "test_input_required_result_prompt": "Here is the context.",
    }
    if params.name not in texts:
        raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown prompt: {params.name}")
    if params.name in ROUNDS:
        asked = ROUNDS[params.name](ctx, params.input_responses, params.request_state)
        if isinstance(asked, types.InputRequiredResult):
            return asked
    contents: list[types.ContentBlock] = [types.TextContent(type="text", text=texts[params.name])]
    if params.name == "test_prompt_with_embedded_resource":
        contents.insert(0, _embedded(arguments["resourceUri"], "Embedded resource content for testing."))
    if params.name == "test_prompt_with_image":
        contents.insert(0, _IMAGE)
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=one) for one in contents])


async def _nothing(_: Context, __: Any) -> types.EmptyResult:
    return types.EmptyResult()


def everything() -> Server[Any]:
    """Build the server."""

    async def tools(_: Context, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=TOOLS)

    async def resources(_: Context, __: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=RESOURCES)

    async def templates(_: Context, __: Any) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[TEMPLATE])

    async def prompts(_: Context, __: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=PROMPTS)

    async def completion(_: Context, __: Any) -> types.CompleteResult:
        return types.CompleteResult(completion=types.Completion(values=["alpha", "beta"], total=2, has_more=False))

    schemas = {tool.name: tool.input_schema for tool in TOOLS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the newest revision has dropped is served to the older ones
        server: Server[Any] = Server(
            "mcp-conformance-test-server",
            version="1.0.0",
            get_tool_input_schema=schemas.get,
            cache_hints={"tools/list": PUBLIC, "resources/list": PUBLIC, "prompts/list": PUBLIC},
            on_list_tools=tools,
            on_call_tool=_call_tool,
            on_list_resources=resources,
            on_list_resource_templates=templates,
            on_read_resource=_read,
            on_subscribe_resource=_nothing,
            on_unsubscribe_resource=_nothing,
            on_subscriptions_listen=ListenHandler(BUS),
            on_list_prompts=prompts,
            on_get_prompt=_prompt,
            on_completion=completion,
            on_set_logging_level=_nothing,
        )
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
    return server


class Events(EventStore):
    """Keeps the events of all streams, so that any of them can be resumed."""

    def __init__(self) -> None:
        self._events: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self._events):
            return None
        stream, _ = self._events[int(last_event_id) - 1]
        for number, (of, message) in enumerate(self._events[int(last_event_id) :], int(last_event_id) + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def _of_one_era(app: Any, era: str) -> Any:
    """Return the application as a server that knows one era alone: it refuses what belongs to the other."""

    async def only(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            version = dict(scope["headers"]).get(b"mcp-protocol-version", b"").decode()
            if (version in MODERN_PROTOCOL_VERSIONS) != (era == "modern"):
                OTHER_ERA.append(version)
                await send({"type": "http.response.start", "status": 400, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return only


@contextlib.contextmanager
def running(era: str = "") -> Iterator[str]:
    """Serve on a free loopback port for the length of the block, and give the address; in one era only, if wished."""
    app: Any = everything().streamable_http_app(event_store=Events(), retry_interval=RETRY_MILLISECONDS)
    if era:
        app = _of_one_era(app, era)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join(GUARD)
        listener.close()
