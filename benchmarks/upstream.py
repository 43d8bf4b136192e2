"""The upstream of the benchmarks: an MCP server on a bare asyncio protocol, in a process of its own.

`python -m benchmarks.upstream` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
from typing import cast

import orjson

from benchmarks import messages
from benchmarks.child import serve_until_told

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_SCHEMA = {"type": "object"}


class Upstream(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._streaming: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._data[:end]).lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + length:
                return
            body = bytes(self._data[end + 4 : end + 4 + length])
            del self._data[: end + 4 + length]
            self._answer(orjson.loads(body))

    def _answer(self, message: dict[str, object]) -> None:
        assert self._transport is not None
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if name == messages.STREAM:
            self._streaming = asyncio.ensure_future(self._stream(message["id"]))
            return
        if message["method"] == "tools/list":
            tools = [{"name": tool, "inputSchema": _SCHEMA} for tool in (messages.CALL, messages.STREAM)]
            answer = orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}})
        else:
            answer = messages.result(message["id"], messages.TEXT)
        self._transport.write(_JSON % (len(answer), answer))

    async def _stream(self, number: object) -> None:
        """Send the events one by one, each in a turn of the loop of its own."""
        assert self._transport is not None
        self._transport.write(_EVENTS)
        for place in range(messages.EVENTS):
            self._event(messages.notification(place))
            await asyncio.sleep(0)
        self._event(messages.result(number, messages.TEXT))
        self._transport.write(b"0\r\n\r\n")

    def _event(self, data: bytes) -> None:
        assert self._transport is not None
        event = b"event: message\ndata: %s\n\n" % data
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    await serve_until_told(server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
