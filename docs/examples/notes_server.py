"""A small MCP server by the official SDK, as a stand-in for your own: `python docs/examples/notes_server.py`.

It serves http://127.0.0.1:9000/mcp, or the port and the address that are given as its arguments.
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
    port, host = [*sys.argv[1:], *("9000", "127.0.0.1")[len(sys.argv) - 1 :]]
    server.run("streamable-http", port=int(port), host=host)
