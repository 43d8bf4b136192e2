"""Which rules the catalogue proposes, from hints and names."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.catalogue.proposals import known_hints, looks_destructive, looks_writing, proposals
from approvals.config.hints import Hints
from approvals.config.loader import load
from approvals.config.schema import Config
from tests.held import policy_text
from tests.people import CONNECTION


def config(**blocks: Any) -> Config:
    return load(policy_text(**blocks))


@pytest.mark.parametrize(
    ("name", "hints", "destroys", "writes"),
    [
        ("delete_order", {}, True, True),
        ("deleteOrder", {}, True, True),
        ("orders.drop", {}, True, True),
        ("RMFile", {}, True, True),
        ("delete_order", {"read_only": True}, False, False),
        ("delete_order", {"destructive": False}, False, True),
        ("look_at", {"destructive": True}, True, False),
        ("create_order", {}, False, True),
        ("look_at", {"read_only": False}, False, True),
        ("list_deleted_orders", {}, False, False),
        ("undelete", {}, False, False),
        ("query", {}, False, False),
        ("", {}, False, False),
    ],
)
def test_what_looks_destructive_and_what_looks_writing(name: str, hints: Hints, destroys: bool, writes: bool) -> None:
    assert (looks_destructive(name, hints), looks_writing(name, hints)) == (destroys, writes)


def test_the_word_of_an_admin_counts_for_more_than_that_of_the_tool() -> None:
    told = [{"tools": ["delete_*"], "read_only": True}]
    connections = {CONNECTION: {"url": "http://127.0.0.1:9/mcp", "default": "allow", "tool_hints": told}}
    found = config(connections=connections, rules=[]).connections[CONNECTION]
    said = {"annotations": {"readOnlyHint": False, "destructiveHint": True}}
    assert known_hints(found, "delete_view", said) == {"read_only": True, "destructive": True}
    assert known_hints(found, "other", said) == {"read_only": False, "destructive": True}
    assert known_hints(found, "other", None) == {}


def test_proposed_rules_load_and_say_nothing_of_tools_that_a_rule_stops() -> None:
    tools: list[tuple[str, Hints]] = [("drop_table", {}), ("delete_order", {}), ("send_mail", {}), ("query", {})]
    found = config()
    made = proposals(found, CONNECTION, tools)
    assert [(one.text, one.tools) for one in made] == [
        ("1 of 4 look destructive: hold them?", ("delete_order",)),
        ("1 of 4 look as if they write: hold them?", ("send_mail",)),
    ]
    assert config(rules=[dict(one.rule) for one in made]).rules[0].mode == "observe"
    assert made[0].rule["approval"]["require"] == {"any_of": [{"groups": ["dba", "security"]}]}


def test_names_that_are_no_plain_names_are_counted_and_not_written_into_a_rule() -> None:
    made = proposals(config(), CONNECTION, [("delete *", {}), ("delete_x", {})])
    assert [(one.text, one.tools) for one in made] == [("2 of 2 look destructive: hold them?", ("delete_x",))]


@pytest.mark.parametrize("default", ["deny", "hold"])
def test_nothing_is_proposed_where_the_default_stops_it_anyway(default: str) -> None:
    approval = {"require": {"any_of": [{"groups": ["dba"]}]}}
    orders: dict[str, Any] = {"url": "http://127.0.0.1:9/mcp", "default": default}
    orders |= {"default_approval": approval} if default == "hold" else {}
    found = config(connections={CONNECTION: orders}, rules=[])
    assert proposals(found, CONNECTION, [("delete_order", {})]) == []
