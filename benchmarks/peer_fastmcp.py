"""A FastMCP proxy, run by the Python of its own environment: `peer_fastmcp.py UPSTREAM_URL PORT default|shared`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found]
from fastmcp.server import create_proxy  # type: ignore[import-not-found]


async def _serve(url: str, port: int, form: str) -> None:
    if form == "default":
        await _run(create_proxy(url), port)
        return
    async with Client(url) as client:
        await _run(create_proxy(client), port)


async def _run(proxy: Any, port: int) -> None:
    await proxy.run_async(transport="http", host="127.0.0.1", port=port, show_banner=False, log_level="error")


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
