"""What a caller is told before any call: tools by access, the rules that concern them, who decides."""

from __future__ import annotations

import pytest

from approvals.config.loader import load
from approvals.policy import Caller, Policy
from approvals.rules.quorum import Quorum

CONFIG = """
connections:
  db:
    url: http://db/mcp
    labels: {env: prod}
    access:
      - {groups: [a], tools: ["get_*", query]}
      - {groups: [a], tools: [query, put]}
      - {groups: [b]}
    default: allow
  other: {url: "http://other/mcp", access: [{groups: [a]}], default: allow}
rules:
  - {name: by-label, action: deny, match: {labels: {env: prod}}}
  - {name: elsewhere, action: deny, match: {connections: [other]}}
  - {name: for-b, action: deny, match: {tools: [x], callers: {groups: [b]}}}
  - {name: prompts, action: deny, match: {prompts: ["*"], methods: [prompts/get]}}
  - {name: quiet, action: deny, mode: observe, match: {tools: ["*"]}}
  - {name: some-tools, action: deny, match: {tools: [x, y]}}
"""
ANN = Caller(iss="https://id", sub="ann", kind="person", groups=frozenset({"a"}))
EVE = Caller(iss="https://id", sub="eve", kind="person")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.compile(load(CONFIG))


def test_tools_are_those_of_every_entry_of_access_that_admits(policy: Policy) -> None:
    assert policy.tools_of(ANN, "db") == ("get_*", "query", "put")
    assert policy.tools_of(EVE, "db") == ()
    assert policy.tools_of(ANN, "nowhere") == ()


def test_rules_are_those_that_can_speak_of_a_tool_call_of_this_caller_there(policy: Policy) -> None:
    assert [rule.name for rule in policy.rules_about(ANN, "db")] == ["by-label", "some-tools"]
    assert [rule.tools for rule in policy.rules_about(ANN, "db")] == [("*",), ("x", "y")]
    assert [rule.name for rule in policy.rules_about(ANN, "other")] == ["elsewhere", "some-tools"]
    assert policy.rules_about(EVE, "db") == policy.rules_about(ANN, "nowhere") == ()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"any_of": [{"groups": ["dba"]}]}, "1 of dba"),
        ({"any_of": [{"groups": ["dba", "ops"], "count": 2}, {"groups": ["cto"]}]}, "2 of dba, ops or 1 of cto"),
        ({"all_of": [{"groups": ["dba"]}, {"groups": ["security"]}]}, "1 of dba and 1 of security"),
        ({"each": [{"any_of": [{"groups": ["a"]}]}, {"any_of": [{"groups": ["b"]}]}]}, "1 of a; and 1 of b"),
    ],
)
def test_who_decides_is_said_in_words(document: dict[str, object], sentence: str) -> None:
    assert Quorum.parse(document).sentence == sentence
