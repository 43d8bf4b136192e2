"""Callers of the older form, each with a connection and a session of 2025-11-25, as the peers expect them."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
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

    async def call(self, tool: str) -> None:
        """Call the tool once. Raises AssertionError when its answer is not the upstream's."""
        number = next(_numbers)
        params = {"name": tool, "arguments": {"sql": messages.SQL, "parameters": [number]}}
        body = await self._ask({"id": number, "method": "tools/call", "params": params})
        lines = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
        answer = orjson.loads(lines[-1] if lines else body)
        assert answer["id"] == number, body[:300]
        assert answer["result"]["content"][0]["text"] == messages.TEXT, body[:300]

    async def _ask(self, message: dict[str, Any]) -> bytes:
        body = orjson.dumps({"jsonrpc": "2.0", **message})
        head = f"{self._head}content-length: {len(body)}\r\n\r\n"
        status, answer = await self.connection.ask(head.encode() + body)
        assert status in {200, 202}, (status, answer[:300])
        return answer


async def session_calls(
    port: int, path: str, callers: int, seconds: float, tool: str, authorization: str
) -> dict[str, float]:
    """Call for some seconds, each caller in its session, and return how many calls were answered."""
    all_callers = [Caller(await connect(port), port, path, authorization) for _ in range(callers)]
    done = 0

    async def one(caller: Caller) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await caller.call(tool)
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
