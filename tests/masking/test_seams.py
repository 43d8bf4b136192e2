"""Values split over text blocks and over the notes of a stream."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from masking.detectors import DETECTORS
from masking.engine import Engine
from masking.rules import MaskingRule
from masking.seams import Note, Waiting, open_from

MASKER = Engine([MaskingRule(name="all", detectors=tuple(sorted(DETECTORS)))], hash_key=b"0123456789abcdef").masker(
    "c", None
)
VALUES = {
    "credit_card": "5105 1051 0510 5100",
    "email": "ada.lovelace@mail.example.org",
    "api_key": "AKIA" + "QX3PZ7LMN4RTV2WB",
    "iban": "DE89 3704 0044 0532 0130 00",
    "us_ssn": "219-09-9999",
    "password": "password=Hunter2-planted",
    "private_key": "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkqhkiG\n9w0BAQEFAASC\n-----END PRIVATE KEY-----",
}


def message(*texts: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text} for text in texts]}}


def shown(content: dict[str, Any]) -> list[str]:
    masked = MASKER.json(json.dumps(content).encode())
    return [block["text"] for block in json.loads(masked.body)["result"]["content"]]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_split_anywhere_over_blocks_is_hidden(name: str) -> None:
    value = VALUES[name]
    for at in range(1, len(value)):
        said = "".join(shown(message(f"see {value[:at]}", f"{value[at:]} please")))
        assert value not in said, (at, said)
        assert said.startswith("see"), said
        assert said.endswith("please"), said


@given(st.lists(st.integers(1, 18), min_size=2, max_size=5, unique=True))
def test_it_may_be_split_more_than_once(cuts: list[int]) -> None:
    value = VALUES["credit_card"]
    edges = [0, *sorted(cuts), len(value)]
    parts = [value[first:last] for first, last in pairwise(edges)]
    assert value not in "".join(shown(message("x ", *parts, " y")))


def test_blocks_that_merely_touch_stay_as_they_are() -> None:
    untouched = ["Total", "ada@example.com", "Regards", "item 12", "3456 pieces", "-", "219"]
    assert shown(message(*untouched)) == ["Total", "[email]", "Regards", "item 12", "3456 pieces", "-", "219"]
    clean = json.dumps(message("a", "b", "c")).encode()
    assert MASKER.json(clean).body is clean


def test_messages_contents_and_long_texts_have_seams_too() -> None:
    key = VALUES["api_key"]
    turns = [{"role": "user", "content": {"type": "text", "text": text}} for text in (f"a {key[:9]}", f"{key[9:]} b")]
    contents = [{"uri": "x", "text": text} for text in ("é" * 10_000 + key[:9], key[9:] + "ü" * 10_000)]
    for result in (
        {"messages": turns},
        {"contents": contents},
        {"result": {"content": message(key[:9], key[9:])["result"]["content"]}},
    ):
        masked = MASKER.json(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode())
        assert masked.hits == {"api_key": 1}
        assert key[9:].encode() not in masked.body


def notes(*texts: str, method: str = "progress") -> list[tuple[bytes, Any]]:
    member = "message" if method == "progress" else "data"
    made = [
        {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": {"progressToken": 1, member: one}}
        for one in texts
    ]
    return [(json.dumps(one).encode(), one) for one in made]


def heard(found: tuple[list[Note], Any], member: str = "message") -> list[str]:
    masked = MASKER.stream(*found)
    return [json.loads(one.body)["params"].get(member) for one in masked]


@pytest.mark.parametrize("method", ["progress", "message"])
@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_split_over_notes_is_hidden(name: str, method: str) -> None:
    value, member = VALUES[name], "message" if method == "progress" else "data"
    for at in range(1, len(value)):
        waiting = Waiting()
        said: list[str] = []
        for note in notes(f"see {value[:at]}", f"{value[at:]} please", "done", method=method):
            said += heard(waiting.take([note]), member)
        said += heard(waiting.take([], ends=True), member)
        assert value not in "".join(said), (at, said)
        assert said[-1] == "done"


def test_ordinary_notes_pass_at_once_and_in_order() -> None:
    waiting = Waiting()
    for text in ("step 1 of 20", "42 %", "order 20931 packed", "done.", "café"):
        assert heard(waiting.take(notes(text))) == [text]
    # Of a counter that may be the beginning of something one waits, never more.
    assert waiting.take(notes("row 1234567"))[0] == []
    assert heard(waiting.take(notes("row 1234568"))) == ["row 1234567"]
    other = notes("other channel", method="message")
    assert waiting.take(other)[0] == []
    assert heard(waiting.take(notes("row ten")))[:1] == ["row 1234568"]
    assert waiting.take([], ends=True)[0] == []


def test_no_stream_is_kept_back_without_end() -> None:
    waiting = Waiting()
    ready = [waiting.take(notes("-----BEGIN PRIVATE KEY-----" if not at else "MIIB" * 16)) for at in range(80)]
    assert sum(map(len, ready)) > 60


@pytest.mark.parametrize("text", ["", "hello", "a@", "x 12345", "100%", "no password here.", "v1.2.3"])
def test_ends_that_begin_nothing(text: str) -> None:
    assert open_from(text) is None or text == "a@"
