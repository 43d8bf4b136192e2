"""Python clients of MCP that call a tool until they have its result; run by the Python of their own environments.

`client_python.py KIND` reads a line of JSON for each call from stdin, `{"url", "token", "arguments"}`, makes all calls
at once, and writes a line for each attempt: `{"marker", "seconds", "saw"}`. `saw` begins with `result`, `pending` or
`error`. Nothing is configured but address and header field, unless the kind says so.
"""

import asyncio
import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

TOOL = "query"
PAUSE = 2.0  # before the same call is sent again
LONGEST = 480.0  # after which a client is left where it is
Call = Callable[[dict[str, Any]], Awaitable[tuple[bool, str]]]


def _read(result: Any) -> tuple[bool, str]:
    """Return whether a result says that the tool failed, and its text."""
    failed = getattr(result, "is_error", getattr(result, "isError", False))
    return bool(failed), " ".join(getattr(block, "text", "") for block in result.content)


@contextlib.asynccontextmanager
async def _sdk_1(url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    http = importlib.import_module("mcp.client.streamable_http")
    session_class = importlib.import_module("mcp").ClientSession
    async with (
        http.streamablehttp_client(url, headers=headers) as (reader, writer, _),
        session_class(reader, writer) as session,
    ):
        await session.initialize()

        async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
            return _read(await session.call_tool(TOOL, arguments))

        yield call


@contextlib.asynccontextmanager
async def _sdk_2(url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    http = importlib.import_module("mcp.client.streamable_http")
    factory = importlib.import_module("mcp.shared._httpx_utils").create_mcp_http_client
    async with (
        factory(headers=headers) as with_header,
        importlib.import_module("mcp").Client(http.streamable_http_client(url, http_client=with_header)) as client,
    ):

        async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
            return _read(await client.call_tool(TOOL, arguments))

        yield call


@contextlib.asynccontextmanager
async def _remote(url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    """The same SDK over stdio, at mcp-remote, whose program and Node.js are in REMOTE."""
    stdio = importlib.import_module("mcp").StdioServerParameters
    node, program = json.loads(os.environ["REMOTE"])
    arguments = [
        program,
        url,
        "--allow-http",
        "--transport",
        "http-only",
        "--header",
        f"Authorization:{headers['Authorization']}",
    ]
    async with importlib.import_module("mcp").Client(stdio(command=node, args=arguments)) as client:

        async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
            return _read(await client.call_tool(TOOL, arguments))

        yield call


@contextlib.asynccontextmanager
async def _fastmcp(url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    transports = importlib.import_module("fastmcp.client.transports")
    transport = transports.StreamableHttpTransport(url, headers=headers)
    async with importlib.import_module("fastmcp").Client(transport) as client:

        async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
            return _read(await client.call_tool(TOOL, arguments))

        yield call


@contextlib.asynccontextmanager
async def _langchain(url: str, headers: dict[str, str]) -> AsyncIterator[Call]:
    adapters = importlib.import_module("langchain_mcp_adapters.client")
    client = adapters.MultiServerMCPClient({"orders": {"transport": "streamable_http", "url": url, "headers": headers}})
    tool = next(tool for tool in await client.get_tools() if tool.name == TOOL)

    async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
        # It gives a failed tool to the model as text, like any other result.
        said = str(await tool.ainvoke(arguments))
        return "Nothing was executed" in said, said

    yield call


@contextlib.asynccontextmanager
async def _agents(url: str, headers: dict[str, str], **more: Any) -> AsyncIterator[Call]:
    server = importlib.import_module("agents.mcp").MCPServerStreamableHttp
    async with server(params={"url": url, "headers": headers}, **more) as connected:

        async def call(arguments: dict[str, Any]) -> tuple[bool, str]:
            return _read(await connected.call_tool(TOOL, arguments))

        yield call


KINDS: dict[str, Callable[[str, dict[str, str]], contextlib.AbstractAsyncContextManager[Call]]] = {
    "sdk-1": _sdk_1,
    "sdk-2": _sdk_2,
    "remote": _remote,
    "fastmcp": _fastmcp,
    "langchain": _langchain,
    "agents": _agents,
    "agents-patient": lambda url, headers: _agents(url, headers, client_session_timeout_seconds=None),
}


async def until_result(kind: str, job: dict[str, Any]) -> None:
    """Call until there is a result, as a model or a script does that is told to send the same call again."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST:
        started = time.monotonic()
        saw = await _attempt(kind, job)
        told = {"marker": job["arguments"]["marker"], "seconds": round(time.monotonic() - started, 1), "saw": saw[:400]}
        print(json.dumps(told), flush=True)
        if saw.startswith("result"):
            return
        await asyncio.sleep(PAUSE)


async def _attempt(kind: str, job: dict[str, Any]) -> str:
    try:
        async with KINDS[kind](job["url"], {"Authorization": f"Bearer {job['token']}"}) as call:
            failed, text = await call(job["arguments"])
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            raise
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        # FastMCP raises the text of a failed result.
        word = "pending" if "WAITING FOR APPROVAL" in str(error) else "error"
        return f"{word}: raises {type(error).__name__}: {error}"
    if not failed:
        return f"result: {text}"
    return f"{'pending' if 'WAITING FOR APPROVAL' in text else 'error'}: {text}"


async def _main(kind: str) -> None:
    jobs = [json.loads(line) for line in sys.stdin]
    await asyncio.gather(*(until_result(kind, job) for job in jobs))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
