"""Back-testing: recorded calls judged again, what is hidden said to be unknown, the load on approvers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from approvals.config.loader import load
from approvals.policy import Policy
from approvals.rules.backtest import BackTest, PastCall, past_caller, told
from approvals.verdicts import Caller

ME = Caller(iss="https://id.example.com", sub="me", kind="agent", groups=frozenset({"corp/all", "gone"}), issuer="corp")
BASE = """
version: 1
issuers: [{name: corp, issuer: "https://id.example.com", login: true}]
groups: {dba: {members: [alice@example.com]}, me: {members: ["https://id.example.com|me"]}}
connections:
  c: {url: "http://c", access: [{groups: [corp/all]}], default: allow, sql_dialect: postgres}
rules:
"""
HOLD = "  - {name: held, action: hold, match: %s, approval: {require: {any_of: [{groups: [dba]}]}}}\n"


def past(
    arguments: Any, *, at: str = "2026-11-20T12:00:00", was: str = "allow", caller: Caller | None = ME
) -> PastCall:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return PastCall(
        caller=caller, connection="c", method="tools/call", name="query", arguments=arguments, at=moment, was=was
    )


def report(rules: str, *calls: PastCall) -> dict[str, Any]:
    return BackTest(Policy.compile(load(BASE + rules))).run(calls).as_json()


def test_what_would_change_is_counted_by_verdict_day_rule_and_hour() -> None:
    rules = HOLD % "{arguments: [{path: sql, sql_kind_not: [read]}]}"
    found = report(
        rules,
        past({"sql": "select 1"}),
        past({"sql": "delete from x"}, at="2026-11-20T23:10:00"),
        past({"sql": "delete from x"}, at="2026-11-21T10:00:00", was="deny"),
    )

    assert found["verdicts"] == {"allow": 1, "hold": 2}
    assert found["changes"] == [
        {"was": "allow", "now": "allow", "calls": 1},
        {"was": "allow", "now": "hold", "calls": 1},
        {"was": "deny", "now": "hold", "calls": 1},
    ]
    assert found["days"] == {"2026-11-20": {"allow": 1, "hold": 1}, "2026-11-21": {"hold": 1}}
    assert found["rules"] == {"held": {"hold": 2}}
    dba = found["load"]["dba"]
    assert (dba["asked"], dba["at_night"], dba["by_hour"][23], dba["by_hour"][10]) == (2, 1, 1, 1)


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("match", "arguments", "now"),
    [
        ('{arguments: [{path: note, matches: "ada"}]}', {"note": "to [email]"}, "unknown"),
        ('{arguments: [{path: note, matches: "to"}]}', {"note": "to [email]"}, "hold"),
        ('{arguments: [{path: other, matches: "ada"}]}', {"note": "to [email]"}, "allow"),
        ('{arguments: [{path: card, equals: "4111"}]}', {"card": "****1111"}, "unknown"),
        ("{arguments: [{path: sql, sql_kind: [bulk_write]}]}", {"sql": "delete from x where a = '[email]'"}, "allow"),
        ("{tools: [query]}", {"note": "[email]"}, "hold"),
        ("{tools: [query]}", None, "unknown"),
    ],
)
def test_what_was_masked_or_erased_is_never_guessed(match: str, arguments: Any, now: str) -> None:
    assert report(HOLD % match, past(arguments))["verdicts"] == {now: 1}


def test_a_caller_who_was_erased_is_unknown() -> None:
    assert report(HOLD % "{tools: [query]}", past({}, caller=None))["verdicts"] == {"unknown": 1}


def test_each_call_is_judged_at_its_own_time_and_in_the_groups_of_the_new_policy() -> None:
    weekend = "{time: {zone: UTC, days: [sat, sun]}, callers: {groups: [me]}}"
    found = report(HOLD % weekend, past({}, at="2026-11-20T12:00:00"), past({}, at="2026-11-21T12:00:00"))

    assert found["verdicts"] == {"allow": 1, "hold": 1}
    assert report(HOLD % "{callers: {groups: [gone]}}", past({}))["verdicts"] == {"allow": 1}


def test_a_rule_in_observe_mode_counts_what_it_would_have_done() -> None:
    rules = "  - {name: seen, action: deny, mode: observe, match: {tools: [query]}}\n"

    assert report(rules, past({}))["rules"] == {"seen": {"would": 1}}


def test_claims_that_nobody_looked_at_then_are_unknown() -> None:
    rules = HOLD % "{callers: {claims: {repository: acme/*}}}"
    known = replace(ME, claims=(("repository", ("acme/shop",)),))

    assert report(rules, past({}), past({}, caller=known))["verdicts"] == {"unknown": 1, "hold": 1}


def test_who_called_is_read_from_what_the_session_says() -> None:
    said = {"iss": "https://id.example.com", "sub": "x", "kind": "ci", "groups": ["corp/a"], "run": {"run_id": "7"}}
    caller = past_caller(said, {"https://id.example.com": "corp"})

    assert caller is not None
    assert (caller.key, caller.kind, caller.issuer, caller.run) == (
        "https://id.example.com|x",
        "ci",
        "corp",
        (("run_id", "7"),),
    )
    assert past_caller(None, {}) is None
    assert past_caller({"kind": "robot"}, {}) is None


def test_the_report_is_told_in_lines() -> None:
    tested = BackTest(Policy.compile(load(BASE + HOLD % "{tools: [query]}")))
    assert "nothing to judge" in told(tested.report, 7)
    tested.add(past({}))
    lines = told(tested.report, 7).splitlines()

    assert lines[1].split() == ["1", "were", "allow,", "would", "be", "hold"]
    assert lines[-1].startswith("group dba: asked 1 time(s)")
