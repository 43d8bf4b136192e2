"""A call tried against rules: which speak and on what, and why the others do not."""

from __future__ import annotations

from typing import Any

from approvals.config.loader import load
from approvals.rules.trying import Heard, heard
from approvals.verdicts import Call, Caller

BASE = """
version: 1
issuers: [{name: corp, issuer: "https://id.example.com", login: true}]
groups: {dba: {members: [alice@example.com]}}
connections:
  c: {url: "http://c", labels: {env: prod}, access: [{groups: [corp/all]}], default: allow, sql_dialect: postgres}
rules:
"""
ME = Caller(iss="https://id.example.com", sub="me", kind="agent", groups=frozenset({"corp/all"}), issuer="corp")
NOON = 1_795_867_200.0  # Saturday 28 November 2026, 12:00 UTC


def made_of(rule: str, *, tool: str = "query", method: str = "tools/call", **arguments: Any) -> Heard:
    """Return what one rule makes of a call."""
    call = Call(caller=ME, connection="c", method=method, name=tool, arguments=arguments)
    (one,) = heard(load(f"{BASE}  - {{name: r, {rule}}}\n"), call, NOON)
    return one


def test_a_rule_that_matches_tells_on_which_value() -> None:
    one = made_of('action: deny, match: {arguments: [{path: sql, matches: "drop"}]}', sql="drop table x")

    (finding,) = one.findings
    assert one.matches
    assert (finding.path, finding.places[0].name, finding.places[0].quoted) == ("sql", "sql", "drop")


def test_a_rule_that_does_not_match_tells_every_key_that_does_not_fit() -> None:
    one = made_of(
        "action: deny, match: {connections: [d], tools: [drop*], labels: {env: [test]}, callers: {kinds: [ci]}, "
        "arguments: [{path: sql, matches: select}, {path: rows, gt: 5}]}",
        sql="select 1",
        rows=3,
    )

    assert not one.matches
    assert one.missed == (
        "its connections do not fit: d",
        "its tools do not fit: drop*",
        "its labels do not fit",
        "its callers do not fit",
        "argument condition 2, on rows, does not hold",
    )


def test_a_method_a_time_and_an_exception_are_told() -> None:
    assert (
        made_of("action: deny, match: {tools: ['*']}", method="prompts/get")
        .missed[0]
        .startswith("the method prompts/get")
    )
    assert made_of("action: deny, match: {time: {zone: UTC, days: [mon]}}").missed == ("its time do not fit",)
    assert made_of("action: deny, match: {tools: ['*']}, unless: [{tools: [x]}, {tools: [query]}]").missed == (
        "exception 2 of unless holds",
    )


def test_every_key_is_asked_as_the_rule_itself_would_ask_it() -> None:
    """What cannot be decided counts as met where the rule denies, and as not met where it allows."""
    bad = "\ud800"
    assert made_of("action: deny, match: {arguments: [{path: a, equals: x}]}", a=bad).matches
    assert made_of("action: allow, match: {arguments: [{path: a, equals: x}]}", a=bad).missed == (
        "argument condition 1, on a, does not hold",
    )


def test_where_no_rule_is_asked_none_is_told_of() -> None:
    config = load(f"{BASE}  - {{name: r, action: deny, match: {{tools: ['*']}}}}\n")
    for connection, name in (("nowhere", "query"), ("c", "x" + "\u0301" * 40)):
        assert heard(config, Call(caller=ME, connection=connection, method="tools/call", name=name), NOON) == []
