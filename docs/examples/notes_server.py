"""A small MCP server by the official SDK, as a stand-in for your own: `python docs/examples/notes_server.py`.

It serves http://127.0.0.1:9000/mcp, or the port that is given as its argument.
"""

from __future__ import annotations

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("notes", log_level="WARNING")
notes = {1: "Call Ada, ada@example.com", 2: "Renew the certificate"}


@server.tool()
def read_notes() -> dict[int, str]:
    """Return all notes."""
    return notes


@server.tool()
def delete_note(number: int) -> str:
    """Delete one note for good."""
    notes.pop(number)
    return f"Note {number} is gone."


if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1] if len(sys.argv) > 1 else "9000"))
