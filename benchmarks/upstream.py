"""The upstream of the benchmarks: an MCP server on a bare asyncio protocol, in a process of its own.

`python -m benchmarks.upstream` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import time
from typing import cast

import orjson

from benchmarks import messages
from benchmarks.child import serve_until_told

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
_NO_METHOD = b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 0\r\n\r\n"
_SCHEMA = {"type": "object"}


class Upstream(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        if self._streaming is not None:
            self._streaming.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            at = head.find(b"content-length:") + 15
            length = int(head[at:].split(b"\r\n", 1)[0]) if at >= 15 else 0
            if len(self._data) < end + 4 + length:
                return
            body = bytes(self._data[end + 4 : end + 4 + length])
            del self._data[: end + 4 + length]
            if not head.startswith(b"post "):  # the peers ask for a stream, and end their sessions
                self._write(_NO_METHOD)
                continue
            self._answer(orjson.loads(body), time.time() if head.startswith(b"post /held") else 0.0)

    def _answer(self, message: dict[str, object], arrived: float) -> None:
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if name == messages.STREAM:
            self._streaming = asyncio.ensure_future(self._stream(message["id"]))
            return
        if "id" not in message:
            self._write(_ACCEPTED)
            return
        if name in messages.TEXTS:
            answer = messages.result(message["id"], messages.TEXTS[str(name)], arrived=arrived)
        else:
            answer = orjson.dumps({"jsonrpc": "2.0", "id": message["id"], **_other(str(message["method"]))})
        self._write(_JSON % (len(answer), answer))

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    async def _stream(self, number: object) -> None:
        """Send the events one by one, each in a turn of the loop of its own."""
        self._write(_EVENTS)
        for place in range(messages.EVENTS):
            self._event(messages.notification(place))
            await asyncio.sleep(0)
        self._event(messages.result(number, messages.TEXT))
        self._write(b"0\r\n\r\n")

    def _event(self, data: bytes) -> None:
        event = b"event: message\ndata: %s\n\n" % data
        self._write(b"%x\r\n%s\r\n" % (len(event), event))


def _other(method: str) -> dict[str, object]:
    """Answer what is not a call; `initialize` and `ping` come from the peers alone."""
    if method == "tools/list":
        return {
            "result": {"tools": [{"name": tool, "inputSchema": _SCHEMA} for tool in (*messages.TEXTS, messages.STREAM)]}
        }
    if method == "initialize":
        server = {"name": "orders", "version": "1"}
        return {"result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server}}
    if method == "ping":
        return {"result": {}}
    return {"error": {"code": -32601, "message": "Method not found"}}


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    await serve_until_told(server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
