"""What a change loosens is told; what tightens is not; and in doubt it is told as a maybe."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.config.loader import load
from approvals.rules.loosening import loosenings

RULE: dict[str, Any] = {"name": "r", "action": "deny", "match": {"tools": ["drop*", "query"]}}
TERMS: dict[str, Any] = {
    "require": {"any_of": [{"groups": ["dba"], "count": 2}]},
    "reason": "required",
    "mfa": "required",
}
HELD: dict[str, Any] = {"name": "r", "action": "hold", "match": {"tools": ["query"]}, "approval": TERMS}
MASK = {"name": "m", "detectors": ["email", "iban"], "except_groups": ["dba"]}
CORP = {"name": "corp", "issuer": "https://id.example.com", "audiences": ["a"], "login": True}
CONNECTION = {
    "url": "http://c",
    "default": "deny",
    "access": [{"groups": ["dba"], "kinds": ["person"], "tools": ["query"]}],
    "rate": [{"calls": 5, "per": "1m"}],
}
HUMAN = {"name": "Alice", "accounts": ["https://id.example.com|a", "https://id.example.com|b"]}


def told(before: dict[str, Any], after: dict[str, Any], **both: Any) -> list[str]:
    """Return what is looser after a change of some blocks of a small configuration."""
    base: dict[str, Any] = {
        "version": 1,
        "issuers": [CORP],
        "groups": {"dba": {"members": ["alice@example.com"]}, "ops": {"members": ["bob@example.com"]}},
        "connections": {"c": {**CONNECTION, "default": "allow"}},
        **both,
    }
    old, new = (load(json.dumps({**base, **blocks})) for blocks in (before, after))
    return [str(one) for one in loosenings(old, new)]


def rules(was: dict[str, Any] | None, now: dict[str, Any] | None, **both: Any) -> list[str]:
    before, after = ({"rules": [] if one is None else [one]} for one in (was, now))
    return told(before, after, **both)


def terms(**changes: Any) -> list[str]:
    return rules(HELD, {**HELD, "approval": {**TERMS, **changes}})


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (None, ["rules.r: is removed"]),
        ({**RULE, "mode": "observe"}, ["rules.r: only observes"]),
        ({**RULE, "action": "hold", "approval": TERMS}, ["rules.r: deny became hold"]),
        ({**RULE, "action": "allow"}, ["rules.r: deny became allow"]),
        ({**RULE, "match": {"tools": ["query"]}}, ["rules.r: stops fewer or other calls"]),
        ({**RULE, "match": {"tools": ["other"]}}, ["rules.r: maybe: stops fewer or other calls"]),
        (
            {**RULE, "match": {**RULE["match"], "arguments": [{"path": "a", "exists": True}]}},
            ["rules.r: stops fewer or other calls"],
        ),
        ({**RULE, "match": {"methods": ["prompts/get"]}}, ["rules.r: maybe: stops fewer or other calls"]),
        ({**RULE, "unless": [{"tools": ["query"]}]}, ["rules.r: has further exceptions (unless)"]),
        ({**RULE, "message": "Not here."}, []),
        ({**RULE, "match": {"tools": ["*"]}}, []),
        ({**RULE, "match": {"tools": ["drop*", "query", "more"]}}, []),
    ],
)
def test_a_rule_that_stops_less_is_looser(now: dict[str, Any] | None, said: list[str]) -> None:
    assert rules(RULE, now) == said


def test_what_a_rule_did_not_enforce_is_no_loss() -> None:
    assert rules({**RULE, "mode": "observe"}, None) == []
    assert rules(None, RULE) == []
    assert rules({**RULE, "unless": [{"tools": ["query"]}]}, RULE) == []


def test_an_allowance_is_looser_where_it_says_more() -> None:
    allow = {"name": "r", "action": "allow", "match": {"tools": ["a"]}, "unless": [{"connections": ["x"]}]}
    strict = {"connections": {"c": CONNECTION}}

    assert rules(None, allow, **strict) == ["rules.r: maybe: allows what a default would stop"]
    assert rules(None, allow) == []
    assert rules(allow, {**allow, "match": {"tools": ["a", "b"]}}) == ["rules.r: allows more or other calls"]
    assert rules(allow, {key: allow[key] for key in ("name", "action", "match")}) == [
        "rules.r: has fewer exceptions (unless)"
    ]
    assert rules(allow, None, **strict) == []
    assert rules(None, HELD, **strict) == ["rules.r: maybe: holds what a default would deny"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"require": {"any_of": [{"groups": ["dba"], "count": 1}]}}, "fewer people must approve (require)"),
        ({"require": {"any_of": [{"groups": ["dba", "ops"], "count": 2}]}}, "more groups may approve (require)"),
        ({"require": {"any_of": [{"groups": ["ops"], "count": 2}]}}, "maybe: more groups may approve (require)"),
        (
            {"require": {"any_of": [{"groups": ["dba"], "count": 2}, {"groups": ["ops"]}]}},
            "there are more ways to approve (require)",
        ),
        ({"reason": "optional"}, "reason is optional"),
        ({"mfa": "optional"}, "mfa is optional"),
        ({"comment": "optional"}, "comment is optional"),
        ({"collect_within": "3h"}, "collect_within is longer"),
        ({"expires_after": "3h"}, "expires_after is longer"),
        ({"remember": {"scopes": ["same_tool"]}}, "remember is there"),
        ({"break_glass": {"groups": ["dba"]}}, "break_glass is there"),
        ({"escalate": [{"after": "5m", "add_groups": ["ops"]}]}, "escalate is there"),
        ({"reveal_to": ["ops"]}, "more approvers may see what is hidden (reveal_to)"),
        ({"delegation": "forbidden", "comment": "required", "expires_after": "5m"}, None),
        ({"require": {"any_of": [{"groups": ["dba"], "count": 3}]}}, None),
        ({"remind_after": "5m"}, None),
    ],
)
def test_terms_on_which_people_decide_more_easily_are_looser(changes: dict[str, Any], said: str | None) -> None:
    assert terms(**changes) == ([] if said is None else [f"rules.r: {said}"])


def test_a_place_less_among_those_that_all_must_approve_is_looser() -> None:
    both = {"require": {"all_of": [{"groups": ["dba"]}, {"groups": ["ops"]}]}}
    one = {"require": {"all_of": [{"groups": ["dba"]}]}}
    any_one = {"require": {"any_of": [{"groups": ["dba"]}, {"groups": ["ops"]}]}}
    made = [{**HELD, "approval": approval} for approval in (both, one, any_one)]

    assert rules(made[0], made[1]) == ["rules.r: fewer people must approve (require)"]
    assert rules(made[1], made[0]) == []
    assert rules(made[0], made[2]) == ["rules.r: maybe: other people must approve (require)"]
    assert rules(made[2], {**HELD, "approval": {"require": {"any_of": [{"groups": ["dba"]}]}}}) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"default": "hold", "default_approval": TERMS}, ["the default deny became hold"]),
        ({"mode": "observe", "observe_until": "2027-01-01"}, ["it only observes"]),
        ({"access": [{"groups": ["dba"], "tools": ["query"]}]}, ["more may use it (access)"]),
        ({"access": [{"groups": ["dba", "ops"], "kinds": ["person"]}]}, ["more may use it (access)"]),
        ({"rate": []}, ["its rate by caller is gone or higher"]),
        ({"rate": [{"calls": 6, "per": "1m"}]}, ["its rate by caller is gone or higher"]),
        ({"server_requests": ["roots"]}, ["its server may ask callers for more (server_requests)"]),
        ({"pin_tools": False}, ["its tools are not pinned any more (pin_tools)"]),
        ({"url": "http://d"}, ["maybe: url is another"]),
        ({"labels": {"env": "test"}}, ["maybe: labels is another"]),
        (
            {"access_requests": {"require": {"any_of": [{"groups": ["dba"]}]}}},
            ["access can be asked for (access_requests)"],
        ),
        ({"access": [], "rate": [{"calls": 4, "per": "2m"}], "timeout": "5s", "description": "New."}, []),
    ],
)
def test_a_connection_that_admits_more_is_looser(changes: dict[str, Any], said: list[str]) -> None:
    found = told({"connections": {"c": CONNECTION}}, {"connections": {"c": {**CONNECTION, **changes}}})

    assert found == [f"connections.c: {one}" for one in said]


def test_a_further_connection_may_be_looser_and_one_less_is_not() -> None:
    one, two = {"connections": {"c": CONNECTION}}, {"connections": {"c": CONNECTION, "d": CONNECTION}}

    assert told(one, two) == ["connections.d: maybe: a further server can be reached"]
    assert told(two, one) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"detectors": ["email"]}, "hides less (detectors)"),
        ({"connections": ["c"]}, "hides on fewer connections"),
        ({"except_groups": ["dba", "ops"]}, "more groups see what it hides"),
        ({"replace": "partial"}, "maybe: hides in another way (replace)"),
        ({"replace": "remove", "detectors": ["email", "iban", "credit_card"], "except_groups": []}, None),
    ],
)
def test_masking_that_hides_less_is_looser(changes: dict[str, Any], said: str | None) -> None:
    found = told({"masking": [MASK]}, {"masking": [{**MASK, **changes}]})

    assert found == ([] if said is None else [f"masking.m: {said}"])
    assert told({"masking": [MASK]}, {}) == ["masking.m: is removed"]
    assert told({}, {"masking": [MASK]}) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pattern": "b"}, ["maybe: has another pattern"]),
        ({"checksum": "luhn"}, ["finds only what has the check sum luhn"]),
        ({"names": ["x"]}, ["knows fewer names"]),
        ({"names": ["x", "y", "z"]}, []),
    ],
)
def test_a_detector_that_finds_less_is_looser(changes: dict[str, Any], said: list[str]) -> None:
    own = {"name": "own", "pattern": "a", "names": ["x", "y"]}

    assert told({"detectors": [own]}, {"detectors": [{**own, **changes}]}) == [f"detectors.own: {one}" for one in said]
    assert told({}, {"detectors": [own]}) == told({"detectors": [own]}, {}) == []


def test_a_pack_switched_off_takes_its_rules_along() -> None:
    on: dict[str, Any] = {"packs": ["payment-cards"]}
    off: dict[str, Any] = {}
    observed = {
        "rules": [{**RULE, "name": "payment-cards-in-arguments", "overrides": "payment-cards", "mode": "observe"}]
    }

    assert told(on, off) == ["masking.payment-cards-hidden: is removed", "rules.payment-cards-in-arguments: is removed"]
    assert told(off, on) == []
    assert told(on, {**on, **observed}) == ["rules.payment-cards-in-arguments: only observes"]


def test_a_wider_group_is_looser_and_a_narrower_one_where_rules_stop_it() -> None:
    small = {"groups": {"dba": {"members": ["alice@example.com"]}, "ops": {}}}
    large = {"groups": {"dba": {"members": ["alice@example.com", "eve@example.com"]}, "ops": {}}}
    stopped = [{**RULE, "match": {"callers": {"groups": ["dba"]}}}]
    kept_out = [{"name": "a", "action": "allow", "match": {"callers": {"not_groups": ["dba"]}}}]
    excepted = [
        {"name": "a", "action": "allow", "match": {"tools": ["*"]}, "unless": [{"callers": {"groups": ["dba"]}}]}
    ]

    assert told(small, large) == ["groups.dba: has more members"]
    assert told(large, small) == []
    for named in (stopped, kept_out, excepted):
        assert told(large, small, rules=named) == ["groups.dba: maybe: has fewer members, and rules name it"]


def test_who_is_let_in_and_who_is_one_human_being() -> None:
    ci = {"name": "ci", "issuer": "https://ci.example.com", "audiences": ["a"]}
    wider = {**CORP, "audiences": ["a", "b"], "trust_email": True}

    assert told({}, {"issuers": [CORP, ci]}) == ["issuers.ci: its callers are let in"]
    assert told({"issuers": [CORP, ci]}, {}) == []
    assert told({}, {"issuers": [wider]}) == ["issuers.corp: takes more audiences", "issuers.corp: trust_email is true"]
    assert told({}, {"issuers": [{**CORP, "groups_claim": "g"}]}) == ["issuers.corp: maybe: groups_claim is another"]
    assert told({"people": [HUMAN]}, {}) == ["people: accounts are not known to be one human being any more"]
    assert told({}, {"people": [HUMAN]}) == ["people: maybe: further accounts share the rights of one human being"]
    assert told({}, {"roles": {"admin": ["dba"]}}) == ["roles.admin: more groups have it"]
    assert told({"roles": {"admin": ["dba"]}}, {}) == []


def test_the_same_configuration_loosens_nothing() -> None:
    blocks = {"rules": [RULE], "masking": [MASK], "people": [HUMAN], "packs": ["secrets"]}

    assert told(blocks, blocks) == []
