"""Why a rule matched: which condition found what and where, in arguments that are masked by then."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.config.rules import Rule
from approvals.legible import pieces
from approvals.rules.conditions import Compiler
from approvals.rules.folding import EvaluationError
from approvals.rules.paths import Arguments, Path
from approvals.rules.tracing import MOST_PLACES, Finding, located, scope, trace


def rule(*conditions: dict[str, Any], **match: Any) -> Rule:
    approval = {"require": {"any_of": [{"groups": ["dba"]}]}}
    arguments = {"arguments": list(conditions)} if conditions else {}
    return Rule.model_validate(
        {"name": "r", "action": "hold", "match": {"tools": ["*"], **match, **arguments}, "approval": approval}
    )


def only(condition: dict[str, Any], arguments: Any) -> Finding:
    (finding,) = trace(rule(condition), arguments, dialect="postgres")
    return finding


def quoted(finding: Finding) -> list[tuple[str, str]]:
    return [(place.name, place.quoted) for place in finding.places]


@pytest.mark.parametrize(
    ("condition", "arguments", "found"),
    [
        ({"path": "sql", "matches": r"(?i)\bdelete\b"}, {"sql": "now DELETE it"}, [("sql", "DELETE")]),
        ({"path": "sql", "matches": "é"}, {"sql": "ééé\u2028é"}, [("sql", "é")]),
        ({"path": "SQL", "matches": "x"}, {"sql": "x"}, [("sql", "x")]),
        ({"path": "a.b[*].c", "equals": "5"}, {"a": {"b": [{"c": 4}, {"c": 5}]}}, [("a.b[1].c", "5")]),
        ({"path": "*.n", "gt": "3", "lt": "9"}, {"x": {"n": 2}, "y": {"n": "7"}}, [("y.n", "7")]),
        ({"path": "**", "contains_text": "prod"}, {"a": ["x", {"b": "on PROD-7"}]}, [("a[1].b", "PROD")]),
        ({"path": "force", "exists": True}, {"force": None}, [("force", "null")]),
        ({"path": "mode", "one_of": ["a", "B"]}, {"mode": "b"}, [("mode", "b")]),
        ({"path": "env", "equals_not": "test"}, {"env": "prod"}, [("env", "prod")]),
        ({"path": "env", "matches_not": "^test"}, {"env": "prod-test"}, [("env", "prod-test")]),
        ({"path": "env", "equals_not": "test"}, {}, []),
        ({"path": "dry_run", "absent": True}, {"x": 1}, []),
        ({"path": "a", "matches": "x"}, {"a.b": "x", "a": "x"}, [("a", "x")]),
        ({"path": "sql", "sql_kind": ["ddl"]}, {"sql": "drop x"}, [("sql", "drop x")]),
        ({"path": "sql", "sql_kind_not": ["read"]}, {"sql": "delete x"}, [("sql", "delete x")]),
        ({"path": "sql", "sql_kind_not": ["read"]}, {"sql": "select 1"}, []),
        ({"path": "host", "in_cidr": ["10.0.0.0/8"]}, {"host": "10.1.1.1"}, [("host", "10.1.1.1")]),
        ({"path": "host", "in_cidr": ["10.0.0.0/8"]}, {"host": "db"}, [("host", "db")]),
        ({"path": "file", "inside_not": ["/srv"]}, {"file": "/etc/x"}, [("file", "/etc/x")]),
        ({"path": "note", "longer_than": 3}, {"note": "four"}, [("note", "four")]),
        ({"path": "**", "contains": ["email"]}, {"note": "[email:17 chars]"}, []),
    ],
)
def test_what_a_condition_found_is_quoted_with_its_place(
    condition: dict[str, Any], arguments: Any, found: list[tuple[str, str]]
) -> None:
    assert quoted(only(condition, arguments)) == found


def test_what_is_found_in_a_masked_part_is_said_to_be_hidden() -> None:
    finding = only({"path": "to", "matches": "@"}, {"to": "[email:17 chars]"})

    assert finding.is_hidden


def test_what_is_missing_is_not_called_hidden() -> None:
    assert not only({"path": "where", "absent": True}, {}).is_hidden
    assert not only({"path": "env", "equals_not": "test"}, {}).is_hidden


def test_a_word_that_hides_behind_invisible_characters_is_found_with_all_of_its_text() -> None:
    finding = only({"path": "sql", "matches": "DROP"}, {"sql": "DR\u200bOP x"})

    assert quoted(finding) == [("sql", "DR\u200bOP x")]


def test_a_condition_is_told_in_words() -> None:
    finding = only({"path": "n", "gte": "3", "lt": "9"}, {"n": 4})

    assert (finding.path, finding.says, finding.operand) == ("n", "is at least 3 and is less than 9", "")


def test_arguments_of_any_size_and_shape_are_traced_within_bounds() -> None:
    wide = {"a": [{"b": "x" * 10} for _ in range(20_000)]}

    assert len(only({"path": "**", "matches": "x"}, wide).places) == MOST_PLACES
    assert next(located(Path.parse("a[*].b"), ("", wide))) == ("a[0].b", "x" * 10)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text("abAB.\u200b9", max_size=6),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abC"), below, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["a", "a.b", "*", "a[*]", "**", "a.**", "**.b"]),
    st.sampled_from([{"matches": "b"}, {"contains_text": "AB"}, {"equals": "9"}, {"one_of": ["a", "b"]}, {"gt": "4"}]),
)
def test_a_positive_condition_has_a_place_exactly_when_the_policy_says_that_it_holds(
    arguments: Any, path: str, operator: dict[str, Any]
) -> None:
    condition = rule({"path": path, **operator}).match.arguments
    assert condition is not None
    compiler = Compiler()
    check = compiler.compile(condition[0], narrow=False)
    compiler.finish()
    try:
        holds = check(Arguments(arguments))
    except EvaluationError:
        return  # counts as met; what could not be decided is shown as found
    # The names of members count as strings for the policy, and no page can mark them.
    assert bool(only({"path": path, **operator}, arguments).places) <= holds
    if not path.endswith("**"):
        assert bool(only({"path": path, **operator}, arguments).places) == holds


@given(st.text("a \n\t\u200b\u202eдDELETE", max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_marking_what_was_found_changes_no_other_sign(text: str, spans: list[tuple[int, int]]) -> None:
    """Whatever is marked as found, everything conspicuous stays as conspicuous as it is without."""
    spans = [span for span in spans if span[0] < span[1]]
    marked, plain = pieces(text, sql=True, hits=spans), pieces(text, sql=True)

    assert "".join(piece.text for piece in marked) == "".join(piece.text for piece in plain)
    assert [piece.kind for piece in marked if piece.kind != "plain"] == [p.kind for p in plain if p.kind != "plain"]


def test_a_window_of_time_is_told_in_words() -> None:
    held = rule(time={"zone": "UTC", "days": ["sat"], "hours": {"from": "22:00", "until": "06:00"}})

    assert ("time", "zone: UTC; days: sat; hours: from 22:00 until 06:00") in scope(held)
