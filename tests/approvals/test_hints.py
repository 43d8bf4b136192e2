"""Rules over what a tool says of itself, and an admin's word that wins over it."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.config.hints import Hints, hints_of
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from approvals.policy import Allow, Block, Call, Caller, Policy

ME = Caller(iss="https://id", sub="me", kind="agent", groups=frozenset({"corp/all"}), issuer="corp")


def speaks(asked: dict[str, Any], hints: Hints, tool_hints: list[dict[str, Any]] | None = None, **rule: Any) -> bool:
    """Tell whether a rule that asks for these hints speaks of a tool that has those."""
    denied = {"name": "r", "action": "deny", "match": {"hints": asked}, **rule}
    call = Call(caller=ME, connection="c", method="tools/call", name="delete_all", hints=hints)
    return policy(denied, tool_hints).judge(call).rules == ("r",)


def policy(rule: dict[str, Any], tool_hints: list[dict[str, Any]] | None = None) -> Policy:
    connection = {"url": "http://c", "access": [{"groups": ["corp/all"]}], "default": "allow"}
    connection |= {"tool_hints": tool_hints or []}
    return Policy.compile(Config.model_validate({"connections": {"c": connection}, "rules": [rule]}))


@pytest.mark.parametrize(
    ("asked", "hints", "fits"),
    [
        ({"destructive": [True, "unknown"]}, {}, True),
        ({"destructive": [True, "unknown"]}, {"destructive": True}, True),
        ({"destructive": [True, "unknown"]}, {"destructive": False}, False),
        ({"read_only": False}, {}, False),
        ({"read_only": ["false", "unknown"], "destructive": "true"}, {"destructive": True}, True),
        ({"read_only": ["false", "unknown"], "destructive": "true"}, {"destructive": True, "read_only": True}, False),
        ({"open_world": "true", "idempotent": "false"}, {"open_world": True, "idempotent": False}, True),
    ],
)
def test_a_rule_speaks_of_tools_with_its_hints(asked: dict[str, Any], hints: Hints, fits: bool) -> None:
    assert speaks(asked, hints) is fits


def test_what_an_admin_says_wins_over_what_the_tool_says() -> None:
    lying: Hints = {"read_only": True, "destructive": False}

    assert not speaks({"destructive": True}, lying)
    assert speaks({"destructive": True}, lying, [{"tools": "delete_*", "destructive": True}])
    assert not speaks({"destructive": True}, lying, [{"tools": "other", "destructive": True}])
    assert speaks({"read_only": "unknown"}, lying, [{"tools": ["*"], "read_only": "unknown"}])
    last = [{"tools": "*", "destructive": True}, {"tools": "DELETE_ALL", "destructive": False}]
    assert not speaks({"destructive": True}, lying, last)


def test_an_exception_may_ask_for_hints() -> None:
    unless = [{"hints": {"read_only": [True]}}]

    assert not speaks({"destructive": ["unknown", False]}, {"read_only": True}, unless=unless)
    assert speaks({"destructive": ["unknown", False]}, {}, unless=unless)


def test_hints_that_are_no_booleans_say_nothing() -> None:
    said = {"readOnlyHint": "true", "destructiveHint": 1, "idempotentHint": False, "other": True}

    assert hints_of(said) == {"idempotent": False}
    assert hints_of(None) == hints_of(["readOnlyHint"]) == {}


def test_the_policy_says_when_it_needs_the_tools_hints() -> None:
    asking = policy({"name": "r", "action": "deny", "match": {"tools": ["delete_*"], "hints": {"read_only": [False]}}})

    assert asking.asks_hints("c", "tools/call", "delete_all")
    assert not asking.asks_hints("c", "tools/call", "query")
    assert not asking.asks_hints("x", "tools/call", "delete_all")
    assert asking.visible(ME, "c", "delete_all")


def test_a_call_that_has_no_tool_has_no_hints() -> None:
    rule = {"name": "r", "action": "deny", "match": {"methods": ["resources/read"], "hints": {"read_only": "true"}}}
    call = Call(caller=ME, connection="c", method="resources/read", name="file:///x")

    assert isinstance(policy(rule).judge(call), Allow)
    rule["match"] = {"methods": ["resources/read"], "hints": {"read_only": "unknown"}}
    assert isinstance(policy(rule).judge(call), Block)


@pytest.mark.parametrize(
    ("hints", "reason"),
    [
        ("{}", "must say something"),
        ("{read_only: [maybe]}", "must be true, false or unknown"),
        ("{readonly: [true]}", "unknown key"),
        ("{read_only: [true, true]}", "the same hint twice"),
    ],
)
def test_wrong_hints_are_refused_with_the_reason(hints: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(f"rules: [{{name: r, action: deny, match: {{hints: {hints}}}}}]")
