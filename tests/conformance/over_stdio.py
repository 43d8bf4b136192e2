"""The everything server over stdio, in both eras: `python tests/conformance/over_stdio.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from mcp.server.stdio import stdio_server

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


async def main() -> None:
    """Serve until the input ends."""
    from tests.conformance.everything import everything

    server = everything()
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(main)
