"""Each operator of `arguments`, in rules that deny and that allow: present, missing, of another type."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.config.schema import Config
from approvals.policy import Allow, Call, Caller, Policy

ME = Caller(iss="https://id", sub="me", kind="person", groups=frozenset({"corp/all"}), issuer="corp")


def matches(action: str, condition: dict[str, Any], arguments: Any) -> bool:
    """Tell whether a rule with this one condition speaks of a call with these arguments."""
    config = Config.model_validate(
        {
            "connections": {"c": {"url": "http://c", "access": [{"groups": ["corp/all"]}], "default": "allow"}},
            "rules": [{"name": "r", "action": action, "match": {"arguments": [condition]}}],
        }
    )
    call = Call(caller=ME, connection="c", method="tools/call", name="t", arguments=arguments)
    return Policy.compile(config).judge(call).rules == ("r",)


SQL = {"path": "sql", "matches": r"(?i)\bdrop\b"}
NOT_SELECT = {"path": "sql", "matches_not": "^SELECT "}
LISTS: dict[str, Any] = {"path": "xs[*]", "matches": "^safe"}
NOT_LISTS: dict[str, Any] = {"path": "xs[*]", "matches_not": "^safe"}


@pytest.mark.parametrize(
    ("condition", "arguments", "denies", "allows"),
    [
        # matches: RE2 search; false where missing or no string
        (SQL, {"sql": "x DROP y"}, True, True),
        (SQL, {"sql": "dropped"}, False, False),
        (SQL, {}, False, False),
        (SQL, None, False, False),
        (SQL, {"sql": 5}, False, False),
        (SQL, {"sql": ["drop"]}, False, False),
        (SQL, {"SQL": "drop"}, True, False),
        (SQL, {"s\u200bql": "drop"}, True, False),
        (SQL, {"sql": "ＤＲＯＰ x"}, True, False),
        (SQL, {"sql": "dr\u00adop"}, True, False),
        (SQL, {"sql": "a\ndrop\nb"}, True, True),
        (SQL, {"sql": "\ud800"}, True, False),
        (LISTS, {"xs": ["safe1", "other"]}, True, False),
        (LISTS, {"xs": ["safe1", 5]}, True, False),
        (LISTS, {"xs": ["safe1", "safe2"]}, True, True),
        (LISTS, {"xs": []}, False, False),
        # matches_not: true where missing or no string
        (NOT_SELECT, {"sql": "SELECT 1"}, False, False),
        (NOT_SELECT, {"sql": "DROP"}, True, True),
        (NOT_SELECT, {}, True, True),
        (NOT_SELECT, {"sql": None}, True, True),
        (NOT_SELECT, {"sql": 5}, True, True),
        (NOT_SELECT, {"sql": "ＳＥＬＥＣＴ 1"}, True, False),
        (NOT_SELECT, {"sql": "\ud800"}, True, False),
        (NOT_LISTS, {"xs": ["safe1", "other"]}, True, False),
        (NOT_LISTS, {"xs": ["safe1"]}, False, False),
        (NOT_LISTS, {"xs": ["other"]}, True, True),
        # any string anywhere
        ({"path": "**", "matches": "mkfs"}, {"a": [{"b": "x mkfs"}], "c": ""}, True, False),
        ({"path": "**", "matches": "mkfs"}, {"a": ["mkfs"]}, True, True),
        ({"path": "**", "matches": "mkfs"}, {"env": {"mkfs": 1}}, True, False),
        ({"path": "**", "matches_not": "^[a-z]+$"}, {"Upper": "lower"}, False, False),
        # equals: strings exactly where a rule allows; numbers and words by what they are
        ({"path": "e", "equals": "prod"}, {"e": "prod"}, True, True),
        ({"path": "e", "equals": "prod"}, {"e": "Prod"}, True, False),
        ({"path": "e", "equals": "prod"}, {"e": "production"}, False, False),
        ({"path": "e", "equals": "prod"}, {}, False, False),
        ({"path": "e", "equals": "prod"}, {"e": ["prod"]}, False, False),
        ({"path": "e", "equals": "5"}, {"e": 5}, True, True),
        ({"path": "e", "equals": "5"}, {"e": 5.0}, True, True),
        ({"path": "e", "equals": "5"}, {"e": "5"}, True, True),
        ({"path": "e", "equals": "0.1"}, {"e": 0.1}, True, True),
        ({"path": "e", "equals": "1"}, {"e": True}, False, False),
        ({"path": "e", "equals": "true"}, {"e": True}, True, True),
        ({"path": "e", "equals": "null"}, {"e": None}, True, True),
        ({"path": "e", "equals": "1e999"}, {"e": 10**399}, False, False),
        ({"path": "e", "equals_not": "prod"}, {"e": "prod"}, False, False),
        ({"path": "e", "equals_not": "prod"}, {"e": "PROD"}, True, False),
        ({"path": "e", "equals_not": "prod"}, {"e": "dev"}, True, True),
        ({"path": "e", "equals_not": "prod"}, {}, True, True),
        ({"path": "e", "equals_not": "5"}, {"e": 5}, False, False),
        ({"path": "e[*]", "equals_not": "a"}, {"e": ["a", "b"]}, True, False),
        # one_of
        ({"path": "e", "one_of": ["a", "7"]}, {"e": 7}, True, True),
        ({"path": "e", "one_of": ["a", "7"]}, {"e": "b"}, False, False),
        ({"path": "e", "one_of_not": ["a", "7"]}, {"e": "a"}, False, False),
        ({"path": "e", "one_of_not": ["a", "7"]}, {"e": {}}, True, True),
        # contains_text
        ({"path": "t", "contains_text": "a.b("}, {"t": "x a.b( y"}, True, True),
        ({"path": "t", "contains_text": "a.b("}, {"t": "x A.B( y"}, True, False),
        ({"path": "t", "contains_text": "a.b("}, {"t": "x a-b( y"}, False, False),
        ({"path": "t", "contains_text": "a"}, {"t": 5}, False, False),
        ({"path": "t", "contains_text_not": "ok"}, {"t": "not ok"}, False, False),
        ({"path": "t", "contains_text_not": "ok"}, {"t": "OK"}, True, False),
        ({"path": "t", "contains_text_not": "ok"}, {}, True, True),
        # comparisons: what is no number cannot be decided
        ({"path": "n", "gt": "10"}, {"n": 11}, True, True),
        ({"path": "n", "gt": "10"}, {"n": 10}, False, False),
        ({"path": "n", "gte": "10", "lt": "20"}, {"n": 10}, True, True),
        ({"path": "n", "gte": "10", "lt": "20"}, {"n": 20}, False, False),
        ({"path": "n", "lte": "0.1"}, {"n": 0.1}, True, True),
        ({"path": "n", "gt": "10"}, {"n": 10**399}, True, True),
        ({"path": "n", "gt": "10"}, {"n": "11"}, True, False),
        ({"path": "n", "gt": "10"}, {"n": "9"}, False, False),
        ({"path": "n", "gt": "10"}, {"n": "eleven"}, True, False),
        ({"path": "n", "gt": "10"}, {"n": None}, True, False),
        ({"path": "n", "gt": "10"}, {"n": True}, True, False),
        ({"path": "n", "gt": "10"}, {"n": [11]}, True, False),
        ({"path": "n", "gt": "10"}, {}, False, False),
        # exists and absent: null is read to the stricter side
        ({"path": "f", "exists": True}, {"f": 0}, True, True),
        ({"path": "f", "exists": True}, {"f": None}, True, False),
        ({"path": "f", "exists": True}, {}, False, False),
        ({"path": "f", "absent": True}, {}, True, True),
        ({"path": "f", "absent": True}, {"f": None}, True, False),
        ({"path": "f", "absent": True}, {"f": ""}, False, False),
    ],
)
def test_what_an_operator_says_of_a_value(
    condition: dict[str, Any], arguments: Any, denies: bool, allows: bool
) -> None:
    assert matches("deny", condition, arguments) is denies
    assert matches("allow", condition, arguments) is allows


def test_holding_reads_like_denying() -> None:
    config = Config.model_validate(
        {
            "connections": {"c": {"url": "http://c", "access": [{"groups": ["corp/all"]}], "default": "allow"}},
            "rules": [
                {
                    "name": "r",
                    "action": "hold",
                    "match": {"arguments": [NOT_SELECT]},
                    "approval": {"require": {"any_of": [{"groups": ["dba"]}]}},
                }
            ],
        }
    )
    policy = Policy.compile(config)
    call = Call(caller=ME, connection="c", method="tools/call", name="t", arguments={"SQL": "SELECT 1"})
    assert isinstance(policy.judge(call), Allow)
    assert not isinstance(policy.judge(Call(caller=ME, connection="c", method="tools/call", name="t")), Allow)


def test_an_undecidable_condition_does_not_outweigh_one_that_is_false() -> None:
    conditions: list[dict[str, Any]] = [{"path": "n", "gt": "10"}, {"path": "e", "equals": "prod"}]
    for order in (conditions, conditions[::-1]):
        config = Config.model_validate(
            {
                "connections": {"c": {"url": "http://c", "access": [{"groups": ["corp/all"]}], "default": "allow"}},
                "rules": [{"name": "r", "action": "deny", "match": {"arguments": order}}],
            }
        )
        call = Call(caller=ME, connection="c", method="tools/call", name="t", arguments={"n": "?", "e": "dev"})
        assert isinstance(Policy.compile(config).judge(call), Allow)


def test_patterns_asked_together_answer_as_they_do_alone() -> None:
    patterns = [
        r"(?i)drop",
        "x|y",
        "^a",
        "b$",
        r"\Qc(d",
        r"\Qe\E",
        "(?P<n>f)",
        "(?P<n>g)",
        "",
        r"\bh\b",
        "(?s)i.j",
    ]
    texts = ["", "DROP", "y", "za", "a", "zb", "c(d", "e", "f", "g", "h", "i\nj", "k", "(?:", "c(d)|(?:x"]
    patterns = [pattern for pattern in patterns if pattern]
    rules = [
        {"name": f"r{index}", "action": "deny", "match": {"arguments": [{"path": "t", "matches": pattern}]}}
        for index, pattern in enumerate(patterns)
    ]
    config = {"connections": {"c": {"url": "http://c", "access": [{"groups": ["corp/all"]}], "default": "allow"}}}
    together = Policy.compile(Config.model_validate({**config, "rules": rules}))
    for text in texts:
        call = Call(caller=ME, connection="c", method="tools/call", name="t", arguments={"t": text})
        alone = [Policy.compile(Config.model_validate({**config, "rules": [rule]})).judge(call).rules for rule in rules]
        assert together.judge(call).rules == tuple(sorted(name for names in alone for name in names))
