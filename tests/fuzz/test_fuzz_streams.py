"""Fuzzing what comes in pieces: event streams, answers of servers, lines of stdio. Cuts make no difference."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Fault
from proxy.sse import Decoder, EventTooLarge
from proxy.stdio.framing import Lines, LineTooLong, framed
from proxy.upstream_answer import Answer, Opened, UpstreamRequest
from tests.fuzz import oracle
from tests.fuzz.material import BODIES, STREAMS, VALUES, cut

LIMIT = 1 << 20


def decoded(pieces: list[bytes], limit: int) -> list[tuple[bytes, str, str | None, int | None]] | None:
    """Return the events of a stream; None when one is too large."""
    decoder, found = Decoder(limit=limit), []
    try:
        for piece in pieces:
            found += [(one.data, one.name, one.id, one.retry) for one in decoder.feed(piece)]
    except EventTooLarge:
        return None
    return found


@given(st.data(), STREAMS)
def test_events_are_those_of_the_standard_wherever_the_stream_is_cut(data: st.DataObject, stream: bytes) -> None:
    assert decoded(data.draw(cut(stream)), LIMIT) == oracle.events(stream)


@given(st.data(), st.binary(max_size=200))
def test_any_bytes_are_a_stream(data: st.DataObject, stream: bytes) -> None:
    assert decoded(data.draw(cut(stream)), LIMIT) == oracle.events(stream)


@given(st.data(), STREAMS, st.integers(0, 40))
def test_what_is_too_large_is_so_wherever_it_is_cut(data: st.DataObject, stream: bytes, limit: int) -> None:
    assert decoded(data.draw(cut(stream)), limit) == decoded([stream], limit)


def _held_while(feed: Any, piece: bytes, times: int) -> int:
    """Return how much memory was held at most while a piece came again and again."""
    tracemalloc.start()
    try:
        for _ in range(times):
            feed(piece)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_endless_stream_holds_no_more_than_an_event_may_have() -> None:
    for piece in (b": keep-alive\n\n", b"data: x\n\n", b"id: 1\n\n", b"\n", b"\r"):
        assert _held_while(Decoder(limit=1000).feed, piece, 20_000) < 64_000
    for piece in (b'{"a":1}\n', b"\n", b"\r\n"):
        assert _held_while(Lines(1000).feed, piece, 20_000) < 64_000


@given(
    st.data(),
    st.lists(st.sampled_from([b"a", b"\xc3\xa9", b"\n", b"\r\n", b"\r", b" ", b'{"a":1}', b"\0"]), max_size=30),
)
def test_lines_of_stdio_are_the_same_wherever_they_are_cut(data: st.DataObject, parts: list[bytes]) -> None:
    stream, lines = b"".join(parts), Lines(LIMIT)
    found = [line for piece in data.draw(cut(stream)) for line in lines.feed(piece)]
    assert found == oracle.stdio_lines(stream)


@given(st.data(), st.binary(max_size=80).map(lambda one: one.replace(b"x", b"\n")), st.integers(0, 30))
def test_a_line_of_stdio_is_too_long_wherever_it_is_cut(data: st.DataObject, stream: bytes, limit: int) -> None:
    lines, refused = Lines(limit), False
    try:
        for piece in data.draw(cut(stream)):
            lines.feed(piece)
    except LineTooLong:
        refused = True
    assert refused == any(len(line) > limit for line in stream.split(b"\n"))


@given(VALUES, st.sampled_from([None, 1, 2]))
def test_a_framed_message_is_one_line_and_the_same(value: Any, indent: int | None) -> None:
    message = json.dumps(value, indent=indent).encode().replace(b"\n", b"\r\n")
    (line,) = Lines(LIMIT).feed(framed(message))
    assert json.loads(line) == json.loads(message)


async def _nothing() -> None:
    return


async def _heard(kind: str, status: int, pieces: list[bytes]) -> tuple[list[bytes], str]:
    """Return the messages of an answer, and the fault that ended it."""

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def never(_request: UpstreamRequest, _deadline: float | None) -> Opened:
        raise AssertionError("nothing is sent again")

    request = UpstreamRequest(url="http://x", body=b"{}", id=7, max_answer=4000, resume=False)
    answer = Answer(never, request, Opened(status, {"content-type": kind}, chunks(), _nothing), None)
    found: list[bytes] = []
    try:
        await answer.begin()
        found += [message async for message in answer.messages()]
    except Fault as fault:
        return found, fault.reason
    return found, ""


_ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{"a":"\xc3\xa9"}}'
_NOTE = b'{"jsonrpc":"2.0","method":"notifications/x","params":{}}'
_MESSAGES = st.sampled_from(
    [
        _ANSWER,
        _NOTE,
        b"[" + _NOTE + b"," + _ANSWER + b"]",
        _ANSWER.replace(b"7", b"8"),
        b"[]",
        b"5",
        b'{"jsonrpc":"2.0","id":7,"result":null}',
    ]
)
_ANSWERS = st.one_of(
    BODIES,
    _MESSAGES,
    STREAMS,
    st.lists(_MESSAGES.map(lambda one: b"data: " + one + b"\n\n") | STREAMS, max_size=4).map(b"".join),
)


@given(
    st.data(),
    _ANSWERS,
    st.sampled_from(["application/json", "text/event-stream", "text/html", ""]),
    st.sampled_from([200, 202, 204, 301, 401, 404, 500]),
)
def test_an_answer_is_messages_or_a_fault_wherever_it_is_cut(
    data: st.DataObject, body: bytes, kind: str, status: int
) -> None:
    whole, fault = asyncio.run(_heard(kind, status, [body]))
    found, in_pieces = asyncio.run(_heard(kind, status, data.draw(cut(body))))
    assert in_pieces == fault
    assert found[: len(whole)] == whole
    assert fault or found == whole
    if not fault:  # the last message is the answer to the very id
        last = json.loads(found[-1])
        assert (last.get("id", 7), type(last.get("id", 7))) == (7, int)
        assert isinstance(last.get("result", last.get("error")), dict)
    for message in found:
        assert json.loads(message)["jsonrpc"] == "2.0"
