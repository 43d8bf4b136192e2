"""Servers of 2024-11-05: the official SDK's on its old transport, and one that does what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings

GUARD = 10.0


def of_the_sdk(server: Server[Any]) -> Any:
    """Return the application that serves it at `/sse` and `/messages/`."""
    transport = SseServerTransport("/messages/", TransportSecuritySettings(enable_dns_rebinding_protection=False))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/messages/"):
            await transport.handle_post_message(scope, receive, send)
        elif scope["path"] == "/sse" and scope["method"] == "GET":
            async with transport.connect_sse(scope, receive, send) as (read, write):
                await server.run(read, write, server.create_initialization_options())
        else:
            await send({"type": "http.response.start", "status": 405, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    return app


class Told:
    """A server that speaks the transport as it is told: what its stream begins with, and what it says to each tool.

    The tools are `echo`, `ends` (the stream ends without an answer), `late`, which answers when `release` is called,
    `twice` (the answer comes twice) and `floods`. `refuses` is the status of POST, once it is not 0.
    """

    def __init__(self) -> None:
        self.endpoint = "/in?session={session}"
        self.refuses = 0
        self.seen: list[dict[str, Any]] = []
        self.fields: list[dict[bytes, bytes]] = []
        self.streams: dict[str, asyncio.Queue[bytes | None]] = {}
        self.opened = 0
        self.has_seen, self._released = threading.Event(), threading.Event()  # a call of `late`

    def release(self) -> None:
        """Let `late` answer."""
        self._released.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.fields.append(dict(scope["headers"]))
        if scope["method"] == "GET":
            await self._stream(receive, send)
            return
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event["body"]
            if not event["more_body"]:
                break
        self.seen.append(json.loads(body))
        status = self.refuses or 202
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"Accepted"})
        if status == 202:
            session = parse_qs(scope["query_string"].decode())["session"][0]
            asyncio.get_running_loop().create_task(self._answer(json.loads(body), self.streams[session]))

    async def _stream(self, receive: Any, send: Any) -> None:
        self.opened += 1
        session, queue = str(self.opened), asyncio.Queue[bytes | None]()
        self.streams[session] = queue
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        first = f": hello\n\nevent: endpoint\ndata: {self.endpoint.format(session=session)}\n\n"
        await send({"type": "http.response.body", "body": first.encode(), "more_body": True})
        gone = asyncio.ensure_future(_gone(receive))
        while not gone.done():
            taking = asyncio.ensure_future(queue.get())
            await asyncio.wait({taking, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done() or (said := taking.result()) is None:
                taking.cancel()
                break
            await send({"type": "http.response.body", "body": said, "more_body": True})
        gone.cancel()
        del self.streams[session]
        with contextlib.suppress(Exception):
            await send({"type": "http.response.body", "body": b""})

    async def _answer(self, message: dict[str, Any], queue: asyncio.Queue[bytes | None]) -> None:
        if "id" not in message or "method" not in message:
            return
        tool = message.get("params", {}).get("name", "")
        if tool == "ends":
            queue.put_nowait(None)
            return
        if tool == "late":
            self.has_seen.set()
            await asyncio.get_running_loop().run_in_executor(None, self._released.wait, GUARD)
        if tool == "floods":
            queue.put_nowait(b"event: message\ndata: " + b"x" * (3 << 20) + b"\n\n")
            return
        answer = b"event: message\ndata: " + json.dumps(_result(message)).encode() + b"\n\n"
        for _ in range(2 if tool == "twice" else 1):
            queue.put_nowait(answer)


def _result(message: dict[str, Any]) -> dict[str, Any]:
    method, params = message["method"], message.get("params", {})
    value: dict[str, Any] = {}
    if method == "initialize":
        value = {
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "old", "version": "1"},
        }
    elif method == "tools/list":
        names = ("echo", "ends", "late", "twice", "floods")
        value = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names]}
    elif method == "tools/call":
        value = {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}
    return {"jsonrpc": "2.0", "id": message["id"], "result": value}


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve on a free loopback port for the length of the block, in a thread, and give the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(GUARD)
        listener.close()
