"""Events come out of a stream whatever its line ends are and wherever the network cuts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sse import Decoder, Event, EventTooLarge, comment, encode


def decode(stream: bytes, *, limit: int = 1000) -> list[Event]:
    return Decoder(limit=limit).feed(stream)


STREAMS = {
    "one event": (b"data: x\n\n", [Event(b"x")]),
    "all fields": (b"event: e\nid: 7\nretry: 50\ndata: x\n\n", [Event(b"x", "e", "7", 50)]),
    "carriage returns": (b"data: x\r\rdata: y\r\r", [Event(b"x"), Event(b"y")]),
    "both": (b"data: x\r\n\r\ndata: y\r\n\r\n", [Event(b"x"), Event(b"y")]),
    "mixed": (b"data: x\r\n\ndata: y\n\r\n", [Event(b"x"), Event(b"y")]),
    "several data lines": (b"data: a\ndata:\ndata:  b\n\n", [Event(b"a\n\n b")]),
    "no space": (b"data:x\n\n", [Event(b"x")]),
    "a field without a colon": (b"data\n\n", [Event(b"")]),
    "comments": (b": hello\n\n:\ndata: x\n: in between\n\n", [Event(b"x")]),
    "unknown fields": (b"foo: bar\ndata: x\n\n", [Event(b"x")]),
    "a mark at the start": (b"\xef\xbb\xbfdata: x\n\n", [Event(b"x")]),
    "a mark later": (b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [Event(b"x")]),
    "a primer": (b"id: 1\nretry: 5000\ndata:\n\n", [Event(b"", id="1", retry=5000)]),
    "an id alone": (b"id: 1\n\n", [Event(b"", id="1")]),
    "an empty id": (b"id\ndata: x\n\n", [Event(b"x", id="")]),
    "an id with NUL": (b"id: a\0b\ndata: x\n\n", [Event(b"x")]),
    "a retry that is no number": (b"retry: 5s\ndata: x\n\n", [Event(b"x")]),
    "an event without data": (b"event: ping\n\n", []),
    "an unfinished event": (b"data: x\n\ndata: y\n", [Event(b"x")]),
    "unicode line ends in data": ("data: a\u2028b\x0bc\n\n".encode(), [Event("a\u2028b\x0bc".encode())]),
    "a line of spaces": (b"data: x\n \n\n", [Event(b"x")]),
}


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_is_read_as_the_standard_says(stream: bytes, events: list[Event]) -> None:
    assert decode(stream) == events


PIECES = st.sampled_from(
    "data: |data|id: 1|event: e|retry: 5|:|: c|\n|\r|\r\n|\n\n|x| |é".encode().split(b"|"),
)


@given(st.lists(PIECES, max_size=40).map(b"".join), st.lists(st.integers(0, 200), max_size=12))
def test_where_the_stream_is_cut_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    decoder, events, at = Decoder(limit=10_000), [], 0
    for cut in [*sorted(cuts), len(stream)]:
        events += decoder.feed(stream[at : max(at, cut)])
        at = max(at, min(cut, len(stream)))
    assert events == decode(stream, limit=10_000)


def test_an_event_is_given_at_once_when_its_blank_line_ends_with_a_carriage_return() -> None:
    decoder = Decoder(limit=100)
    assert decoder.feed(b"data: x\r\n\r") == [Event(b"x")]
    assert decoder.feed(b"\ndata: y\r\n\r\n") == [Event(b"y")]


@given(st.binary(min_size=1, max_size=200), st.none() | st.integers(0, 10**8), st.none() | st.just("id-1"))
def test_what_is_encoded_is_decoded(data: bytes, retry: int | None, event_id: str | None) -> None:
    joined = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    stream = encode(data, event_id=event_id, retry=retry)
    assert decode(comment("a\r\nb") + stream) == [Event(joined, id=event_id, retry=retry)]


LARGE = [b"data: " + b"x" * 101, b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 60, b"x" * 101]


@pytest.mark.parametrize("stream", LARGE)
def test_an_event_beyond_the_limit_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        decode(stream, limit=100)
    with pytest.raises(EventTooLarge):
        drip(stream, Decoder(limit=100))


def drip(stream: bytes, decoder: Decoder) -> None:
    for at in range(len(stream)):
        decoder.feed(stream[at : at + 1])


def test_the_limit_counts_each_event_and_no_comment() -> None:
    decoder = Decoder(limit=100)
    for _ in range(50):
        decoder.feed(b": keep-alive\n")
        assert decoder.feed(b"data: " + b"x" * 60 + b"\n\n") == [Event(b"x" * 60)]


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_an_id_or_a_name_cannot_forge_another_field(bad: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        encode(b"x", event_id=bad)
    with pytest.raises(ValueError, match="one line"):
        encode(b"x", name=bad)


def test_a_comment_cannot_become_an_event() -> None:
    assert decode(comment("x\n\ndata: forged\u2028data: too\n\n")) == []
