"""What differs between two calls, line by line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.argument_diff import MOST_CHARACTERS, compare


def shown(earlier: Any, later: Any) -> list[tuple[str, str]]:
    lines = compare(json.dumps(earlier), json.dumps(later)).lines
    return [(line.kind, "".join(piece.text for piece in line.text)) for line in lines]


def test_a_changed_line_of_a_statement_stands_alone() -> None:
    assert shown({"sql": "DELETE FROM a\nWHERE id = 1"}, {"sql": "DELETE FROM a\nWHERE id = 2"}) == [
        ("same", "sql: DELETE FROM a"),
        ("gone", "  WHERE id = 1"),
        ("new", "  WHERE id = 2"),
    ]


def test_the_order_of_members_is_no_difference() -> None:
    assert compare('{"a": 1, "b": {"c": 2}}', '{"b": {"c": 2}, "a": 1}').is_same


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1e2", "100"), ('"1"', "1"), ("{}", "[]"), ("null", '""')])
def test_spellings_of_values_are_compared_as_they_came(one: str, other: str) -> None:
    same = compare(f'{{"a": {one}}}', f'{{"a": {other}}}').is_same

    assert same == (one == '"1"')  # a text that spells a number looks the same; its type is told above


def test_what_is_equal_and_far_away_is_counted() -> None:
    many = {f"k{number:02}": number for number in range(20)}

    lines = shown(many, {**many, "k10": 99})

    assert lines[0] == ("skip", "7 equal lines")
    assert lines[-1] == ("skip", "6 equal lines")
    assert [line for line in lines if line[0] in {"gone", "new"}] == [("gone", "k10: 10"), ("new", "k10: 99")]


def test_what_is_invisible_is_shown_in_a_comparison_too() -> None:
    assert ("new", "a: xU+200By") in shown({"a": "xy"}, {"a": "x\u200by"})


@pytest.mark.parametrize("document", ["x" * MOST_CHARACTERS, json.dumps(["a"] * 3000)])
def test_what_is_too_long_is_not_compared(document: str) -> None:
    assert compare(document, document).is_too_long
    assert not compare(document, document).is_same


def test_documents_that_are_no_json_are_compared_as_text() -> None:
    assert not compare("not json", "not json either").is_same
