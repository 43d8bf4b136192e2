"""Each operator of `arguments`, in rules that deny and that allow: present, missing, of another type."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from approvals.config.schema import Config
from approvals.policy import Allow, Call, Caller, Policy, Verdict

ME = Caller(iss="https://id", sub="me", kind="person", groups=frozenset({"corp/all"}), issuer="corp")


def matches(action: str, condition: dict[str, Any], arguments: Any) -> bool:
    """Tell whether a rule with this one condition speaks of a call with these arguments."""
    config = Config.model_validate(
        {
            "connections": {
                "c": {
                    "url": "http://c",
                    "access": [{"groups": ["corp/all"]}],
                    "default": "allow",
                    "sql_dialect": "postgres",
                }
            },
            "detectors": [{"name": "employee", "pattern": "EMP-[0-9]{6}"}],
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


READS: dict[str, Any] = {"path": "sql", "sql_kind": ["read"]}
NOT_READS: dict[str, Any] = {"path": "sql", "sql_kind_not": ["read"]}
CHANGES: dict[str, Any] = {"path": "sql", "sql_kind": ["ddl", "bulk_write"]}
NO_CHANGES: dict[str, Any] = {"path": "sql", "sql_kind_not": ["ddl", "bulk_write"]}
CARDS: dict[str, Any] = {"path": "**", "contains": ["credit_card", "email"]}
NO_CARDS: dict[str, Any] = {"path": "**", "contains_not": ["credit_card", "email"]}
PASSWORDS: dict[str, Any] = {"path": "**", "contains": "password_assignment"}
OWN = {"path": "**", "contains": ["employee"]}
NEAR: dict[str, Any] = {"path": "host", "in_cidr": ["10.0.0.0/8", "fd00::/8"]}
FAR: dict[str, Any] = {"path": "host", "in_cidr_not": ["10.0.0.0/8", "fd00::/8"]}
INSIDE: dict[str, Any] = {"path": "file", "inside": ["/srv/data", "/srv/more/"]}
OUTSIDE: dict[str, Any] = {"path": "file", "inside_not": ["/srv/data"]}
LONG: dict[str, Any] = {"path": "note", "longer_than": "5"}


@pytest.mark.parametrize(
    ("condition", "arguments", "denies", "allows"),
    [
        # kinds of SQL: one is enough to deny, all must be known to allow
        (READS, {"sql": "SELECT 1"}, True, True),
        (READS, {"sql": "SELECT 1; SELECT 2"}, False, False),
        (READS, {"sql": 5}, False, False),
        (READS, {}, False, False),
        (NOT_READS, {"sql": "SELECT 1"}, False, False),
        (NOT_READS, {"SQL": "SELECT 1"}, False, True),
        (NOT_READS, {"sql": "DELETE FROM x"}, True, True),
        (NOT_READS, {"sql": "who knows"}, True, False),
        (NOT_READS, {"sql": 5}, True, True),
        (NOT_READS, {}, True, True),
        (CHANGES, {"sql": "DELETE FROM x"}, True, False),
        (CHANGES, {"sql": "DROP TABLE x"}, True, True),
        (CHANGES, {"sql": "DO $$ DROP TABLE x $$"}, True, False),
        (CHANGES, {"SQL": "DROP TABLE x"}, True, False),
        (CHANGES, {"sql": "DELETE FROM x WHERE id = 1"}, False, False),
        (NO_CHANGES, {"sql": "DELETE FROM x WHERE id = 1"}, True, True),
        (NO_CHANGES, {"sql": "do something"}, True, False),
        # detectors: in texts, numbers, names and nested
        (CARDS, {"a": {"b": ["pay with 4111 1111 1111 1111"]}}, True, True),
        (CARDS, {"a": 4111111111111111}, True, True),
        (CARDS, {"a": "mail ada@example.com"}, True, True),
        (CARDS, {"ada@example.com": 1}, True, True),
        (CARDS, {"a": '{"b": "ada@example.com"}'}, True, True),
        (CARDS, {"a": "4111 1111 1111 1112"}, False, False),
        (CARDS, {}, False, False),
        (NO_CARDS, {"a": "ada@example.com"}, False, False),
        (NO_CARDS, {"a": "nothing"}, True, True),
        (NO_CARDS, {}, True, True),
        (PASSWORDS, {"password": "hunter2"}, True, True),
        (OWN, {"note": "of EMP-123456"}, True, True),
        (OWN, {"note": "of EMP-12345"}, False, False),
        # networks
        (NEAR, {"host": "10.1.2.3"}, True, True),
        (NEAR, {"host": "::ffff:10.1.2.3"}, True, True),
        (NEAR, {"host": "[fd00::1]"}, True, False),
        (NEAR, {"host": "192.168.0.1"}, False, False),
        (NEAR, {"host": "db.internal"}, True, False),
        (NEAR, {"host": "0x0a010203"}, True, False),
        (NEAR, {}, False, False),
        (FAR, {"host": "192.168.0.1"}, True, True),
        (FAR, {"host": "10.1.2.3"}, False, False),
        (FAR, {"host": "db.internal"}, True, False),
        (FAR, {}, True, True),
        # folders
        (INSIDE, {"file": "/srv/data/a.csv"}, True, True),
        (INSIDE, {"file": "/srv/data"}, True, True),
        (INSIDE, {"file": "/srv/database"}, False, False),
        (INSIDE, {"file": "/srv/other/../data/a"}, True, False),
        (INSIDE, {"file": "/srv/data/../../etc/passwd"}, False, False),
        (INSIDE, {"file": "//srv//data/a"}, True, True),
        (INSIDE, {"file": "/SRV/Data/a"}, True, False),
        (INSIDE, {"file": "file:///srv/data/a"}, True, False),
        (INSIDE, {"file": "/srv/%64ata/a"}, True, False),
        (INSIDE, {"file": "data/a"}, True, False),
        (INSIDE, {"file": "$HOME/a"}, True, False),
        (INSIDE, {"file": "/srv\\data\\a"}, True, False),
        (OUTSIDE, {"file": "/etc/passwd"}, True, True),
        (OUTSIDE, {"file": "/srv/data/a"}, False, False),
        (OUTSIDE, {"file": "/srv/data/../x"}, True, True),
        (OUTSIDE, {"file": "/srv/data/%2e%2e/x"}, True, False),
        (OUTSIDE, {}, True, True),
        # lengths
        (LONG, {"note": "123456"}, True, True),
        (LONG, {"note": "12345"}, False, False),
        (LONG, {"note": 123456}, False, False),
    ],
)
def test_what_a_value_holds_and_where_it_points(
    condition: dict[str, Any], arguments: Any, denies: bool, allows: bool
) -> None:
    assert matches("deny", condition, arguments) is denies
    assert matches("allow", condition, arguments) is allows


def test_more_sql_than_is_examined_counts_as_the_stricter_side() -> None:
    many = {"path": "sql[*]", "sql_kind": ["ddl"]}
    assert matches("deny", many, {"sql": ["SELECT 1"] * 65})
    assert not matches("deny", many, {"sql": ["SELECT 1"] * 64})
    assert not matches("allow", {"path": "sql[*]", "sql_kind": ["read"]}, {"sql": ["SELECT 1"] * 65})


def test_an_exception_takes_a_call_out_of_a_rule() -> None:
    unless = [{"callers": {"groups": ["corp/leads"]}, "arguments": [{"path": "sql", "sql_kind": ["write"]}]}]
    match = {"arguments": [NOT_READS]}

    def speaks(sql: str, *groups: str, action: str = "deny") -> bool:
        rule = {"name": "r", "action": action, "match": match, "unless": unless}
        caller = ME.with_groups(ME.groups | set(groups))
        return judged([rule], {"sql": sql}, caller).rules == ("r",)

    assert speaks("DELETE FROM x WHERE id = 1")
    assert not speaks("DELETE FROM x WHERE id = 1", "corp/leads")
    assert speaks("DELETE FROM x", "corp/leads")  # also a bulk write
    assert speaks("who knows", "corp/leads")
    assert not speaks("DELETE FROM x WHERE id = 1", "corp/leads", action="allow")
    assert speaks("who knows", action="allow") is False


def test_an_exception_speaks_of_any_method_connection_and_label_it_names() -> None:
    rule = {"name": "r", "action": "deny", "match": {"tools": ["*"]}, "unless": [{"labels": {"env": "test"}}]}

    assert judged([rule], {}).rules == ("r",)
    assert judged([rule], {}, labels={"env": "test"}).rules == ()


def test_a_tool_that_is_denied_but_for_an_exception_is_still_shown() -> None:
    rule = {"name": "r", "action": "deny", "match": {"tools": ["t"]}, "unless": [{"arguments": [READS]}]}

    assert policy([rule]).visible(ME, "c", "t")
    assert not policy([{**rule, "unless": None}]).visible(ME, "c", "t")


@pytest.mark.parametrize(
    ("moment", "speaks"),
    [
        ("2026-11-28T12:00:00+00:00", True),  # a Saturday
        ("2026-11-27T12:00:00+00:00", False),
        ("2026-11-27T23:30:00+00:00", True),  # Saturday already, in Berlin
        ("2026-11-29T22:59:00+00:00", True),
        ("2026-11-29T23:01:00+00:00", False),
    ],
)
def test_a_rule_speaks_on_its_days_in_its_zone(moment: str, speaks: bool) -> None:
    rule = {"name": "r", "action": "deny", "match": {"time": {"zone": "Europe/Berlin", "days": ["sat", "sun"]}}}

    assert (judged([rule], {}, at=moment).rules == ("r",)) is speaks


@pytest.mark.parametrize(
    ("moment", "speaks"),
    [
        ("2026-11-28T21:59:59+00:00", False),
        ("2026-11-28T22:00:00+00:00", True),
        ("2026-11-29T05:59:59+00:00", True),
        ("2026-11-29T06:00:00+00:00", False),
        ("2026-12-24T12:00:00+00:00", False),
        ("2026-12-24T23:00:00+00:00", True),
        ("2027-01-02T23:00:00+00:00", False),
    ],
)
def test_hours_may_span_midnight_and_dates_end_before_their_end(moment: str, speaks: bool) -> None:
    time = {
        "zone": "UTC",
        "hours": {"from": "22:00", "until": "06:00"},
        "dates": [{"from": "2026-11-01", "until": "2026-12-01"}, {"from": "2026-12-20", "until": "2027-01-02"}],
    }

    assert (judged([{"name": "r", "action": "deny", "match": {"time": time}}], {}, at=moment).rules == ("r",)) is speaks


def policy(rules: list[dict[str, Any]], labels: dict[str, str] | None = None, at: str = "") -> Policy:
    """Return a policy of these rules on one connection, at this moment."""
    connection = {
        "url": "http://c",
        "access": [{"groups": ["corp/all"]}],
        "default": "allow",
        "sql_dialect": "postgres",
        "labels": labels or {},
    }
    moment = datetime.fromisoformat(at).timestamp() if at else time.time()
    config = Config.model_validate({"connections": {"c": connection}, "rules": rules})
    return Policy.compile(config, clock=lambda: moment)


def judged(
    rules: list[dict[str, Any]],
    arguments: Any,
    caller: Caller = ME,
    *,
    labels: dict[str, str] | None = None,
    at: str = "",
) -> Verdict:
    call = Call(caller=caller, connection="c", method="tools/call", name="t", arguments=arguments)
    return policy(rules, labels, at).judge(call)


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
