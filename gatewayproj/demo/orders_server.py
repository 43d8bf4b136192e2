"""A real MCP server by the official SDK, as somebody would run it behind the gateway; `python -m` starts it.

It serves both protocol eras at `/mcp` on a free loopback port, which it prints as its first line. Its bearer
token comes from ORDERS_MCP_TOKEN; a request without it is refused. `/ledger` tells what was really executed,
and what came along in the requests' headers, so that the demo can prove what never arrived. It ends when its
stdin ends, so it outlives nobody.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sys
import threading
import time
from collections import Counter
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gatewayproj.demo.orders_data import Shop


class Rows(BaseModel):
    """What a statement gave: its rows, and how many rows it changed."""

    rows: list[dict[str, Any]]
    changed: int


class Ledger:
    """What reached this server: statements with their times, and facts about the requests' headers."""

    def __init__(self) -> None:
        self.statements: list[dict[str, Any]] = []
        self.requests: Counter[str] = Counter()

    def note(self, sql: str) -> None:
        """Write down a statement right before it is run."""
        self.statements.append({"sql": sql, "at": time.time()})

    async def show(self, request: Request) -> Response:
        """Answer with everything, as JSON."""
        return JSONResponse({"statements": self.statements, "requests": dict(self.requests)})


def orders_server(shop: Shop, ledger: Ledger, token: str) -> MCPServer:
    """Build the server with its tools over the shop."""
    server = MCPServer("orders", version="1.0", log_level="WARNING")

    @server.tool()
    def query(sql: Annotated[str, Field(description="One SQL statement")]) -> Rows:
        """Run one SQL statement on the orders database (tables: customers, orders)."""
        return _run(shop, ledger, sql)

    @server.tool()
    def delete_orders(customer_id: Annotated[int, Field(description="Whose orders")]) -> Rows:
        """Delete all orders of one customer. This cannot be undone."""
        return _run(shop, ledger, "DELETE FROM orders WHERE customer_id = ?", customer_id)

    @server.tool()
    def connection_info() -> str:
        """Tell how this server was called. It tells too much, as servers do: its own credential, too."""
        return f"You called with the token {token}"

    return server


def _run(shop: Shop, ledger: Ledger, sql: str, *values: Any) -> Rows:
    ledger.note(sql)
    try:
        rows, changed = shop.run(sql, *values)
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise ToolError(f"The database refused the statement: {error}") from error
    return Rows(rows=rows, changed=changed)


class TokenRequired:
    """ASGI middleware: 401 without the server's own token; takes note of foreign credentials in any
    header.
    """

    def __init__(self, app: Any, token: str, ledger: Ledger) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._ledger = ledger

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/mcp"):
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._ledger.requests["all"] += 1
        # A JSON Web Token begins so; the server's own token is none.
        self._ledger.requests["foreign"] += any(b"eyJ" in value for _, value in headers)
        if dict(headers).get(b"authorization") == self._expected:
            await self._app(scope, receive, send)
            return
        self._ledger.requests["refused"] += 1
        await Response("the token of this server is required", 401)(scope, receive, send)


async def serve(token: str, path: str) -> None:
    """Serve on a free loopback port until stdin ends."""
    ledger = Ledger()
    app = orders_server(Shop(), ledger, token).streamable_http_app(streamable_http_path=path)
    app.add_route("/ledger", ledger.show)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        TokenRequired(app, token, ledger), log_level="warning", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_at_end_of_stdin, args=[server], daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    listener.listen(128)
    await server.serve(sockets=[listener])


def _stop_at_end_of_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


if __name__ == "__main__":
    asyncio.run(serve(os.environ["ORDERS_MCP_TOKEN"], sys.argv[1] if len(sys.argv) > 1 else "/mcp"))
