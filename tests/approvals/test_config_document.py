"""The way back: YAML that loads to the same Config, canonical JSON with its digest, and differences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.config.document import diff, document, document_digest, dump, parse_document
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from tests.whole_language import FULL

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)
SECONDS = st.integers(1, 400_000)
LOCAL = st.sampled_from(["dba", "security", "corp/leads"])
PLACES = st.lists(
    st.fixed_dictionaries({"groups": st.lists(LOCAL, min_size=1, max_size=3), "count": st.integers(1, 5)}),
    min_size=1,
    max_size=3,
)
APPROVALS = st.fixed_dictionaries(
    {"require": st.one_of(PLACES.map(lambda p: {"any_of": p}), PLACES.map(lambda p: {"all_of": p}))},
    optional={
        "expires_after": SECONDS,
        "collect_within": SECONDS,
        "reason": st.just("required"),
        "remember": st.fixed_dictionaries(
            {"scopes": st.permutations(["same_tool", "same_arguments"])}, optional={"max_age": SECONDS}
        ),
    },
)
CONDITIONS = st.one_of(
    st.fixed_dictionaries({"path": st.just("a[*].**.b"), "equals": WORDS}),
    st.fixed_dictionaries({"path": st.just("**"), "one_of_not": st.lists(WORDS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"path": st.just("n"), "gt": st.integers(-5, 5).map(str), "lte": st.just("1.5e3")}),
    st.fixed_dictionaries({"path": st.just("n"), "absent": st.just(True)}),
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    action = draw(st.sampled_from(["allow", "deny", "hold"]))
    rule: dict[str, Any] = {
        "name": draw(NAMES),
        "action": action,
        "mode": draw(st.sampled_from(["enforce", "observe"])),
        "match": {"tools": draw(st.lists(WORDS, min_size=1, max_size=3)), "arguments": [draw(CONDITIONS)]},
    }
    if action == "hold":
        rule["approval"] = draw(APPROVALS)
    if draw(st.booleans()):
        rule["message"] = draw(WORDS)
    return rule


CONNECTIONS = st.fixed_dictionaries(
    {"url": st.just("http://a/mcp"), "default": st.sampled_from(["allow", "deny"])},
    optional={
        "description": WORDS,
        "timeout": SECONDS,
        "max_body": st.integers(1, 1 << 33),
        "labels": st.dictionaries(WORDS, WORDS),
    },
)
RULES: st.SearchStrategy[list[dict[str, Any]]] = st.lists(rules(), max_size=4, unique_by=lambda rule: str(rule["name"]))
CONFIGS = st.fixed_dictionaries(
    {
        "issuers": st.just([{"name": "corp", "issuer": "https://id", "login": True}]),
        "groups": st.just({"dba": {"members": ["a@b.example", "i|s"]}, "security": {}}),
        "connections": st.dictionaries(NAMES.filter(lambda name: name != "gateway"), CONNECTIONS, max_size=3),
        "rules": RULES,
    }
)


def test_the_whole_language_survives_the_way_to_text_and_back() -> None:
    config = load(FULL)
    assert load(dump(config)) == config
    assert dump(load(dump(config))) == dump(config)
    again = parse_document(document(config))
    assert diff(config, again) == []
    assert document_digest(again) == document_digest(config)


@settings(max_examples=150)
@given(CONFIGS)
def test_any_configuration_survives_the_way_to_text_and_back(data: dict[str, object]) -> None:
    config = Config.model_validate(data)
    assert load(dump(config)) == config
    assert document(parse_document(document(config))) == document(config)


def test_yaml_is_for_people_no_defaults_no_quotes_around_numbers() -> None:
    config = load("connections: {b: {url: 'http://b', default: allow, timeout: 90s}}")
    lines = ["version: 1", "connections:", "  b:", "    url: http://b", "    default: allow"]
    assert dump(config).splitlines() == [*lines, "    timeout: 90s"]


def test_no_document_is_the_empty_configuration() -> None:
    assert parse_document(None) == Config()
    assert load(dump(Config())) == Config()


def test_the_digest_is_the_same_whatever_order_and_spelling_the_file_had() -> None:
    one = load(
        "rules:\n- {name: b, action: deny, match: {tools: [x]}}\n- {name: a, action: deny, match: {tools: [x]}}\n"
    )
    two = load('{"rules": [{"match": {"tools": "x"}, "mode": "enforce", "action": "deny", "name": "a"},'
               '{"match": {"tools": ["x"]}, "action": "deny", "name": "b"}]}')  # fmt: skip
    assert document_digest(one) == document_digest(two)
    assert json.loads(document(one))["rules"][0]["name"] == "a"


def test_a_difference_names_what_was_added_removed_and_changed() -> None:
    new = FULL.replace("timeout: 60s", "timeout: 61s").replace("name: letters", "name: notes")
    new = new.replace("auditor: [corp/audit]", "auditor: []").replace(
        "security: {members: [carol", "security: {members: [erin"
    )
    changes = diff(load(FULL), load(new))
    assert [(change.kind, change.name, change.action) for change in changes] == [
        ("connection", "orders-db", "changed"),
        ("group", "security", "changed"),
        ("role", "auditor", "changed"),
        ("rule", "letters", "removed"),
        ("rule", "notes", "added"),
    ]
    assert changes[0].before["timeout"] == "1m"
    assert changes[0].after["timeout"] == "61s"
    assert changes[3].after is None
    assert diff(load(FULL), load(FULL)) == []


def test_a_document_that_was_tampered_with_does_not_load() -> None:
    text = document(load(FULL)).replace('"deny"', '"dney"')
    with pytest.raises(ConfigError, match="must be allow, deny or hold"):
        parse_document(text)
