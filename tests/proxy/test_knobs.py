"""What a caller may ask for beside the call, in header fields and in `_meta`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import knobs
from proxy.envelope import Rejection

WAITS = {
    "wait=30": 30,
    "Wait=0": 0,
    "respond-async, wait=10": 10,
    "respond-async;x=1, wait=10; strict": 10,
    'wait="15"': 15,
    "wait = 5": 5,
    "handling=lenient,wait=2,return=minimal": 2,
    'note="a, wait=9", wait=3': 3,
    "wait=": None,
    "wait": None,
    "wait=-1": None,
    "wait=1.5": None,
    "wait=ten": None,
    "wait=1, wait=2": None,
    "wait=1, wait=1": None,
    "wait=99999999999": None,
    "x-wait=4": None,
    'broken="x, wait=4': None,
    "": None,
    ",": None,
}


@pytest.mark.parametrize(("value", "seconds"), WAITS.items())
def test_prefer_wait_is_read_as_rfc_7240_says_and_ignored_when_malformed(value: str, seconds: float | None) -> None:
    assert knobs.read([(b"prefer", value.encode())], {}) == knobs.Knobs(wait=seconds)


def test_a_wait_repeated_over_two_fields_is_ignored() -> None:
    assert knobs.read([(b"Prefer", b"wait=1"), (b"prefer", b"wait=2")], {}) == knobs.Knobs(wait=None)
    assert knobs.read([(b"Prefer", b"respond-async"), (b"prefer", b"wait=2")], {}) == knobs.Knobs(wait=2)


def test_header_fields_and_meta_say_the_same_things() -> None:
    headers = [
        (b"Idempotency-Key", b"k-1"),
        (b"holdgate-approval", b"a-1"),
        (b"holdgate-reason", "Schlüssel gedreht".encode()),
        (b"holdgate-run", b"run 7"),
        (b"prefer", b"wait=7"),
    ]
    meta = {
        "holdgate/idempotency-key": "k-1",
        "holdgate/approval": {"id": "a-1", "status": "pending"},
        "holdgate/reason": "Schlüssel gedreht",
        "holdgate/run": "run 7",
        "holdgate/wait": 7,
    }
    expected = knobs.Knobs(wait=7, idempotency_key="k-1", approval="a-1", reason="Schlüssel gedreht", run="run 7")
    assert knobs.read(headers, {}) == expected
    assert knobs.read([], meta) == expected


def test_meta_speaks_for_one_message_and_wins() -> None:
    read = knobs.read([(b"holdgate-reason", b"all")], {"holdgate/reason": "this one"})
    assert read == knobs.Knobs(reason="this one")


def test_control_characters_become_spaces_and_an_empty_text_is_none() -> None:
    assert knobs.read([], {"holdgate/reason": "a\r\nb\x00", "holdgate/run": " \t "}) == knobs.Knobs(reason="a b")


def test_a_latin_1_header_is_read_as_such() -> None:
    assert knobs.read([(b"holdgate-reason", b"caf\xe9")], {}) == knobs.Knobs(reason="café")


BAD: dict[str, tuple[list[tuple[bytes, bytes]], dict[str, Any]]] = {
    "two keys": ([(b"idempotency-key", b"a"), (b"Idempotency-Key", b"b")], {}),
    "a long key": ([(b"idempotency-key", b"a" * 256)], {}),
    "a number for a key": ([], {"holdgate/idempotency-key": 5}),
    "a number for a reason": ([], {"holdgate/reason": 5}),
    "a list for an approval": ([], {"holdgate/approval": ["a"]}),
    "a long reason": ([], {"holdgate/reason": "x" * 2001}),
}


@pytest.mark.parametrize(("headers", "meta"), BAD.values(), ids=BAD.keys())
def test_any_other_malformed_knob_is_refused_rather_than_dropped(headers: Any, meta: Any) -> None:
    rejection = knobs.read(headers, meta)
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400


@given(st.binary(max_size=100))
def test_any_prefer_gives_a_wait_or_none(value: bytes) -> None:
    read = knobs.read([(b"prefer", value)], {})
    assert isinstance(read, knobs.Knobs)
