"""What the ladder lets through and which rung refuses what, for every revision."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import mcp
from proxy.headers import accepts, decode_mirrored, encode_mirrored

JSON_TYPE = (b"content-type", b"application/json")
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def call(**changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "tools/call",
        "params": {"name": "query", "arguments": {"sql": "select 1"}},
    }
    message |= changes
    return {name: value for name, value in message.items() if value is not ...}


def modern_call(meta: dict[str, Any] = MODERN_META, **params: Any) -> dict[str, Any]:
    return call(params={"name": "query", "arguments": {"sql": "select 1"}, "_meta": meta} | params)


def parse(message: Any, *headers: tuple[str, str], content_type: bool = True) -> Any:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return mcp.parse(body, [JSON_TYPE, *raw] if content_type else raw)


def mirrored(method: str = "tools/call", name: str | None = "query") -> list[tuple[str, str]]:
    headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)]
    return headers if name is None else [*headers, ("Mcp-Name", name)]


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
def test_a_call_of_each_legacy_revision_is_read(version: str) -> None:
    body = json.dumps(call()).encode()
    message = parse(body, ("MCP-Protocol-Version", version), ("Mcp-Session-Id", "s-1"))
    assert (message.kind, message.id, message.method, message.name) == ("request", 0, "tools/call", "query")
    assert (message.era, message.version, message.session) == ("legacy", version, "s-1")
    assert message.arguments == {"sql": "select 1"}
    assert message.raw == body


def test_a_modern_call_is_read_and_has_no_session() -> None:
    message = parse(modern_call(MODERN_META | {"progressToken": "p"}), *mirrored(), ("Mcp-Session-Id", "s-1"))
    assert (message.era, message.version, message.session) == ("modern", "2026-07-28", None)
    assert message.progress_token == "p"
    assert message.meta["io.modelcontextprotocol/clientCapabilities"] == {}


def test_without_a_version_a_legacy_message_speaks_the_first_revision() -> None:
    assert parse(call()).version == "2025-03-26"


@pytest.mark.parametrize(
    ("asked", "read"), [("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25"), (5, "2025-11-25")]
)
def test_initialize_names_its_revision_in_the_body(asked: Any, read: str) -> None:
    message = parse(call(method="initialize", params={"protocolVersion": asked}))
    assert (message.era, message.version) == ("legacy", read)


READ = {
    "a resource": ("resources/read", {"uri": "file:///a"}, "file:///a", {"uri": "file:///a"}),
    "a prompt": ("prompts/get", {"name": "p", "arguments": {"x": "1"}}, "p", {"x": "1"}),
    "a call without arguments": ("tools/call", {"name": "t"}, "t", {}),
    "a call with null for arguments": ("tools/call", {"name": "t", "arguments": None}, "t", {}),
    "a completed prompt": (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "n", "value": "v"}, "_meta": {}},
        "p",
        {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "n", "value": "v"}},
    ),
    "a completed resource": (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "file:///{x}"}},
        "file:///{x}",
        {"ref": {"type": "ref/resource", "uri": "file:///{x}"}},
    ),
    "a list": ("tools/list", {"cursor": "c"}, None, {"cursor": "c"}),
    "no parameters": ("ping", None, None, {}),
    "an unknown method": ("acme/do", {"Name": 1, "anything": [None]}, None, {"Name": 1, "anything": [None]}),
}


@pytest.mark.parametrize(("method", "params", "name", "arguments"), READ.values(), ids=READ.keys())
def test_a_rule_sees_the_name_and_the_arguments(method: str, params: Any, name: Any, arguments: Any) -> None:
    message = parse(call(method=method, params=params))
    assert (message.name, message.arguments) == (name, arguments)


@pytest.mark.parametrize("identifier", [0, -1, 10**30, "", "x", "0"], ids=repr)
def test_strings_and_integers_are_ids(identifier: Any) -> None:
    assert parse(call(id=identifier)).id == identifier


def test_a_message_without_an_id_is_a_notification_and_one_without_a_method_a_response() -> None:
    assert parse(call(id=..., method="notifications/cancelled", params={"requestId": 1})).kind == "notification"
    response = parse({"jsonrpc": "2.0", "id": 4, "result": {"action": "accept"}})
    assert (response.kind, response.id, response.arguments) == ("response", 4, {"action": "accept"})


ENVELOPES = {
    "a string": "x",
    "null": None,
    "no version": call(jsonrpc=...),
    "another version": call(jsonrpc="1.0"),
    "a true id": call(id=True),
    "a fractional id": call(id=1.5),
    "a float id": b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}',
    "a null id": call(id=None),
    "a list id": call(id=[1]),
    "no method": call(method=...),
    "an empty method": call(method=""),
    "a number for method": call(method=5),
    "a method and a result": call(result={}),
    "a result and an error": {"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}},
    "a result without an id": {"jsonrpc": "2.0", "result": {}},
    "a method in capitals": {"jsonrpc": "2.0", "id": 1, "METHOD": "tools/call", "params": {}},
    "a method with U+0000": call(method="a\0b"),
    "a name with U+0000": call(params={"name": "a\0b"}),
    "a uri with U+0000": call(method="resources/read", params={"uri": "a\0b"}),
    "parameters in capitals": {"jsonrpc": "2.0", "id": 1, "method": "ping", "Params": {"name": "drop"}},
}


@pytest.mark.parametrize("message", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_what_is_not_a_json_rpc_message_is_refused(message: Any) -> None:
    rejection = parse(message)
    assert (rejection.status, rejection.code, rejection.reason) == (400, -32600, "invalid_request")


PARAMETERS = {
    "a list": call(params=[1]),
    "no name": call(params={"arguments": {}}),
    "a number for name": call(params={"name": 3}),
    "an empty name": call(params={"name": ""}),
    "a list of arguments": call(params={"name": "t", "arguments": []}),
    "a string of arguments": call(params={"name": "t", "arguments": ""}),
    "arguments in capitals": call(params={"name": "t", "Arguments": {"sql": "drop"}}),
    "a name with a hidden character": call(params={"name": "t", "na\u200bme": "drop"}),
    "a uri in capitals": call(method="resources/read", params={"uri": "a", "_Meta": {}}),
    "no uri": call(method="resources/read", params={"name": "a"}),
    "no reference": call(method="completion/complete", params={}),
    "a reference to two things": call(
        method="completion/complete", params={"ref": {"type": "ref/resource", "name": "open", "uri": "file:///secret"}}
    ),
    "a reference that names what its type does not": call(
        method="completion/complete", params={"ref": {"type": "ref/resource", "name": "open"}}
    ),
    "a reference with a name in capitals": call(
        method="completion/complete", params={"ref": {"type": "ref/prompt", "Name": "secret"}}
    ),
    "a list for _meta": call(params={"name": "t", "_meta": []}),
    "a true progress token": call(params={"name": "t", "_meta": {"progressToken": True}}),
    "a fractional progress token": call(params={"name": "t", "_meta": {"progressToken": 1.5}}),
}


@pytest.mark.parametrize("message", PARAMETERS.values(), ids=PARAMETERS.keys())
def test_parameters_that_cannot_be_judged_are_refused(message: Any) -> None:
    rejection = parse(message)
    assert rejection.status == 400
    assert rejection.code == (-32700 if b"\\u200b" in json.dumps(message).encode() else -32602)


def test_a_rejection_carries_the_id_where_it_could_be_read() -> None:
    assert parse(call(id=7, params={})).id == 7
    assert parse(b"{").id is None


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":1,"A":2}', b"[" * 70 + b"]" * 70, b"{} x"])
def test_json_that_is_not_strict_is_a_parse_error(body: bytes) -> None:
    rejection = parse(body)
    assert (rejection.status, rejection.code) == (400, -32700)


MISMATCHES = {
    "no version": [("Mcp-Method", "tools/call"), ("Mcp-Name", "query")],
    "a legacy version": [
        ("MCP-Protocol-Version", "2025-11-25"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "query"),
    ],
    "no method": [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Name", "query")],
    "another method": mirrored("tools/list"),
    "a method in capitals": mirrored("Tools/Call"),
    "no name": mirrored(name=None),
    "another name": mirrored(name="drop"),
    "another name in base64": mirrored(name="=?base64?ZHJvcA==?="),
    "bad base64": mirrored(name="=?base64?####?="),
    "base64 with loose bits": mirrored(name="=?base64?cXVlcnl=?="),
    "two names": [*mirrored(), ("mcp-name", "query")],
    "two methods": [*mirrored(), ("MCP-METHOD", "tools/call")],
    "two versions": [*mirrored(), ("Mcp-Protocol-Version", "2026-07-28")],
    "two of one parameter": [*mirrored(), ("Mcp-Param-Region", "a"), ("mcp-param-region", "b")],
    "a name that is not ASCII": mirrored(name="qu\u00e9ry"),
}


@pytest.mark.parametrize("headers", MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_modern_request_whose_headers_disagree_with_its_body_is_refused(headers: Any) -> None:
    rejection = parse(modern_call(), *headers)
    assert (rejection.status, rejection.code) == (400, -32020)


@pytest.mark.parametrize("header", [("Mcp-Method", "tools/list"), ("Mcp-Name", "safe")])
def test_a_legacy_request_may_not_mirror_something_else_either(header: tuple[str, str]) -> None:
    assert parse(call(), header).code == -32020


@pytest.mark.parametrize("name", ["größe", " edge ", "=?base64?eA==?=", "", "a\nb", "plain"])
def test_a_mirrored_name_is_compared_after_decoding(name: str) -> None:
    encoded = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    message = parse(modern_call(name=name), *mirrored(name=encoded))
    assert message.name == name if name else message.code == -32602


@given(st.text())
def test_every_name_survives_its_mirror(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    assert decode_mirrored(encode_mirrored(name)) == name


def test_an_unknown_revision_is_told_which_are_spoken() -> None:
    meta = MODERN_META | {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    rejection = parse(modern_call(meta), ("MCP-Protocol-Version", "2099-01-01"), *mirrored()[1:])
    assert (rejection.status, rejection.code) == (400, -32022)
    assert rejection.data == {"supported": ["2026-07-28"], "requested": "2099-01-01"}
    assert parse(call(), ("MCP-Protocol-Version", "2024-01-01")).code == -32022


@pytest.mark.parametrize("meta", [{}, {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}])
def test_a_modern_request_without_its_envelope_is_refused(meta: dict[str, Any]) -> None:
    rejection = parse(modern_call(meta), *mirrored())
    assert (rejection.status, rejection.code) == (400, -32602)


def test_modern_clients_send_neither_responses_nor_a_handshake_nor_batches() -> None:
    version = ("MCP-Protocol-Version", "2026-07-28")
    assert parse({"jsonrpc": "2.0", "id": 1, "result": {}}, version).code == -32600
    assert parse(call(method="initialize", params={}), version).code == -32020
    assert parse([call()], version).code == -32600


def test_a_modern_notification_needs_no_envelope() -> None:
    message = parse(call(id=..., method="notifications/x", params={}), ("MCP-Protocol-Version", "2026-07-28"))
    assert (message.kind, message.era) == ("notification", "modern")


def test_a_batch_of_the_first_revision_is_split_with_each_messages_own_bytes() -> None:
    body = b'[ {"jsonrpc":"2.0","id":1,"method":"ping"} , {"jsonrpc":"2.0","method":"notifications/x"}]'
    first, second = parse(body, ("MCP-Protocol-Version", "2025-03-26"))
    assert (first.id, second.kind) == (1, "notification")
    assert first.raw == b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert isinstance(parse(body), tuple)


BATCHES = {
    "on a later revision": ([call()], [("MCP-Protocol-Version", "2025-06-18")]),
    "an empty one": ([], []),
    "one with a handshake": ([call(), call(method="initialize", id=2)], []),
    "one with equal ids": ([call(id=1), call(id=1)], []),
    "one with a bad message": ([call(), 5], []),
    "one in another": ([[call()]], []),
    "one with mirrored fields": ([call()], [("Mcp-Method", "tools/call")]),
    "one with a modern message": ([modern_call()], []),
    "one of very many": ([call(id=number) for number in range(101)], []),
}


@pytest.mark.parametrize(("batch", "headers"), BATCHES.values(), ids=BATCHES.keys())
def test_any_other_batch_is_refused(batch: Any, headers: Any) -> None:
    assert parse(batch, *headers).status == 400


def test_equal_ids_of_different_type_are_different() -> None:
    assert len(parse([call(id=1), call(id="1")])) == 2


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_taken_in_utf_8(value: str) -> None:
    assert parse(call(), ("content-type", value), content_type=False).kind == "request"


@pytest.mark.parametrize(
    "value", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", ""]
)
def test_any_other_content_type_is_refused(value: str) -> None:
    assert parse(call(), ("content-type", value), content_type=False).status == 400


def test_a_repeated_content_type_and_a_bad_session_id_are_refused() -> None:
    assert parse(call(), ("content-type", "application/json")).status == 400
    assert parse(call(), ("mcp-session-id", "a b")).status == 400
    assert parse(call(), ("mcp-session-id", "")).status == 400
    assert parse(call(), ("mcp-session-id", "x" * 1025)).status == 400


def test_a_stream_is_opened_and_a_session_ended_only_before_2026_07_28() -> None:
    legacy = [(b"mcp-protocol-version", b"2025-11-25"), (b"mcp-session-id", b"s"), (b"last-event-id", b"e")]
    assert mcp.control("GET", legacy) == mcp.Control(verb="GET", version="2025-11-25", session="s", last_event_id="e")
    assert isinstance(mcp.control("DELETE", []), mcp.Control)
    for verb in ("GET", "DELETE"):
        rejection = mcp.control(verb, [(b"mcp-protocol-version", b"2026-07-28")])
        assert isinstance(rejection, mcp.Rejection)
        assert (rejection.status, rejection.allow) == (405, "POST")
    rejection = mcp.control("PUT", [])
    assert isinstance(rejection, mcp.Rejection)
    assert (rejection.status, rejection.allow) == (405, "GET, POST, DELETE")
    assert isinstance(mcp.control("GET", [*legacy, legacy[1]]), mcp.Rejection)
    assert isinstance(mcp.control("GET", [(b"mcp-protocol-version", b"1999-01-01")]), mcp.Rejection)


ACCEPTS = {
    None: "json",
    "*/*": "json",
    "application/json": "json",
    "text/html": "json",
    "application/json, text/event-stream": "both",
    "text/event-stream;q=0.5, application/json;q=1": "both",
    "*/*, text/event-stream": "both",
    "text/event-stream": "sse",
    "TEXT/Event-Stream": "sse",
    "application/json, text/event-stream;q=0": "json",
    "application/json;q=0.0, text/event-stream": "sse",
}


@pytest.mark.parametrize(("accept", "answer"), ACCEPTS.items())
def test_the_answer_follows_accept(accept: str | None, answer: str) -> None:
    assert accepts([] if accept is None else [(b"accept", accept.encode())]) == answer


def test_several_accept_fields_are_one() -> None:
    assert accepts([(b"accept", b"application/json"), (b"Accept", b"text/event-stream")]) == "both"


@given(st.binary(max_size=300), st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_any_bytes_give_an_answer_and_never_an_exception(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(mcp.parse(body, [JSON_TYPE, *headers]), mcp.Message | mcp.Rejection | tuple)
