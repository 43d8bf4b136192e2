"""What holds of any policy: the order of rules means nothing, one more is never laxer, no call costs much."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.config.schema import Config, Rule
from approvals.policy import Action, Allow, Block, Call, Caller, Hold, Policy, Verdict

ME = Caller(iss="https://id", sub="me", kind="person", groups=frozenset({"g1"}), issuer="corp")
STRICTNESS = {Allow: 0, Hold: 1, Block: 2}
TEXTS = st.sampled_from(["drop", "Drop", "select", "ｄｒｏｐ", "", "rm -rf", "5"])
SCALARS = st.one_of(TEXTS, st.integers(-9, 9), st.booleans(), st.none(), st.just(1.5), st.just("\ud800"))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "A", "sql", "n"]), inner, max_size=3),
    ),
    max_leaves=8,
)
PATHS = st.sampled_from(["a", "sql", "n", "a.n", "a[*]", "**", "**.n", "*"])
OPERATORS = st.sampled_from(
    [
        {"matches": "drop"},
        {"matches": "(?i)rm|^s"},
        {"matches_not": "select"},
        {"equals": "5"},
        {"equals_not": "drop"},
        {"one_of": ["true", "1.5", "drop"]},
        {"contains_text": "ro"},
        {"gt": "3"},
        {"exists": "true"},
        {"absent": "true"},
    ]
)
CONDITIONS = st.builds(lambda path, operator: {"path": path, **operator}, PATHS, OPERATORS)


@st.composite
def rules(draw: st.DrawFn, name: str) -> Rule:
    action: Action = draw(st.sampled_from(["allow", "deny", "hold"]))
    match: dict[str, Any] = {"tools": draw(st.sampled_from([["*"], ["t"], ["u*"]]))}
    if draw(st.booleans()):
        match["arguments"] = draw(st.lists(CONDITIONS, min_size=1, max_size=2))
    if draw(st.booleans()):
        match["callers"] = {"groups": [draw(st.sampled_from(["g1", "g2"]))]}
    rule: dict[str, Any] = {"name": name, "action": action, "match": match}
    rule["mode"] = draw(st.sampled_from(["enforce", "enforce", "observe"]))
    if action == "hold":
        rule["approval"] = {"require": {"any_of": [{"groups": [draw(st.sampled_from(["dba", "sec"]))]}]}}
    return Rule.model_validate(rule)


RULES = st.integers(0, 6).flatmap(lambda size: st.tuples(*(rules(f"r{index}") for index in range(size))))
DEFAULTS = st.sampled_from(["allow", "deny", "hold"])


def judged(found: tuple[Rule, ...], default: str, arguments: Any) -> Verdict:
    connection = {
        "url": "http://c",
        "access": [{"groups": ["g1"]}],
        "default": default,
        "default_approval": {"require": {"any_of": [{"groups": ["dba"]}]}},
    }
    config = Config.model_validate({"connections": {"c": connection}, "rules": found})
    call = Call(caller=ME, connection="c", method="tools/call", name="t", arguments=arguments)
    return Policy.compile(config).judge(call)


@settings(max_examples=200)
@given(RULES, DEFAULTS, JSON, st.randoms(use_true_random=False))
def test_the_order_of_rules_means_nothing(found: tuple[Rule, ...], default: str, arguments: Any, random: Any) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert judged(found, default, arguments) == judged(tuple(shuffled), default, arguments)


@settings(max_examples=200)
@given(RULES, DEFAULTS, JSON, rules("extra").filter(lambda rule: rule.action != "allow"))
def test_one_more_rule_that_denies_or_holds_never_makes_a_call_freer_than_the_rules_did(
    found: tuple[Rule, ...], default: str, arguments: Any, extra: Rule
) -> None:
    before, after = judged(found, default, arguments), judged((*found, extra), default, arguments)
    if before.rules:
        assert STRICTNESS[type(after)] >= STRICTNESS[type(before)]


def many_rules(count: int) -> tuple[Rule, ...]:
    """Return rules of the usual kinds, all of which look at the same tool."""
    words = ["drop", "truncate", "mkfs", "shutdown", "grant", "revoke", "alter", "exec", "format", "wipe"]
    kinds: list[Callable[[int, str], list[dict[str, Any]]]] = [
        lambda i, word: [{"path": "sql", "matches": rf"(?i)\b{word}{i}\s+table"}],
        lambda i, word: [{"path": "**", "matches": rf"(?i)\b{word}\s+-[a-z]*r{i}|\bdd\s+if={i}"}],
        lambda i, _: [{"path": "env", "equals": f"prod{i}"}],
        lambda i, _: [{"path": "items[*].n", "gt": i + 10}, {"path": "sql", "matches": f"x{i}$"}],
        lambda i, _: [{"path": "a.b", "one_of": [f"x{i}", "y"]}, {"path": "sql", "contains_text": f"foo{i}"}],
    ]
    return tuple(
        Rule.model_validate(
            {
                "name": f"r{i}",
                "action": "deny",
                "match": {
                    "tools": ["q*"],
                    "callers": {"groups": ["g1", "g2"]},
                    "arguments": kinds[i % 5](i, words[i % 10]),
                },
            }
        )
        for i in range(count)
    )


HOSTILE: list[tuple[str, Callable[[], Any], float]] = [
    ("a usual call", lambda: {"sql": "SELECT a FROM orders " * 45, "env": "dev", "items": [{"n": 1}]}, 0.01),
    ("a long text", lambda: {"sql": "SELECT a FROM orders " * 50_000}, 0.2),
    ("a text that nearly matches everywhere", lambda: {"sql": "drop dd if mkfs  -xr foo " * 40_000}, 0.2),
    ("a text of accents", lambda: {"sql": "é è à ü ö " * 100_000}, 0.6),
    ("combining marks without end", lambda: {"sql": "a" + "\u0301\u0316" * 250_000}, 0.4),
    ("ligatures that grow", lambda: {"sql": "\ufdfa\ufdfb" * 160_000}, 1.5),
    ("very many strings", lambda: {"xs": [f"ab{i}" for i in range(100_000)]}, 1.0),
    ("very many names", lambda: {f"a{i}": 0 for i in range(100_000)}, 1.0),
    ("very many lists", lambda: {"xs": [[] for _ in range(200_000)]}, 1.0),
    ("very many objects", lambda: {"items": [{"n": 0} for _ in range(40_000)]}, 2.0),
]


@pytest.mark.parametrize(
    ("arguments", "limit"),
    [pytest.param(make, limit, id=name) for name, make, limit in HOSTILE],
)
def test_two_hundred_rules_cost_little_whatever_the_arguments(arguments: Callable[[], Any], limit: float) -> None:
    """The limits are ten times what an idle machine needs; the benchmark has the exact figures."""
    config = Config.model_validate(
        {
            "connections": {"c": {"url": "http://c", "access": [{"groups": ["g1"]}], "default": "allow"}},
            "rules": many_rules(200),
        }
    )
    policy = Policy.compile(config)
    call = Call(caller=ME, connection="c", method="tools/call", name="query", arguments=arguments())
    policy.judge(call)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        policy.judge(call)
        times.append(time.perf_counter() - started)
    assert min(times) < limit


def test_names_that_callers_invent_do_not_fill_the_memory() -> None:
    config = Config.model_validate(
        {"connections": {"c": {"url": "http://c", "access": [{"groups": ["g1"]}], "default": "allow"}}}
    )
    policy = Policy.compile(config)
    for index in range(10_000):
        policy.judge(Call(caller=ME, connection="c", method="tools/call", name=f"tool-{index}"))
    policy.judge(Call(caller=ME, connection="c", method="tools/call", name="x" * 100_000))
    assert policy.remembered_selections <= 4096


def test_a_name_that_cannot_be_compared_is_blocked() -> None:
    config = Config.model_validate(
        {"connections": {"c": {"url": "http://c", "access": [{"groups": ["g1"]}], "default": "allow"}}}
    )
    name = "a" + "\u0301\u0316" * 1000
    said = Policy.compile(config).judge(Call(caller=ME, connection="c", method="tools/call", name=name))
    assert isinstance(said, Block)
    assert not Policy.compile(config).visible(ME, "c", name)
    assert not Policy.compile(config).visible(ME, "c", name, "resources/read")
