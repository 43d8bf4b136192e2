"""What is kept of a verdict: which rules spoke and where, never what stood there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from approvals.config.loader import load
from approvals.policy import Policy
from approvals.rules.judged import LONGEST_PLACE, MOST_PLACES, Judged, as_json, read, told_of
from approvals.verdicts import Call, Caller
from tests.blocks import one_dba, spelled_out

CALLER = Caller(iss="i", sub="s", kind="person", groups=frozenset({"g"}))
HOLD = {"action": "hold", "approval": one_dba()}


def policy(*rules: dict[str, Any]) -> Policy:
    connection = {"url": "http://a/mcp", "default": "allow", "sql_dialect": "postgres"}
    document = spelled_out(
        version=1,
        groups={"dba": {"members": ["a@example.com"]}},
        connections={"db": {**connection, "access": [{"groups": ["g"], "tools": ["*"]}]}},
        detectors=[{"name": "order-number", "pattern": "ORD-[0-9]+"}],
        rules=[{"name": f"rule-{at}", **rule} for at, rule in enumerate(rules)],
    )
    return Policy.compile(load(yaml.safe_dump(document)), revision=7, digest="d")


def judged(found: Policy, arguments: Any) -> Judged | None:
    return found.judged(Call(caller=CALLER, connection="db", method="tools/call", name="query", arguments=arguments))[1]


def places(rule: dict[str, Any], arguments: Any) -> list[tuple[str, ...]]:
    found = judged(policy(rule), arguments)
    assert found is not None
    (spoke,) = found.rules
    return [met.places for met in spoke.met]


def looks(*conditions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**HOLD, "match": {"arguments": list(conditions)}, **more}


def test_nothing_is_kept_where_no_rule_spoke() -> None:
    found = policy(looks({"path": "sql", "matches": "drop"}))

    assert judged(found, {"sql": "select 1"}) is None
    assert found.rules_read == 1


def test_all_rules_that_spoke_are_kept_with_what_they_are() -> None:
    found = judged(
        policy(
            looks({"path": "sql", "matches": "drop"}),
            looks({"path": "sql", "sql_kind": ["ddl"]}, mode="observe"),
            {"action": "allow", "match": {"tools": ["query"]}},
            {"action": "deny", "match": {"tools": ["other"]}},
        ),
        {"sql": "drop table x"},
    )

    assert found is not None
    assert (found.revision, found.digest, found.read) == (7, "d", 4)
    assert [(one.rule, one.action, one.observes) for one in found.rules] == [
        ("rule-0", "hold", False),
        ("rule-2", "allow", False),
        ("rule-1", "hold", True),
    ]
    assert [[met.path for met in one.met] for one in found.rules] == [["sql"], [], ["sql"]]


@pytest.mark.parametrize(
    ("condition", "arguments", "at"),
    [
        ({"path": "sql", "matches": "x"}, {"sql": "x"}, ("sql",)),
        ({"path": "SQL", "matches": "x"}, {"sql": "x"}, ("sql",)),
        ({"path": "a[*].b", "equals": "5"}, {"a": [{"b": 4}, {"b": 5}]}, ("a[1].b",)),
        ({"path": "**", "contains_text": "prod"}, {"a": ["x", {"b": "PROD"}], "c": "y"}, ("a[1].b",)),
        ({"path": "**", "matches": "drop"}, {"drop": "x"}, ()),
        ({"path": "*.n", "gt": "3"}, {"x": {"n": 2}, "y": {"n": "7"}, "z": {"n": "?"}}, ("y.n", "z.n")),
        ({"path": "dry", "absent": True}, {"x": 1}, ()),
        ({"path": "env", "equals_not": "test"}, {}, ()),
        ({"path": "env", "equals_not": "test"}, {"env": "prod"}, ("env",)),
        ({"path": "to[*]", "matches_not": "^a"}, {"to": ["a", "b", 3]}, ("to[1]", "to[2]")),
        ({"path": "sql[*]", "sql_kind_not": ["read"]}, {"sql": ["select 1", "delete x"]}, ("sql[1]",)),
        ({"path": "to[*]", "contains": ["email"]}, {"to": ["me", "a@example.com"]}, ("to[1]",)),
        ({"path": "to[*]", "contains": ["order-number"]}, {"to": ["me", "ORD-7"]}, ("to[1]",)),
        ({"path": "**", "contains": ["email"]}, {"to": ["me", "a@example.com"]}, ("to[1]",)),
    ],
)
def test_the_places_of_what_met_a_condition(condition: dict[str, Any], arguments: Any, at: tuple[str, ...]) -> None:
    assert places(looks(condition), arguments) == [at]


def test_a_right_rests_on_every_value() -> None:
    rule = {"action": "allow", "match": {"arguments": [{"path": "to[*]", "matches": "^a"}]}}

    assert places(rule, {"to": ["a1", "a2"]}) == [("to[0]", "to[1]")]


def test_it_is_bounded() -> None:
    many = {"a": ["x"] * 1000, "b" * 1000: "y"}

    assert len(places(looks({"path": "a[*]", "matches": "x"}), many)[0]) == MOST_PLACES
    (at,) = places(looks({"path": "*", "matches": "y"}), many)[0]
    assert at == "*"
    assert len(at) <= LONGEST_PLACE


def test_no_value_is_kept_and_names_of_callers_are_masked() -> None:
    found = judged(policy(looks({"path": "**", "matches": "canary"})), {"a@example.com": "canary-1", "b": "canary-2"})
    assert found is not None
    written = orjson.dumps(found.document(lambda text: text.replace("a@example.com", "[email]")))

    assert b"canary-" not in written
    assert b"a@example.com" not in written
    kept = read(written)
    assert kept is not None
    assert kept.rules[0].met[0].places == ('"[email]"', "b")


@pytest.mark.parametrize(
    "body", [None, b"", b"null", b"[]", b'{"rules": 3}', b'{"revision": 1, "digest": "", "rules": []}']
)
def test_what_cannot_be_read_is_nothing(body: bytes | None) -> None:
    assert read(body) is None


def test_it_is_told_in_words_with_what_stands_there_for_who_may_see_it() -> None:
    found = policy(looks({"path": "sql", "matches": "drop"}))
    kept, rules = judged(found, {"sql": "drop x"}), {rule.name: rule for rule in found.config.in_force.rules}

    (told,) = told_of(kept, rules, {"sql": "drop [masked]"}, with_places=True)
    assert [(one.path, one.says, one.operand) for one in told.findings] == [("sql", "matches", "drop")]
    assert [(place.name, place.quoted) for place in told.findings[0].places] == [("sql", "drop [masked]")]
    (hidden,) = told_of(kept, rules, None, with_places=False)
    assert hidden.findings[0].places == ()
    (unknown,) = told_of(kept, {}, None, with_places=True)
    assert [(one.path, one.says) for one in unknown.findings] == [("sql", "")]
    assert kept is not None
    assert as_json(kept, with_places=True)["rules"][0]["met"] == [{"path": "sql", "at": ["sql"]}]
    assert as_json(kept, with_places=False)["rules"][0]["met"] == [{"path": "sql"}]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text("abAB9", max_size=6),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abC"), below, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["a", "a.b", "*", "a[*]", "**.b"]),
    st.sampled_from([{"matches": "b"}, {"contains_text": "AB"}, {"equals": "9"}, {"one_of": ["a", "b"]}, {"gt": "4"}]),
)
def test_a_positive_condition_that_was_met_has_a_place(arguments: Any, path: str, operator: dict[str, Any]) -> None:
    found = judged(policy(looks({"path": path, **operator})), {"a": arguments})

    if found is not None:
        assert found.rules[0].met[0].places
