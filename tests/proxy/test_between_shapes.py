"""Messages of one era in the shapes of the other."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.between import shapes
from proxy.between.mirrors import Mirrors
from proxy.mcp import CAPABILITIES_KEY, VERSION_KEY

pytestmark = pytest.mark.promise("unchanged-clients")


def request(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "a", "method": method, "params": params}


def test_a_request_loses_what_the_older_era_does_not_know_and_keeps_the_rest() -> None:
    meta = {
        VERSION_KEY: "2026-07-28",
        CAPABILITIES_KEY: {},
        shapes.LEVEL_KEY: "info",
        "progressToken": "mine",
        "x/y": 1,
    }
    asked = request("tools/call", name="t", arguments={"n": 1}, requestState="s", inputResponses={}, _meta=meta)

    made = shapes.to_older(asked, 7)

    assert made["id"] == 7
    assert made["params"] == {"name": "t", "arguments": {"n": 1}, "_meta": {"progressToken": 7, "x/y": 1}}
    assert asked["params"]["_meta"]["progressToken"] == "mine"


def test_a_request_says_in_the_newer_era_who_asks() -> None:
    asked = request("tools/call", name="t", arguments={}, task={"ttl": 1}, _meta={"progressToken": 0})

    made = shapes.to_newer(asked, {"roots": {}}, {"name": "c"}, requestState="s")

    meta = {
        "progressToken": 0,
        VERSION_KEY: "2026-07-28",
        CAPABILITIES_KEY: {"roots": {}},
        shapes.CLIENT_KEY: {"name": "c"},
    }
    assert made["params"] == {"name": "t", "arguments": {}, "requestState": "s", "_meta": meta}


def test_what_a_server_says_of_itself_is_said_in_the_other_era() -> None:
    said = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}, "tasks": {}},
        "serverInfo": {"name": "s", "version": "2"},
        "instructions": "Be kind.",
    }

    found = shapes.discovered(said)
    back = shapes.initialized(found, "2025-06-18")

    assert found["supportedVersions"] == ["2026-07-28"]
    able = {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}}
    assert found["capabilities"] == able
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
    assert back == {
        "protocolVersion": "2025-06-18",
        "capabilities": able,
        "serverInfo": {"name": "s", "version": "2"},
        "instructions": "Be kind.",
    }


@pytest.mark.parametrize(
    ("code", "newer", "status"), [(-32002, -32602, 400), (-32601, -32601, 404), (-32042, -32603, 200), (7, 7, 200)]
)
def test_errors_have_the_code_and_status_of_the_newer_era(code: int, newer: int, status: int) -> None:
    made = shapes.newer_error({"code": code, "message": "m", "data": {"elicitations": ["secret"]}})

    assert (made["code"], shapes.newer_status({"error": made})) == (newer, status)
    assert code != -32042 or "secret" not in str(made)


def test_a_missing_resource_has_the_code_of_the_older_era() -> None:
    error = {"code": -32602, "message": "m", "data": {"uri": "x:y"}}

    assert shapes.older_error("resources/read", error)["code"] == -32002
    assert shapes.older_error("tools/call", error)["code"] == -32602


def test_arguments_that_travel_in_header_fields_are_mirrored() -> None:
    tool = {
        "inputSchema": {
            "properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
                "many": {"type": "array", "items": {"x-mcp-header": "Never"}},
                "bad": {"type": "string", "x-mcp-header": "a\r\nb"},
            }
        }
    }
    annotated = shapes.annotated(tool)
    message = request("tools/call", name="grüße", arguments={"region": "Köln", "deep": {"on": True}, "bad": "x"})

    fields = dict(shapes.mirrored(message, annotated))

    assert annotated == {("region",): "Region", ("deep", "on"): "On"}
    assert fields[b"mcp-method"] == b"tools/call"
    assert fields[b"mcp-name"].startswith(b"=?base64?")
    assert fields[b"mcp-param-region"].startswith(b"=?base64?")
    assert fields[b"mcp-param-on"] == b"true"
    assert b"mcp-param-bad" not in fields


@pytest.mark.parametrize(
    ("arguments", "fields", "agrees"),
    [
        ({"region": "Köln"}, {"region": "=?base64?S8O2bG4=?="}, True),
        ({"region": "x", "count": 42}, {"region": "x", "count": "42.0"}, True),
        ({"count": 2**70}, {"count": str(2**70)}, True),
        ({}, {}, True),
        ({"region": None}, {}, True),
        ({"region": "x"}, {"other": "y", "region": "x"}, True),
        ({"region": "x"}, {}, False),
        ({"region": "x"}, {"region": "y"}, False),
        ({"region": "x"}, {"region": "=?base64?!?="}, False),
        ({}, {"region": "x"}, False),
        ({"count": 42}, {"count": "43"}, False),
        ({"count": True}, {"count": "1"}, False),
        ({"region": ["x"]}, {"region": "x"}, False),
    ],
)
def test_header_fields_say_what_the_body_says(arguments: dict[str, Any], fields: dict[str, str], agrees: bool) -> None:
    mirrors, properties = Mirrors(), {}
    for name in ("region", "count"):
        properties[name] = {"type": "string", "x-mcp-header": name.title()}
    mirrors.learn("c", {"tools": [{"name": "t", "inputSchema": {"properties": properties}}]})
    headers = [(f"mcp-param-{name}".encode(), value.encode()) for name, value in fields.items()]
    call = request("tools/call", name="t", arguments=arguments)

    mismatch = mirrors.mismatch("c", call, headers)

    assert (mismatch is None) is agrees
    assert mismatch is None or mismatch["code"] == -32020
    assert mirrors.mismatch("other", call, headers) is None


def test_what_a_tool_wants_mirrored_is_forgotten_with_its_definition() -> None:
    mirrors = Mirrors()
    wants = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    mirrors.learn("c", {"tools": [{"name": "t", "inputSchema": wants}]})
    mirrors.learn("c", {"tools": [{"name": "t", "inputSchema": {}}]})

    assert mirrors.of("c", "t") == {}
