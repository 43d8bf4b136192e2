"""How names, paths and patterns are compared: look-alike spellings, hostile texts, odd trees."""

from __future__ import annotations

import sys
import time
import unicodedata
from typing import Any

import pytest

from approvals.rules.folding import EvaluationError, fold, plain, text_of
from approvals.rules.matching import Globs, PatternError, search_pattern
from approvals.rules.paths import MOST_VALUES, Arguments, Lookup, Path, PathError


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("query", "query", True),
        ("query", "QUERY", True),
        ("query", "query2", False),
        ("execute_*", "execute_", True),
        ("execute_*", "Execute_SQL", True),
        ("execute_*", "re_execute_x", False),
        ("*", "", True),
        ("d?op", "drop", True),
        ("d?op", "dop", False),
        ("file:///srv/*", "file:///srv/a/b\nc", True),
        ("a.b", "axb", False),
        ("a[bc]", "ab", False),
        ("a[bc]", "A[BC]", True),
        ("drop*", "ｄｒｏｐ_table", True),
        ("drop*", "dr\u200bop_table", True),
        ("drop*", "dr\x00op", True),
        ("straße", "STRASSE", True),
        ("＊", "anything", False),
        ("dro\u200bp", "drop", True),
    ],
)
def test_a_glob_fits_the_whole_name_whatever_its_case_and_spelling(glob: str, name: str, fits: bool) -> None:
    assert Globs([glob]).match(fold(name)) is fits
    assert Globs(["never", glob, "nev?r"]).match(fold(name)) is fits


def test_no_control_character_of_all_unicode_survives_folding() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in ("Cc", "Cf"):
            assert fold(character) == ""
            assert plain(character) == (character if character in "\t\n\v\f\r" else "")


def test_a_name_of_endless_combining_marks_is_refused_instead_of_normalised() -> None:
    hostile = "a" + "\u0301\u0316" * 250_000
    started = time.perf_counter()
    for comparing in (fold, text_of):
        with pytest.raises(EvaluationError):
            comparing(hostile)
    assert time.perf_counter() - started < 1
    assert fold("a" + "\u0301" * 30)


def test_a_text_keeps_white_space_and_loses_what_is_invisible() -> None:
    text = text_of("ＤＲＯＰ\n\tta\u200bble\x00\u00ad")
    assert text.plain == b"DROP\n\ttable"
    assert text.raw == "ＤＲＯＰ\n\tta\u200bble\x00\u00ad".encode()
    plain_already = text_of("drop table")
    assert plain_already.raw is plain_already.plain
    with pytest.raises(EvaluationError):
        text_of("\ud800")


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{2000}", "\ud800", "[z-a]"])
def test_a_pattern_that_re2_does_not_take_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"\S"):
        search_pattern(pattern)


TREE: dict[str, Any] = {
    "a": {"b": 1, "c": [{"b": 2}, {"b": [3, {"b": 4}]}, "x"]},
    "B": "y",
    "list": [["p", "q"], ["r"]],
    "n": None,
    "deep": {"a": {"a": {"s": "z"}}},
}


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("a.b", [1]),
        ("A.B", [1]),
        ("b", ["y"]),
        ("a.c[*].b", [2, [3, {"b": 4}]]),
        ("a.c.b", []),
        ("list[*][*]", ["p", "q", "r"]),
        ("list[*]", [["p", "q"], ["r"]]),
        ("*.b", [1]),
        ("a.*", [1, TREE["a"]["c"]]),
        ("n", [None]),
        ("missing", []),
        ("n.x", []),
        ("B.x", []),
        ("deep.**", ["z"]),
        ("**.s", ["z"]),
        ("**.a.**.s", ["z"]),
    ],
)
def test_a_path_finds_its_values(path: str, values: list[Any]) -> None:
    assert Arguments(TREE).values(Lookup(Path.parse(path))) == values


def test_any_depth_includes_the_top_and_finds_everything_once() -> None:
    found = Arguments(TREE).values(Lookup(Path.parse("**.b")))
    assert sorted(map(str, found)) == ["1", "2", "4", "[3, {'b': 4}]", "y"]
    assert sorted(Arguments(TREE).values(Lookup(Path.parse("**")))) == ["p", "q", "r", "x", "y", "z"]


def test_exact_lookups_do_not_fold_names() -> None:
    assert Arguments(TREE).values(Lookup(Path.parse("b"), exact=True)) == []
    assert Arguments({"sq\u200bl": 1, "SQL": 2}).values(Lookup(Path.parse("sql"))) == [1, 2]


def test_names_of_members_are_strings_where_they_are_asked_for() -> None:
    assert Arguments({"k": {"l": "v"}}).values(Lookup(Path.parse("**"), names=True)) == ["k", "l", "v"]


@pytest.mark.parametrize("arguments", [None, [], "text", 5, True])
def test_arguments_that_are_no_object_have_no_members(arguments: Any) -> None:
    assert Arguments(arguments).values(Lookup(Path.parse("a"))) == []


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a[0]", "a[", "a]", "a*", "***", "[]", "x" * 501])
def test_a_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathError):
        Path.parse(text)


@pytest.mark.parametrize(
    "arguments",
    [
        {"xs": ["a"] * (MOST_VALUES + 1)},
        {"xs": [[]] * (MOST_VALUES + 1)},
        {"xs": {str(index): 0 for index in range(MOST_VALUES + 1)}},
    ],
)
def test_more_values_than_can_be_examined_is_an_error_and_not_a_miss(arguments: Any) -> None:
    one = Arguments(arguments)
    for _ in range(3):
        with pytest.raises(EvaluationError):
            one.values(Lookup(Path.parse("**.b")))
