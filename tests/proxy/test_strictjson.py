"""What strict JSON refuses, and that the canonical form depends on nothing but the arguments."""

from __future__ import annotations

import json
import pickle
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import strictjson

REFUSED = {
    "invalid UTF-8": b'{"a": "\xff"}',
    "an overlong encoding": b'{"a": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "a duplicate name": b'{"a": 1, "a": 2}',
    "a duplicate name in escapes": b'{"a": 1, "\\u0061": 2}',
    "a duplicate name but for case": b'{"name": "safe", "Name": "drop"}',
    "a duplicate name after NFKC": '{"sql": 1, "ｓｑｌ": 2}'.encode(),
    "a duplicate name after case folding": '{"strasse": 1, "straße": 2}'.encode(),
    "the Kelvin sign": '{"k": 1, "\u212a": 2}'.encode(),
    "the long s": '{"params": 1, "param\u017f": 2}'.encode(),
    "a zero-width space in a name": '{"sql": 1, "s\u200bql": 2}'.encode(),
    "a joiner that hides a composition": '{"\u00e9": 1, "e\u200d\u0301": 2}'.encode(),
    "an escaped control character in a name": b'{"sql": 1, "sql\\u0000": 2}',
    "duplicates deep inside": b'{"a": [{"b": {"c": 1, "C": 2}}]}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[-Infinity]",
    "a number out of range": b"[1e400]",
    "a long integer": b"[" + b"1" * 401 + b"]",
    "a long fraction": b"[0." + b"1" * 400 + b"]",
    "a lone high surrogate": b'["\\ud800"]',
    "a lone low surrogate in a name": b'{"\\uDC00": 1}',
    "surrogates in the wrong order": b'["\\udc00\\ud800"]',
    "trailing data": b'{"a": 1} {"a": 2}',
    "a comma at the end": b'{"a": 1,}',
    "a comment": b'{"a": 1 /* */}',
    "a raw line feed in a string": b'["a\nb"]',
    "a leading zero": b"[01]",
    "a plus sign": b"[+1]",
    "single quotes": b"{'a': 1}",
    "nothing": b"",
    "65 levels": b"[" * 65 + b"]" * 65,
    "65 levels of objects": b'{"a":' * 65 + b"1" + b"}" * 65,
    "65 levels behind a string of brackets": b'["' + b"]" * 99 + b'",' + b"[" * 64 + b"]" * 65,
    "a million open brackets": b"[" * 1_000_000,
    "a million open objects": b'{"a":' * 1_000_000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_two_readers_could_read_differently_is_refused(body: bytes) -> None:
    with pytest.raises(strictjson.BadJson):
        strictjson.parse(body)


TAKEN = {
    "64 levels": b"[" * 64 + b"]" * 64,
    "brackets in strings": b'["' + b"[" * 500 + b'", "\\"' + b"{" * 500 + b'"]',
    "a pair of surrogates": b'["\\ud83d\\ude00"]',
    "an escaped backslash before u": b'["\\\\ud800"]',
    "many siblings": b"[" + b",".join([b"{}"] * 5000) + b"]",
    "400 digits": b"[" + b"1" * 400 + b"]",
    "space around": b' \r\n\t{"a": 1}\n',
    "names that only look alike": '{"a": 1, "а": 2}'.encode(),
}


@pytest.mark.parametrize("body", TAKEN.values(), ids=TAKEN.keys())
def test_what_every_reader_reads_alike_is_taken(body: bytes) -> None:
    assert strictjson.parse(body) == json.loads(body)


@pytest.mark.parametrize("body", [b'["' * 500_000, b'"' + b'\\"' * 1_000_000, b'[["\\' * 300_000, b"[]" * 1_000_000])
def test_hostile_brackets_and_quotes_cost_linear_time(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(strictjson.BadJson):
        strictjson.parse(body)
    assert time.process_time() - began < 1


MANY = {"numbers": b"[" + b"0," * 100_000 + b"0]", "objects": b"[" + b"{}," * 60_000 + b"{}]"}


@pytest.mark.parametrize("body", MANY.values(), ids=MANY.keys())
def test_a_body_of_very_many_values_is_refused_before_it_is_read(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(strictjson.BadJson, match="values"):
        strictjson.parse(body)
    assert time.process_time() - began < 0.1


def test_commas_and_brackets_within_a_text_are_no_values() -> None:
    assert strictjson.parse(json.dumps([",[{" * 100_000]).encode()) == [",[{" * 100_000]


def test_numbers_are_told_apart_by_their_spelling() -> None:
    spellings = [
        "1",
        "1.0",
        "1e0",
        "1E0",
        "10e-1",
        "-0",
        "0",
        "0.0",
        "-0.0",
        "1.00",
        "0.1",
        "0.10000000000000000555",
    ]
    forms = [strictjson.canonical(strictjson.parse(f"[{text}]".encode())) for text in spellings]
    assert forms == [f"[{text}]".encode() for text in spellings]


def test_a_number_keeps_its_spelling_when_it_is_pickled() -> None:
    number = strictjson.parse(b"1.50")
    assert pickle.loads(pickle.dumps(number)).spelling == "1.50"  # noqa: S301 - our own bytes, made on this line
    assert number == 1.5


def test_strings_are_exact_in_the_canonical_form() -> None:
    composed, decomposed = strictjson.canonical("\u00e9"), strictjson.canonical("e\u0301")
    assert composed != decomposed
    assert strictjson.canonical(strictjson.parse(b'"\\u00e9"')) == composed


def test_the_elements_of_an_array_keep_their_own_bytes() -> None:
    body = '\n[ {"a" : 1.0} ,{"b":"],é"}, 3 ]'.encode()
    assert [raw for _, raw in strictjson.elements(body)] == [b'{"a" : 1.0}', '{"b":"],é"}'.encode(), b"3"]
    assert strictjson.elements(b" [ ] ") == []
    with pytest.raises(strictjson.BadJson):
        strictjson.elements(b"{}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def _shuffled(value: Any, seed: int) -> Any:
    if isinstance(value, dict):
        members = list(value.items())
        random.Random(seed).shuffle(members)  # noqa: S311 - an order for a test, not a secret
        return {name: _shuffled(inner, seed + 1) for name, inner in members}
    return [_shuffled(inner, seed + 1) for inner in value] if isinstance(value, list) else value


def _parsed(value: Any, **layout: Any) -> Any:
    try:
        return strictjson.parse(json.dumps(value, **layout).encode())
    except strictjson.BadJson:
        return None  # two generated names that fold alike


@given(VALUES, st.integers())
def test_the_canonical_form_does_not_depend_on_order_or_layout(value: Any, seed: int) -> None:
    one = _parsed(value)
    other = _parsed(_shuffled(value, seed), indent=2, ensure_ascii=False)
    assert strictjson.canonical(one) == strictjson.canonical(other)


@given(VALUES)
def test_the_canonical_form_reads_back_as_the_same_value(value: Any) -> None:
    parsed = _parsed(value)
    assert strictjson.parse(strictjson.canonical(parsed)) == parsed


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else_happens(body: bytes) -> None:
    try:
        value = strictjson.parse(body)
    except strictjson.BadJson:
        return
    assert json.loads(body) == value


@given(VALUES)
def test_depth_is_counted_as_the_tree_has_it(value: Any) -> None:
    def depth(node: Any) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        return 0 if inner is None else 1 + max((depth(child) for child in inner), default=0)

    body, levels = json.dumps(value).encode(), depth(value)
    assert not strictjson.is_deeper(body, levels)
    assert levels == 0 or strictjson.is_deeper(body, levels - 1)


def test_a_name_of_combining_marks_is_refused_before_it_costs_quadratic_time() -> None:
    name = "a" + "\u0301\u0300" * 200_000

    with pytest.raises(strictjson.BadJson, match="combining marks"):
        strictjson.parse(f'{{"{name}": 1, "b": 2}}'.encode())
