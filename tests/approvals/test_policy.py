"""What the policy says of a call: access, rules of every kind, observe mode, terms, what a list shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from approvals.config.loader import load
from approvals.policy import (
    Allow,
    Block,
    Call,
    Caller,
    Hold,
    Policy,
    Verdict,
    local_groups,
    quorum_gaps,
    quorum_met,
    required_groups,
)
from approvals.rules.quorum import Quorum

CONFIG = """
issuers:
  - {name: corp, issuer: https://id, login: true}
  - {name: github, issuer: https://ci, kind: {default: ci}}
groups:
  dba: {members: [Alice@Example.com, "https://id|bob", "https://ci|robot"]}
  security: {members: [carol@example.com]}
connections:
  db:
    url: http://db/mcp
    labels: {env: prod, tier: "1"}
    access:
      - {groups: [corp/eng]}
      - {groups: [corp/read], kinds: [person], tools: ["get_*"]}
    default: DEFAULT
    default_approval: {require: {any_of: [{groups: [dba]}]}, expires_after: 10m}
    MODE
  other: {url: "http://other/mcp", access: [{groups: [corp/read]}], default: allow}
rules: RULES
"""
HOLD = "approval: {require: {any_of: [{groups: [dba]}]}}"
ENG = Caller(iss="https://id", sub="me", kind="person", groups=frozenset({"corp/eng"}), issuer="corp")
READER = replace(ENG, sub="reader", groups=frozenset({"corp/read"}))


def policy(rules: str = "[]", default: str = "allow", mode: str = "mode: enforce", now: float = 0) -> Policy:
    text = CONFIG.replace("DEFAULT", default).replace("MODE", mode).replace("RULES", rules)
    return Policy.compile(load(text), clock=lambda: now)


def judge(found: Policy, name: str = "query", caller: Caller = ENG, method: str = "tools/call", **more: Any) -> Verdict:
    call = Call(caller=caller, connection="db", method=method, name=name, arguments=more)
    return found.judge(call)


def test_nobody_without_access_learns_whether_a_connection_exists() -> None:
    stranger = replace(ENG, groups=frozenset({"corp/other", "dba"}))
    refused = judge(policy(), caller=stranger)
    unknown = policy().judge(Call(caller=ENG, connection="nope", method="tools/call", name="x"))
    assert refused == unknown
    assert isinstance(refused, Block)
    assert (refused.reason, refused.by) == ("forbidden", "connection")


def test_a_tool_outside_access_is_forbidden_and_no_rule_can_allow_it() -> None:
    found = policy('[{name: all, action: allow, match: {tools: ["*"]}}]')
    refused = judge(found, "drop_all", READER)
    assert isinstance(refused, Block)
    assert (refused.reason, refused.by) == ("forbidden", "tool")
    assert isinstance(judge(found, "get_orders", READER), Allow)
    assert isinstance(judge(found, "GET_orders", READER), Allow)
    assert isinstance(judge(found, "get_orders", replace(READER, kind="agent")), Block)
    assert isinstance(judge(found, "file:///x", READER, "resources/read"), Allow)


@pytest.mark.parametrize(("default", "verdict"), [("allow", Allow), ("deny", Block), ("hold", Hold)])
def test_the_default_decides_when_no_rule_speaks(default: str, verdict: type) -> None:
    said = judge(policy(default=default))
    assert isinstance(said, verdict)
    assert said.rules == ()
    if isinstance(said, Hold):
        assert (said.rule, said.terms.expires_after, said.terms.rules) == ("", 600, ())
    if isinstance(said, Block):
        assert (said.reason, said.by, said.rule) == ("blocked", "default", "")


RULES = {
    "allow": "{name: a-allow, action: allow, match: {tools: [query]}}",
    "deny": "{name: b-deny, action: deny, match: {tools: [query]}, message: Not here.}",
    "hold": f"{{name: c-hold, action: hold, match: {{tools: [query]}}, {HOLD}}}",
}


@pytest.mark.parametrize(
    ("present", "verdict"),
    [
        (["allow"], Allow),
        (["allow", "hold"], Hold),
        (["hold", "deny", "allow"], Block),
        (["deny", "allow"], Block),
    ],
)
def test_deny_beats_hold_beats_allow_beats_the_default(present: list[str], verdict: type) -> None:
    for default in ("allow", "deny", "hold"):
        said = judge(policy(f"[{', '.join(RULES[action] for action in present)}]", default))
        assert isinstance(said, verdict)
        assert len(said.rules) == len(present)


def test_a_refusal_names_its_rule_and_message() -> None:
    said = judge(policy(f"[{RULES['deny']}]"))
    assert said == Block(rule="b-deny", message="Not here.", rules=("b-deny",))


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ("connections: [db]", True),
        ("connections: ['d*', x]", True),
        ("connections: [other]", False),
        ("labels: {env: prod}", True),
        ("labels: {env: [dev, 'PR*'], tier: 1}", True),
        ("labels: {env: prod, region: eu}", False),
        ("labels: {env: dev}", False),
        ("tools: ['*']", True),
        ("tools: ['exec*', 'QUERY']", True),
        ("tools: ['exec*']", False),
        ("methods: [tools/call]", True),
        ("methods: ['*']", True),
        ("methods: [resources/read]", False),
        ("callers: {groups: [x, corp/eng]}", True),
        ("callers: {groups: [corp/en]}", False),
        ("callers: {not_groups: [corp/eng]}", False),
        ("callers: {not_groups: [release-managers]}", True),
        ("callers: {kinds: [ci, agent]}", False),
        ("callers: {kinds: [person]}", True),
        ("callers: {subjects: ['*|me']}", True),
        ("callers: {subjects: ['https://id|*x']}", False),
        ("callers: {groups: [corp/eng], kinds: [ci]}", False),
        ("tools: [query], labels: {env: dev}", False),
    ],
)
def test_all_keys_of_match_must_hold_and_any_entry_of_a_list(match: str, matches: bool) -> None:
    said = judge(policy(f"[{{name: r, action: deny, match: {{{match}}}}}]"))
    assert isinstance(said, Block) is matches


@pytest.mark.parametrize(
    ("match", "method", "name", "matches"),
    [
        ("connections: [db]", "resources/read", "file:///a", False),
        ("methods: [resources/read]", "resources/read", "file:///a", True),
        ("methods: [resources/read], resources: ['file:*']", "resources/read", "FILE:///a", True),
        ("methods: [resources/read], resources: ['http:*']", "resources/read", "file:///a", False),
        ("methods: [prompts/get], prompts: [letter]", "prompts/get", "letter", True),
        ("methods: ['*'], prompts: [letter]", "completion/complete", "letter", True),
        ("methods: ['*'], prompts: [letter]", "resources/read", "letter", False),
        ("methods: ['*'], tools: [letter]", "prompts/get", "letter", False),
        ("methods: [prompts/get, tools/call], tools: [letter]", "prompts/get", "letter", False),
        ("methods: ['*']", "some/new", "letter", True),
    ],
)
def test_a_rule_governs_the_methods_that_it_names(match: str, method: str, name: str, matches: bool) -> None:
    said = judge(policy(f"[{{name: r, action: deny, match: {{{match}}}}}]"), name, method=method)
    assert isinstance(said, Block) is matches


@pytest.mark.parametrize(
    ("enforced", "observed", "default", "verdict", "would"),
    [
        ([], "deny", "allow", Allow, "deny"),
        ([], "hold", "allow", Allow, "hold"),
        ([], "allow", "deny", Block, "allow"),
        ([], "allow", "allow", Allow, None),
        (["hold"], "deny", "allow", Hold, "deny"),
        (["deny"], "hold", "allow", Block, None),
        (["allow"], "hold", "deny", Allow, "hold"),
    ],
)
def test_a_rule_in_observe_mode_does_not_speak_and_leaves_would(
    enforced: list[str], observed: str, default: str, verdict: type, would: str | None
) -> None:
    silent = RULES[observed].replace("name: ", "mode: observe, name: z-")
    rules = ", ".join([*(RULES[action] for action in enforced), silent])
    said = judge(policy(f"[{rules}]", default))
    assert isinstance(said, verdict)
    assert said.would == would
    assert len(said.rules) == len(enforced)
    assert len(said.observed) == 1


def test_a_connection_in_observe_turns_deny_and_hold_into_would_until_its_end() -> None:
    mode = "mode: observe\n    observe_until: 1970-01-02"
    for rules, default, would in (
        (f"[{RULES['deny']}]", "allow", "deny"),
        ("[]", "hold", "hold"),
        (f"[{RULES['allow']}]", "deny", None),
    ):
        said = judge(policy(rules, default, mode, now=86_399))
        assert isinstance(said, Allow)
        assert said.would == would
    assert isinstance(judge(policy(f"[{RULES['deny']}]", "allow", mode, now=86_400)), Block)
    stranger = replace(ENG, groups=frozenset())
    assert isinstance(judge(policy("[]", "allow", mode), caller=stranger), Block)


def test_a_call_that_several_rules_hold_needs_all_of_their_people() -> None:
    other = (
        "{name: b-hold, action: hold, match: {tools: [query]}, message: Personal data., approval: {"
        "require: {all_of: [{groups: [security]}]}, expires_after: 5m, comment: required, reason: required, "
        "decide_in: [dashboard, api]}}"
    )
    said = judge(policy(f"[{RULES['hold']}, {other}]"))
    assert isinstance(said, Hold)
    terms = said.terms
    assert (terms.rule, terms.rules) == ("b-hold", ("b-hold", "c-hold"))
    assert (terms.expires_after, terms.collect_within) == (300, 600)
    assert (terms.comment, terms.reason, terms.decide_in) == ("required", "required", ("dashboard", "api"))
    assert terms.message == "Personal data."
    assert not quorum_met(terms.require, [{"dba"}, {"dba"}])
    assert quorum_met(terms.require, [{"dba"}, {"security"}])
    stored = terms.as_json()["require"]
    assert Quorum.parse(stored) == terms.require
    assert required_groups(stored) == {"dba", "security"}
    assert quorum_met(stored, [{"dba", "security"}])


def test_the_fingerprint_tells_whether_the_same_rule_holds_unchanged() -> None:
    def fingerprint(rules: str) -> str:
        said = judge(policy(rules))
        assert isinstance(said, Hold)
        return said.terms.fingerprint

    one = fingerprint(f"[{RULES['hold']}]")
    assert one == fingerprint(f"[{{name: unrelated, action: deny, match: {{tools: [x]}}}}, {RULES['hold']}]")
    assert one != fingerprint(f"[{RULES['hold'].replace('[dba]', '[security]')}]")
    assert one != fingerprint(f"[{RULES['hold'].replace('[query]', '[query, x]')}]")
    found = policy(f"[{RULES['hold']}]", default="hold")
    assert found.fingerprint_of(("c-hold",), "db") == one
    assert found.fingerprint_of(("gone",), "db") == ""
    default = judge(found, "unheld")
    assert isinstance(default, Hold)
    assert found.fingerprint_of((), "db") == default.terms.fingerprint


@pytest.mark.parametrize(
    ("rules", "default", "visible"),
    [
        ("[]", "allow", True),
        ("[]", "hold", True),
        ("[]", "deny", False),
        (f"[{RULES['deny']}]", "allow", False),
        (f"[{RULES['deny']}, {RULES['allow']}]", "allow", False),
        (f"[{RULES['deny'].replace('action', 'mode: observe, action')}]", "allow", True),
        ("[{name: r, action: deny, match: {arguments: [{path: a, exists: true}]}}]", "allow", True),
        ("[{name: r, action: allow, match: {arguments: [{path: a, exists: true}]}}]", "deny", True),
        ("[{name: r, action: allow, match: {tools: [other]}}]", "deny", False),
        ("[{name: r, action: deny, match: {callers: {groups: [corp/else]}}}]", "allow", True),
    ],
)
def test_a_list_shows_what_some_call_may_do(rules: str, default: str, visible: bool) -> None:
    found = policy(rules, default)
    assert found.visible(ENG, "db", "query") is visible
    if not visible:
        assert isinstance(judge(found), Block)


def test_a_list_shows_nothing_that_access_refuses() -> None:
    found = policy()
    assert found.visible(READER, "db", "get_orders")
    assert not found.visible(READER, "db", "query")
    assert not found.visible(READER, "nope", "query")
    assert found.may_use(READER, "db")
    assert not found.may_use(READER, "db", "query")
    assert not found.may_use(ENG, "other")


def test_local_groups_count_verified_addresses_only_where_people_sign_in() -> None:
    config = policy().config
    alice = Caller(iss="https://id", sub="alice", kind="person", issuer="corp", email=" alice@EXAMPLE.com ")
    assert local_groups(config, alice) == {"dba"}
    assert local_groups(config, replace(alice, issuer="github", iss="https://ci")) == frozenset()
    assert local_groups(config, replace(alice, email=None)) == frozenset()
    assert local_groups(config, Caller(iss="https://ci", sub="robot", kind="ci", issuer="github")) == {"dba"}
    assert local_groups(config, Caller(iss="https://ci", sub="bob", kind="ci", issuer="github")) == frozenset()


def test_a_hold_that_too_few_known_people_can_decide_is_named() -> None:
    rule = (
        "{name: two, action: hold, match: {tools: [a]}, "
        "approval: {require: {any_of: [{groups: [security, corp/leads], count: 2}]}}}"
    )
    config = policy(f"[{rule}]", "hold").config
    (gap,) = quorum_gaps(config)
    assert str(gap) == "rule two: fewer people are known in corp/leads, security than must approve"
    assert quorum_gaps(config, {"https://id|x": frozenset({"corp/leads"})}) == ()
    assert quorum_gaps(config, {"CAROL@example.com": frozenset({"corp/leads"})}) == (gap,)


def test_deciding_groups_are_those_that_some_hold_asks_for() -> None:
    assert policy(f"[{RULES['hold'].replace('[dba]', '[security, corp/x]')}]").deciding_groups == {
        "dba",
        "security",
        "corp/x",
    }


A, B, AB, BC, C = ({"groups": list(names)} for names in ("a", "b", "ab", "bc", "c"))
TWO_A = {**A, "count": 2}


@pytest.mark.parametrize(
    ("form", "places", "voters", "met"),
    [
        ("any_of", [TWO_A], ["a"], False),
        ("any_of", [TWO_A], ["a", "ab"], True),
        ("any_of", [{**AB, "count": 2}], ["a", "b"], True),
        ("any_of", [TWO_A, B], ["a", "b"], True),
        ("any_of", [A], [], False),
        ("any_of", [A], [""], False),
        ("all_of", [A, B], ["ab"], False),
        ("all_of", [A, B], ["ab", "a"], True),
        ("all_of", [A, B], ["ab", "b"], True),
        ("all_of", [A, B], ["a", "a"], False),
        ("all_of", [TWO_A, B], ["ab", "ab", "a"], True),
        ("all_of", [TWO_A, B], ["a", "a", "a"], False),
        ("all_of", [AB, BC, C], ["b", "c", "a"], True),
        ("all_of", [AB, BC, C], ["ab", "b", "c"], True),
        ("all_of", [AB, BC, C], ["b", "c", "x"], False),
    ],
)
def test_a_vote_counts_in_each_alternative_and_fills_one_place_of_all(
    form: str, places: list[dict[str, Any]], voters: list[str], met: bool
) -> None:
    """Each voter is written as the letters of their groups."""
    groups = [frozenset(letters) for letters in voters]
    assert quorum_met({form: places}, groups) is met
    assert quorum_met({form: places}, groups[::-1]) is met
