"""Fuzzing the ladder of messages and header fields: a message, a batch or a rejection, and nothing else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from proxy import knobs, mcp
from proxy.headers import Headers, accepts, decode_mirrored, encode_mirrored
from tests.fuzz import oracle
from tests.fuzz.material import BODIES, HEADERS, MESSAGES, MIRRORED, spoilt

JSON_TYPE = (b"content-type", b"application/json")


@given(st.one_of(MESSAGES, spoilt(MESSAGES), BODIES), HEADERS | HEADERS.map(lambda more: [JSON_TYPE, *more]))
def test_a_post_is_a_message_a_batch_or_a_rejection(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    check(body, headers)


@given(MIRRORED)
def test_a_call_says_the_same_in_its_header_fields_or_is_refused(parts: tuple[bytes, str, str, str]) -> None:
    body, version, method, name = parts
    told = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": name}
    check(body, [JSON_TYPE, *((field.encode(), value.encode()) for field, value in told.items())])


def check(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Let the ladder read it, and compare what it let through with the oracle."""
    found = mcp.parse(body, headers)
    if isinstance(found, mcp.Rejection):
        assert found.status in {400, 404}
        assert found.message
        return
    value = oracle.strict(body)  # what is let through, the oracle lets through as well
    messages = found if isinstance(found, tuple) else (found,)
    values = value if isinstance(value, list) else [value]
    assert isinstance(found, tuple) == isinstance(value, list)
    for message, said in zip(messages, values, strict=True):
        assert json.loads(message.raw) == said
        assert message.method == said.get("method", "")
        assert (message.id, type(message.id)) == (said.get("id"), type(said.get("id")))
        assert message.id is None or type(message.id) in {int, str}
        _check_headers(message, Headers(headers))


def _check_headers(message: mcp.Message, fields: Headers) -> None:
    """What the body says, header fields may repeat and must not deny."""
    assert fields.first("content-encoding") in {None, "identity"}
    for name in ("content-type", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"):
        assert not fields.is_repeated(name)
    if (method := fields.first("mcp-method")) is not None:
        assert method == message.method
    if message.method == "tools/call" and (mirrored := fields.first("mcp-name")) is not None:
        assert decode_mirrored(mirrored) == message.name
    if message.era == "modern":
        assert fields.first("mcp-protocol-version") == message.version


@given(st.sampled_from(["GET", "DELETE", "PUT", "get", ""]), HEADERS)
def test_what_is_no_post_is_a_control_or_a_rejection(verb: str, headers: list[tuple[bytes, bytes]]) -> None:
    found = mcp.control(verb, headers)
    assert isinstance(found, mcp.Control) == (not isinstance(found, mcp.Rejection))
    assert isinstance(found, mcp.Rejection) or verb in {"GET", "DELETE"}


@given(
    HEADERS,
    st.dictionaries(st.sampled_from(["holdgate/wait", "holdgate/reason", "holdgate/run"]), st.integers() | st.text()),
)
def test_wishes_are_read_or_refused(headers: list[tuple[bytes, bytes]], meta: dict[str, object]) -> None:
    found = knobs.read(headers, meta)
    assert isinstance(found, knobs.Knobs | mcp.Rejection)
    if isinstance(found, knobs.Knobs):
        assert found.wait is None or 0 <= found.wait <= 1e9
    assert accepts(headers) in {"json", "sse", "both"}


@given(st.text(max_size=40))
def test_only_one_spelling_of_a_mirrored_value_is_read_as_it(value: str) -> None:
    assert decode_mirrored(encode_mirrored(value)) == value
    # Whatever else is read as this value is the value itself, written plainly.
    if (read := decode_mirrored(value)) is not None and read != value:
        assert encode_mirrored(read) == value
