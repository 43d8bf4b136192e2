"""Callers of the older form, each with a connection and a session of 2025-11-25, as the peers expect them."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks import messages
from benchmarks.wire import Connection, connect

VERSION = "2025-11-25"
_SESSION = re.compile(rb"\r\nmcp-session-id: *([^\r]+)\r\n")
_numbers = itertools.count(90_000_000)


class Caller:
    """One client with its session."""

    def __init__(self, connection: Connection, port: int, path: str, authorization: str) -> None:
        self.connection = connection
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
            f"accept: application/json, text/event-stream\r\nmcp-protocol-version: {VERSION}\r\n"
        ) + (f"authorization: {authorization}\r\n" if authorization else "")

    async def open(self) -> None:
        """Greet the server and keep the session that it gives."""
        client = {"name": "bench", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client}
        await self._ask({"id": 0, "method": "initialize", "params": params})
        if (found := _SESSION.search(self.connection.head)) is not None:
            self._head += f"mcp-session-id: {found.group(1).decode()}\r\n"
        await self._ask({"method": "notifications/initialized"})

    async def call(self, tool: str, text: str = messages.TEXT, heard: Callable[[bytes], None] | None = None) -> int:
        """Call the tool once; return how many messages came with its answer.

        Raises AssertionError when its answer is not the upstream's `text`.
        """
        number = next(_numbers)
        params = {"name": tool, "arguments": {"sql": messages.SQL, "parameters": [number]}}
        body = await self._ask({"id": number, "method": "tools/call", "params": params}, heard)
        lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
        answer = orjson.loads(lines[-1] if lines else body)
        assert answer["id"] == number, body[:300]
        assert answer["result"]["content"][0]["text"] == text, body[:300]
        return len(lines) or 1

    async def _ask(self, message: dict[str, Any], heard: Callable[[bytes], None] | None = None) -> bytes:
        body = orjson.dumps({"jsonrpc": "2.0", **message})
        head = f"{self._head}content-length: {len(body)}\r\n\r\n"
        status, answer = await self.connection.ask(head.encode() + body, heard)
        assert status in {200, 202}, (status, answer[:300])
        return answer


async def session_calls(
    port: int, path: str, callers: int, seconds: float, tool: str, authorization: str, asked: str = messages.CALL
) -> dict[str, float]:
    """Call for some seconds, each caller in its session, and return how many calls were answered.

    `tool` is the name that the peer gave to the tool that the upstream calls `asked`.
    """
    all_callers = [Caller(await connect(port), port, path, authorization) for _ in range(callers)]
    done = 0

    async def one(caller: Caller) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await caller.call(tool, messages.TEXTS[asked])
            done += 1

    try:
        await asyncio.gather(*(caller.open() for caller in all_callers))
        started = time.perf_counter()
        end = started + seconds
        await asyncio.gather(*map(one, all_callers))
        return {"calls": done, "seconds": time.perf_counter() - started}
    finally:
        for caller in all_callers:
            caller.connection.close()


async def session_streams(port: int, path: str, count: int, tool: str, authorization: str) -> dict[str, float]:
    """Read some streams one after the other: how many messages came with each, how long each took, and the first."""
    caller = Caller(await connect(port), port, path, authorization)
    await caller.open()
    arrived, firsts = 0, []
    started = time.perf_counter()
    try:
        for _ in range(count):
            began, first = time.perf_counter(), [0.0]

            def heard(_chunk: bytes, first: list[float] = first) -> None:
                first[0] = first[0] or time.perf_counter()

            arrived += await caller.call(tool, heard=heard)
            firsts.append((first[0] or time.perf_counter()) - began)
    finally:
        caller.connection.close()
    seconds = (time.perf_counter() - started) / count
    return {"messages": arrived / count, "seconds": seconds, "first": statistics.median(firsts) * 1000}
