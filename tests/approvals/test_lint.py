"""What is valid in a configuration and yet hardly meant."""

from __future__ import annotations

import pytest

from approvals.config.loader import load
from approvals.rules.lint import lint

BASE = """
version: 1
issuers: [{name: corp, issuer: "https://id.example.com", login: true}]
groups:
  dba: {members: [alice@example.com, bob@example.com]}
  one: {members: [alice@example.com]}
  empty: {members: []}
connections:
  c: {url: "http://c", access: [{groups: [corp/all]}], default: allow, labels: {env: prod}}
"""
ALLOW = "rules: [{name: r, action: allow, match: %s}]\n"
HOLD = "rules: [{name: r, action: hold, match: {tools: [x]}, approval: {require: {any_of: [{groups: [%s]%s}]}}}]\n"
PACKED = """packs: [secrets]
rules: [{name: secrets-in-arguments, overrides: secrets, action: allow, match: {tools: [a]}}]
"""
WALL = "rules: [{name: wall, action: deny, match: %s}, {name: r, action: allow, match: %s}]\n"


def says(text: str) -> list[str]:
    return [str(finding) for finding in lint(load(BASE + text))]


def test_there_is_nothing_to_say_of_a_sound_configuration() -> None:
    assert says(HOLD % ("dba", ", count: 2")) == []


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        (ALLOW % "{connections: [other]}", "rules.r: never speaks: no connection"),
        (ALLOW % "{labels: {env: test}}", "rules.r: never speaks: no connection has such a label env"),
        (ALLOW % "{callers: {groups: [nobody]}}", "the group nobody, which is not there"),
        (ALLOW % "{arguments: [{path: sql, sql_kind: [read]}]}", "sql_dialect"),
        (HOLD % ("one", ""), "the group one has one member"),
        (HOLD % ("dba", ", count: 3"), "nobody could decide"),
        (HOLD % ("empty", ""), "nobody could decide"),
        (WALL % ("{tools: ['*']}", "{tools: [x]}"), "never decides: wall denies all"),
        (WALL % ("{tools: ['x*']}", "{tools: [xy], connections: [c]}"), "never decides: wall denies all"),
        ("", "everything is allowed: there is no rule"),
        (ALLOW.replace("name: r", "name: r, mode: observe") % "{tools: [x]}", "rules.r: only observes"),
        (PACKED, "stands for the rule of the pack secrets"),
    ],
)
def test_what_is_strange_is_named_with_its_place(text: str, piece: str) -> None:
    assert any(piece in line for line in says(text)), says(text)


@pytest.mark.parametrize(
    "text",
    [
        WALL % ("{tools: ['x*'], arguments: [{path: a, exists: true}]}", "{tools: [xy]}"),
        WALL % ("{tools: ['x*']}", "{tools: ['*']}"),
        WALL % ("{tools: ['x*'], callers: {kinds: [ci]}}", "{tools: [xy]}"),
        WALL % ("{tools: ['*']}", "{methods: [resources/read]}"),
    ],
)
def test_a_wall_with_a_door_shadows_nothing(text: str) -> None:
    assert not any("never decides" in line for line in says(text))


def test_a_connection_that_nobody_may_use_is_named() -> None:
    text = "rules: [{name: r, action: deny, match: {tools: [x]}}]\n"
    lines = [str(one) for one in lint(load(BASE.replace("access: [{groups: [corp/all]}], ", "") + text))]

    assert "connections.c: nobody may use it: access is empty" in lines
