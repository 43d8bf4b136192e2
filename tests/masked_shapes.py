"""What a server can say, in every shape of every revision, with the same few canaries in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from sessions.leaf import Leaf

EMAIL, CARD, KEY = "shape.canary@planted.example.net", "5105 1051 0510 5100", "AKIA" + "QX3PZ7LMN4RTV2WB"
NUMBER = int(CARD.replace(" ", ""))
PLANTED = {"e-mail": EMAIL, "card": CARD, "card as a number": str(NUMBER), "key": KEY}
TEXT = f"{EMAIL} paid with {CARD} and {KEY}"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\x20tEXtComment\0" + EMAIL.encode()).decode()


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def tool(*content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"result": {"content": list(content), **more}}]


def text(said: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def resource(**members: Any) -> dict[str, Any]:
    return {"uri": "file:///notes", **members}


def note(method: str, **params: Any) -> list[dict[str, Any]]:
    return [{"method": f"notifications/{method}", "params": params}, *tool(text("done"))]


NESTED = {"rows": [{"note": TEXT, "card": NUMBER, "inner": json.dumps({"deep": [TEXT]})}], TEXT: {"n": 1}}
SCHEMA = {"type": "object", "properties": {"q": {"type": "string", "default": EMAIL, "examples": [TEXT]}}}
FORM = {"type": "object", "properties": {"who": {"type": "string", "title": TEXT, "default": EMAIL}}}
TASK = {"taskId": "task-7", "status": "working", "createdAt": "2026-01-01T00:00:00Z", "ttl": 1, "statusMessage": TEXT}


def of_task(era: str, said: dict[str, Any]) -> tuple[tuple[str, dict[str, Any]], list[dict[str, Any]]]:
    """What asks for the result of a task in an era; and what the server says: a note with it, then the answer."""
    done = {**TASK, "status": "completed", "result": said}
    told = {"method": "notifications/tasks", "params": done}
    if era == "legacy":
        return ("tasks/result", {"taskId": ""}), [told, {"result": said}]
    return ("tasks/get", {"taskId": ""}), [told, {"result": done}]


# name: what is asked, and what the server says to it
SHAPES: dict[str, tuple[tuple[str, dict[str, Any]], list[dict[str, Any]]]] = {}
CALL = ("tools/call", {"name": "echo", "arguments": {}})
for _name, _said in {
    "text": tool(text(), text(annotations={"audience": ["user"]}, _meta={"x/y": TEXT})),
    "text that is JSON": tool(text(json.dumps(NESTED)), text(json.dumps(json.dumps(NESTED)))),
    "text with a table": tool(text(f"id,mail\n1,{EMAIL}\n"), text(f"| id | mail |\n|---|---|\n| 1 | {EMAIL} |")),
    "structured content and its twin": tool(text(json.dumps(NESTED)), structuredContent=NESTED),
    "numbers": tool(structuredContent={"card": NUMBER, "float": float(NUMBER), "list": [NUMBER, -NUMBER]}),
    "keys": tool(structuredContent={TEXT: {KEY: {EMAIL: 1}}}),
    "embedded text": tool({"type": "resource", "resource": resource(text=TEXT, mimeType="text/plain")}),
    "embedded blob": tool({"type": "resource", "resource": resource(blob=base64_of(TEXT), mimeType="text/csv")}),
    "blob of no type": tool({"type": "resource", "resource": resource(blob=base64_of(TEXT))}),
    "a link": tool({"type": "resource_link", "uri": f"mail://{EMAIL}/{KEY}", "name": TEXT, "description": TEXT}),
    "beside an image": tool({"type": "image", "data": base64_of("x"), "mimeType": "image/png", "_meta": {"a/b": TEXT}}),
    "_meta": tool(_meta={"example.com/x": {"deep": [TEXT, NUMBER]}, "example.com/y": TEXT}),
    "unknown content": tool({"type": "hologram", "frames": [TEXT], "holo": {"data": TEXT}}),
    "a tool error": tool(text(), isError=True),
    "an error": [{"error": {"code": -32000, "message": TEXT, "data": {"trace": [TEXT], "n": NUMBER}}}],
    "an error with text as data": [{"error": {"code": -32000, "message": "no", "data": TEXT}}],
    "progress": note("progress", progressToken="tok", progress=1, message=TEXT),
    "a log of text": note("message", level="info", logger=TEXT, data=TEXT),
    "a log of anything": note("message", level="info", data={"x": [TEXT, NUMBER], EMAIL: 1}),
    "an updated resource": note("resources/updated", uri=f"mail://{EMAIL}", title=TEXT),
    "a task's status": note("tasks/status", **TASK),
    "an unknown notification": note("x/y", anything=TEXT, **{EMAIL: NUMBER}),
    "a new task": [{"result": {"task": TASK, "_meta": {"x/y": TEXT}}}],
}.items():
    SHAPES[_name] = (CALL, _said)
SHAPES |= {
    "a resource": (
        ("resources/read", {"uri": "file:///notes"}),
        [{"result": {"contents": [resource(text=TEXT), resource(blob=base64_of(TEXT), mimeType="application/json")]}}],
    ),
    "a prompt": (
        ("prompts/get", {"name": "p"}),
        [
            {
                "result": {
                    "description": TEXT,
                    "messages": [
                        {"role": "user", "content": text()},
                        {"role": "user", "content": {"type": "resource", "resource": resource(text=TEXT)}},
                    ],
                }
            }
        ],
    ),
    "completions": (
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "s"}}),
        [{"result": {"completion": {"values": [EMAIL, TEXT], "total": 2}}}],
    ),
    "tools": (
        ("tools/list", {}),
        [
            {
                "result": {
                    "tools": [
                        {
                            "name": "echo",
                            "title": TEXT,
                            "description": TEXT,
                            "inputSchema": SCHEMA,
                            "outputSchema": {
                                "type": "object",
                                "description": TEXT,
                                "properties": {"x": {"enum": [EMAIL]}},
                            },
                            "annotations": {"title": TEXT},
                            "_meta": {"x/y": TEXT},
                        }
                    ]
                }
            }
        ],
    ),
    "resources": (
        ("resources/list", {}),
        [{"result": {"resources": [resource(name=TEXT, description=TEXT, title=TEXT)]}}],
    ),
    "templates": (
        ("resources/templates/list", {}),
        [{"result": {"resourceTemplates": [{"uriTemplate": "file:///{x}", "name": TEXT, "description": TEXT}]}}],
    ),
    "prompts": (
        ("prompts/list", {}),
        [{"result": {"prompts": [{"name": "p", "arguments": [{"name": "a", "description": TEXT}], "title": TEXT}]}}],
    ),
    "a handshake": (
        (
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
        ),
        [
            {
                "result": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"experimental": {"x": {"y": TEXT}}},
                    "serverInfo": {"name": "fake", "version": "1", "title": TEXT},
                    "instructions": TEXT,
                }
            }
        ],
    ),
    "a task": (("tasks/get", {"taskId": "task-7"}), [{"result": TASK}]),
    "a task's result": (
        ("tasks/result", {"taskId": "task-7"}),
        tool(text(), structuredContent=NESTED, _meta={"io.modelcontextprotocol/related-task": {"taskId": "task-7"}}),
    ),
}
MODERN: dict[str, tuple[tuple[str, dict[str, Any]], list[dict[str, Any]]]] = {
    "questions of the server": (
        CALL,
        [
            {
                "result": {
                    "resultType": "input_required",
                    "requestState": "opaque-" + base64_of("state"),
                    "inputRequests": {
                        "a": {
                            "method": "elicitation/create",
                            "params": {"mode": "form", "message": TEXT, "requestedSchema": FORM},
                        },
                        "b": {
                            "method": "sampling/createMessage",
                            "params": {
                                "systemPrompt": TEXT,
                                "maxTokens": 5,
                                "messages": [
                                    {"role": "user", "content": text()},
                                    {"role": "user", "content": [text()]},
                                ],
                            },
                        },
                        "c": {"method": "roots/list"},
                    },
                }
            }
        ],
    ),
    "what a server says of itself": (
        ("server/discover", {}),
        [
            {
                "result": {
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": {},
                    "serverInfo": {"name": "fake", "version": "1", "title": TEXT},
                    "instructions": TEXT,
                }
            }
        ],
    ),
    "a task of today": (
        ("tasks/get", {"taskId": "task-7"}),
        [{"result": {**TASK, "status": "completed", "result": tool(text(), structuredContent=NESTED)[0]["result"]}}],
    ),
}


MASKING = [
    {"name": "secrets", "detectors": ["api_key", "private_key", "password_assignment", "bearer_token"]},
    {"name": "cards", "detectors": ["credit_card"], "replace": "partial"},
    {"name": "people", "detectors": ["email", "us_ssn", "iban"], "except_groups": ["security"]},
    {"name": "joins", "fields": ["customer"], "replace": "hash"},
    {"name": "gone", "fields": ["**.salary"], "replace": "remove"},
    {"name": "hidden", "fields": ["birth", "level", "blood", "active"]},
]
TYPED: dict[str, Any] = {
    "typed": {
        "type": "object",
        "additionalProperties": False,
        "required": ["mail", "level", "customer", "salary"],
        "properties": {
            "mail": {"type": "string", "format": "email"},
            "link": {"type": "string", "format": "uri"},
            "birth": {"type": "string", "format": "date"},
            "level": {"type": "integer", "minimum": 3},
            "blood": {"enum": ["A", "B", "AB", "0"]},
            "active": {"type": "boolean", "const": True},
            "customer": {"type": "integer", "minimum": 1},
            "salary": {"type": "number", "exclusiveMinimum": 0},
            "ssn": {"type": "string", "pattern": "^[0-9]{3}-[0-9]{2}-[0-9]{4}$"},
            "odd": {"type": "string", "pattern": "^(?=.)shape"},
            "plain": {"type": "string"},
        },
    },
    "impossible": {
        "type": "object",
        "required": ["mail"],
        "properties": {"mail": {"type": "string", "pattern": "^(?=.)shape"}},
    },
}
VALUES = {
    "mail": EMAIL,
    "link": f"mailto:{EMAIL}",
    "birth": "1970-12-24",
    "level": 7,
    "blood": "AB",
    "active": True,
    "customer": 4711,
    "salary": 95_000.5,
    "ssn": "219-09-9999",
    "odd": EMAIL,
    "plain": EMAIL,
}


def newest_hits(entries: Sequence[Leaf]) -> list[str]:
    """Return what the newest call's entries count as hidden: one entry for each group of messages that came at once."""
    return sorted(hit for one in entries if one.call == entries[-1].call for hit in one.facts["masked"])
