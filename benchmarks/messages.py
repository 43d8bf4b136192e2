"""The messages of the benchmarks: what the load asks, what the upstream answers, and what must come back."""

from __future__ import annotations

from typing import Any

import orjson

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
CALL, STREAM = "read_orders", "follow_orders"
EMAIL, CARD = "mia.lang@example.com", "4111111111111111"
# Text of an answer of one KiB with two values to hide, as the upstream sends it and as the caller may see it.
_LINE = "order 20931 was packed on Tuesday, two parcels, no remarks; "
TEXT = (_LINE * 14)[:830] + f" contact {EMAIL}, paid with {CARD}."
MASKED = TEXT.replace(EMAIL, "[email]").replace(CARD, "****1111")
# Long answers, full of personal data: three values in each 200 bytes.
_DENSE = (
    f"order 20931: {EMAIL} paid with {CARD}, and asks for an answer to {EMAIL}; the parcel left the house before noon "
    "and will be there on Friday, so the desk has said\n"
)
MIDDLE, LARGE = "read_orders_64k", "read_orders_1m"
TEXTS = {CALL: TEXT, MIDDLE: _DENSE * (65_536 // len(_DENSE)), LARGE: _DENSE * (1_048_576 // len(_DENSE))}
NOTE = "order 20931 was packed on Tuesday, two parcels; contact " + EMAIL
EVENTS = 1000
SQL = "SELECT id, state, total FROM orders WHERE id > $1 ORDER BY id"
ARRIVED = "bench/arrived"  # in an answer's `_meta`: when the call came to the upstream, by the wall clock


def call(number: int, tool: str = CALL, sql: str = SQL) -> bytes:
    """Return the body of one `tools/call`."""
    arguments = {"sql": sql, "parameters": [number]}
    params = {"name": tool, "arguments": arguments, "_meta": META}
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})


def request(port: int, path: str, body: bytes, *, tool: str = CALL, authorization: str = "") -> bytes:
    """Return the bytes of one HTTP request to the gateway (or to what stands in its place)."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\nmcp-protocol-version: {VERSION}\r\n"
        f"mcp-method: tools/call\r\nmcp-name: {tool}\r\nauthorization: {authorization}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def result(number: Any, text: str, structured: Any = None, arrived: float = 0.0) -> bytes:
    """Return the upstream's answer to one call; structured content and the moment of arrival where they are given."""
    content: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": False}
    if structured is not None:
        content["structuredContent"] = structured
    if arrived:
        content["_meta"] = {ARRIVED: arrived}
    return orjson.dumps({"jsonrpc": "2.0", "id": number, "result": content})


def notification(number: int) -> bytes:
    """Return one message of a stream."""
    params = {"level": "info", "logger": "orders", "data": f"{number}: {NOTE}"}
    return orjson.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": params})


def expected(tool: str, masked: bool) -> str:
    """Return the text of this tool's answer, as its caller may see it."""
    text = TEXTS[tool]
    return text.replace(EMAIL, "[email]").replace(CARD, "****1111") if masked else text


def check(body: bytes, number: int, text: str, verdict: str) -> None:
    """Raise AssertionError unless this is the whole answer to that call; no `verdict` without a gateway."""
    answer = orjson.loads(body)
    assert answer["id"] == number, body[:200]
    found = answer["result"]
    assert found["content"][0]["text"] == text, (body[:400], body[-400:])
    assert not verdict or found["_meta"]["holdgate/decision"]["verdict"] == verdict, body[-300:]


def check_stream(body: bytes, number: int, masked: bool) -> None:
    """Raise AssertionError unless all events came, in order, and then the answer."""
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    assert len(events) == EVENTS + 1, (len(events), body[-900:])
    for place in (0, EVENTS // 2, EVENTS - 1):
        data = orjson.loads(events[place])["params"]["data"]
        assert data == f"{place}: {NOTE.replace(EMAIL, '[email]') if masked else NOTE}", data
    assert orjson.loads(events[-1])["id"] == number
