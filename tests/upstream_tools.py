"""The tools of the fake upstream, and the personal data that they give out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.upstream import FakeUpstream

ROWS = [
    {"id": 1, "name": "Ada", "email": "ada@example.com", "card": "4111 1111 1111 1111", "ssn": "078-05-1120"},
    {"id": 2, "name": "Bob", "email": "bob@example.com", "card": "5500-0000-0000-0004", "ssn": "219-09-9999"},
]
_TEXT = {"type": "string"}
TOOLS: list[dict[str, Any]] = [
    {
        "name": "query",
        "description": "Runs a statement and returns rows.",
        "inputSchema": {"type": "object", "properties": {"sql": _TEXT, "marker": _TEXT}, "required": ["sql"]},
        "outputSchema": {
            "type": "object",
            "properties": {
                "rows": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "id": {"type": "integer"},
                            "name": _TEXT,
                            "email": {"type": "string", "format": "email"},
                            "card": _TEXT,
                            "ssn": _TEXT,
                        },
                        "required": ["id", "email", "card"],
                    },
                }
            },
            "required": ["rows"],
        },
    },
    {
        "name": "echo",
        "description": "Returns its text.",
        "inputSchema": {"type": "object", "properties": {"text": _TEXT, "marker": _TEXT}},
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "slow",
        "description": "Answers when the test releases it.",
        "inputSchema": {"type": "object", "properties": {"marker": _TEXT}},
    },
    {
        "name": "fail",
        "description": "Answers with a tool error.",
        "inputSchema": {"type": "object", "properties": {"marker": _TEXT}},
    },
]


async def run_tool(upstream: FakeUpstream, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Execute a tool, which is counted, and return its result, or an error with `code` for an unknown one."""
    if name not in {tool["name"] for tool in upstream.tools}:
        return {"code": -32602, "message": f"Unknown tool: {name}"}
    upstream.note(tool=name, marker=str(arguments.get("marker", "")))
    match name:
        case "query":
            structured = {"rows": ROWS}
            return {**_text(json.dumps(structured)), "structuredContent": structured}
        case "slow":
            await upstream.until_released()
            return _text("done")
        case "fail":
            return {**_text("no such table: ada@example.com"), "isError": True}
        case _:
            return _text(str(arguments.get("text", "")))


def _text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": False}
