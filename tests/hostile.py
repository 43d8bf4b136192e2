"""An upstream whose every byte is under the test's control: a bare TCP server that misbehaves as it is told.

with Hostile() as upstream:
    upstream.script = hang          # a coroutine that gets the Turn; see tests/hostile_scripts.py
    ...
    assert upstream.calls == 1

Everything that is no `tools/call` is answered rightly. It runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from tests.upstream_answers import Seen
from tests.upstream_tools import TOOLS

GUARD = 10.0
LONGEST_HEAD = 1 << 20


class Turn:
    """One request that came in, and the connection on which its answer is due."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self.reader, self.writer, self.seen = reader, writer, seen
        message = json.loads(seen.body) if seen.body else {}
        self.id: Any = message.get("id")
        self.method: str = message.get("method", "")

    def message(self, text: str = "done", **changes: Any) -> bytes:
        """Return the right answer to a tool call, or one that differs in these members."""
        result = {"content": [{"type": "text", "text": text}]}
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result, **changes}).encode()

    async def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, body: bytes, kind: str = "application/json", *, more: bytes = b"", status: int = 200
    ) -> None:
        """Send a whole answer with the right length; `more` are further lines of its head."""
        await self.send(head(status, b"content-type: " + kind.encode(), length(body), more) + body)

    async def stall(self) -> None:
        """Do nothing more until the other side has gone."""
        while await self.reader.read(65536):
            pass

    async def repeat(self, data: bytes, pause: float = 0.0) -> None:
        """Send the same again and again until the other side has gone."""
        while not self.reader.at_eof():
            await self.send(data)
            await asyncio.sleep(pause)

    def half_close(self) -> None:
        """Say that nothing more comes, and stay."""
        self.writer.write_eof()

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        reset(self.writer)


def head(status: int, *fields: bytes) -> bytes:
    """Return the head of an answer with these lines."""
    return b"\r\n".join([b"HTTP/1.1 %d Something" % status, *filter(None, fields), b"", b""])


def length(body: bytes) -> bytes:
    """Return the line that tells a body's length."""
    return b"content-length: %d" % len(body)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Hostile:
    """The server and what it saw.

    `script` answers tool calls, of which `busy` are being answered, `listing` the question for tools; `on_connect` may
    spoil a connection before anything is read from it.
    """

    def __init__(self) -> None:
        self.script: Callable[[Turn], Awaitable[None]] | None = None
        self.listing: Callable[[Turn], Awaitable[None]] | None = None
        self.on_connect: Callable[[asyncio.StreamWriter], None] | None = None
        self.witness: Callable[[Seen], None] | None = None
        self.requests: list[Seen] = []
        self.connections = self.open = self.busy = 0
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ended = asyncio.Event()

    def __enter__(self) -> Hostile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(GUARD)

    def times(self, word: str) -> int:
        """Return how many requests held this word."""
        return sum(word.encode() in seen.body for seen in self.requests)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=LONGEST_HEAD)
        await self._ended.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if self.on_connect is not None:
                    self.on_connect(writer)
                while not writer.is_closing():
                    await self._turn(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = await _request(reader)
        if self.witness is not None:
            self.witness(seen)
        self.requests.append(seen)
        turn = Turn(reader, writer, seen)
        if turn.method == "" and seen.verb == "POST":  # an answer to a request of ours
            await turn.send(head(202, b"content-length: 0"))
        elif turn.method in {"tools/call", ""} and self.script is not None:
            self.busy += 1
            try:
                await self.script(turn)
            finally:
                self.busy -= 1
        elif turn.method == "tools/list" and self.listing is not None:
            await self.listing(turn)
        elif turn.method == "tools/list":
            await turn.answer(turn.message(result={"tools": TOOLS}))
        else:
            await turn.answer(turn.message())


async def _request(reader: asyncio.StreamReader) -> Seen:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip().split(b"\r\n")
    verb, path, _ = first.decode().split(" ")
    fields = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines))
    size = int(dict(fields).get(b"content-length", b"0"))
    return Seen(verb, path, fields, await reader.readexactly(size))
