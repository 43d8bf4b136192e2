"""What the gateway is compared with: the same server, the same upstream client, and nothing in between.

`python -m benchmarks.passthrough UPSTREAM_URL` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import orjson
import uvicorn
import uvloop

from benchmarks.child import serve_until_told
from proxy import sse
from proxy.upstream import Upstream, UpstreamRequest


class PassThrough:
    """A bare ASGI callable that sends on what comes."""

    def __init__(self, url: str, upstream: Upstream) -> None:
        self._url = url
        self._upstream = upstream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        request = UpstreamRequest(
            url=self._url, body=body, id=orjson.loads(body)["id"], headers=scope["headers"], timeout=60
        )
        async with await self._upstream.exchange(request) as answer:
            if not answer.streamed:
                plain = b"".join([message async for message in answer.messages()])
                await _start(send, b"application/json", (b"content-length", str(len(plain)).encode()))
                await send({"type": "http.response.body", "body": plain})
                return
            await _start(send, b"text/event-stream")
            async for group in answer.groups():
                for one in group:
                    await send({"type": "http.response.body", "body": sse.encode(one), "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _start(send: Any, content_type: bytes, *headers: tuple[bytes, bytes]) -> None:
    fields = [(b"content-type", content_type), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": fields})


async def _serve(url: str) -> None:
    async with Upstream() as upstream:
        application = PassThrough(url, upstream)
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            application, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await serve_until_told(listener.getsockname()[1])
        server.should_exit = True
        await serving


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
