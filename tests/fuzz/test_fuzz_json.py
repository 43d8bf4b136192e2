"""Fuzzing the strict reader: it takes exactly what the oracle takes, and costs no more than the body is long."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given

from proxy import strictjson
from tests.fuzz import oracle
from tests.fuzz.material import ALIKE, BODIES, VALUES


def read(body: bytes) -> tuple[bool, Any]:
    """Return whether the reader takes a body, and what it reads; another exception than its own ends the test."""
    try:
        return True, strictjson.parse(body)
    except strictjson.BadJson:
        return False, None


def expected(body: bytes) -> tuple[bool, Any]:
    try:
        return True, oracle.strict(body)
    except oracle.Refused:
        return False, None


@given(BODIES)
@example(b"[" * 64 + b"]" * 64)
@example(b'{"k":1,"\xe2\x84\xaa":2}')
@example(b"-0")
def test_the_reader_takes_what_the_oracle_takes_and_nothing_else(body: bytes) -> None:
    assert read(body) == expected(body)


@pytest.mark.parametrize("name", ALIKE, ids=ascii)
def test_every_pair_of_names_is_told_apart_as_the_oracle_does(name: str) -> None:
    for other in ALIKE:
        body = f'[{{"{name}":1,"{other}":2}}]'.encode()
        assert read(body) == expected(body)


@given(BODIES)
def test_what_was_read_is_spelled_once_and_read_again(body: bytes) -> None:
    taken, value = read(body)
    if taken:
        spelled = strictjson.canonical(value)
        assert strictjson.canonical(strictjson.parse(spelled)) == spelled


@given(BODIES)
def test_elements_are_those_of_the_array_in_their_own_bytes(body: bytes) -> None:
    taken, value = read(body)
    try:
        found = strictjson.elements(body)
    except strictjson.BadJson:
        assert not taken or not isinstance(value, list)
        return
    assert [one for one, _ in found] == value
    assert [oracle.strict(raw) for _, raw in found] == value
    assert all(raw in body for _, raw in found)


@given(VALUES)
def test_the_fold_of_a_name_is_that_of_the_oracle(value: Any) -> None:
    for name in value if isinstance(value, dict) else []:
        assert strictjson.fold(name) == strictjson.fold(strictjson.fold(name))
        assert (strictjson.fold(name) == strictjson.fold(name.upper())) == (
            oracle.same_name(name) == oracle.same_name(name.upper())
        )


GROWING = {
    "brackets": lambda size: b"[" * size,
    "quotes": lambda size: b'"' * size,
    "escapes": lambda size: b'"' + b"\\" * size,
    "texts of brackets": lambda size: b'["' + b"[" * size + b'"]',
    "numbers": lambda size: b"[" + b"1," * (size // 2) + b"1]",
    "names": lambda size: json.dumps({f"name{n}": n for n in range(size // 12)}).encode(),
    "names of marks": lambda size: json.dumps({"a" + "\u0301" * (size // 6): 1, "b": 2}).encode(),
    "pairs of surrogates": lambda size: b'["' + b"\\ud83d\\ude00" * (size // 12) + b'"]',
}


def steps(body: bytes) -> int:
    """Return how many lines of Python and calls the reading of a body takes."""
    count = 0

    def traced(_frame: FrameType, _event: str, _argument: Any) -> Any:
        nonlocal count
        count += 1
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        read(body)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("grow", GROWING.values(), ids=GROWING.keys())
def test_four_times_the_body_takes_no_more_than_four_times_the_steps(grow: Any) -> None:
    small, large = grow(5_000), grow(20_000)
    assert steps(large) <= 4.4 * steps(small) + 200
