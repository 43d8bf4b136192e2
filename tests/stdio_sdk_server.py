"""A server by the official SDK that speaks over stdio, in both eras: `python tests/stdio_sdk_server.py`."""

from __future__ import annotations

import json
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("orders", log_level="WARNING")


@server.tool()
def query(sql: str, marker: str = "") -> dict[str, str]:
    """Run a statement, and note it where a test can see it."""
    with Path("seen.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"sql": sql, "marker": marker}) + "\n")
    return {"rows": "4111 1111 1111 1111", "sql": sql}


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Report progress."""
    for step in range(count):
        await ctx.report_progress(step + 1, count)
    return "done"


if __name__ == "__main__":
    server.run("stdio")
