"""An approval that nobody has collected yet serves the very call and the very rules that it was given for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import people, upstream
from tests.issuer import FakeIssuer
from tests.people import CAROL, DAVE
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("bound-decision")
EXTRA = "deletes-need-security-too"


def holds(name: str, group: str, count: int = 1, **terms: Any) -> dict[str, Any]:
    match = {"arguments": [{"path": "sql", "matches": r"(?i)\bdelete\b"}]}
    require = {"any_of": [{"groups": [group], "count": count}]}
    return {"name": name, "action": "hold", "match": match, "approval": {"require": require, **terms}}


@pytest.fixture
def house(tmp_path: Path, issuer: FakeIssuer) -> Iterator[World]:
    """A gateway of this test alone, for its policy changes."""
    with upstream.running() as orders:
        text = people.config_yaml(issuer.url, orders.url, rules=[holds("deletes-need-a-dba", "dba")])
        with world(tmp_path, issuer, {people.CONNECTION: orders}, text) as here:
            here.start()
            yield here


def change(house: World, *rules: dict[str, Any]) -> None:
    """Apply another configuration while the gateway runs."""
    house.gateway.configure(people.config_yaml(house.issuer.url, house.upstream.url, rules=list(rules)))
    house.gateway.manage("policy", "apply", str(house.gateway.folder / "holdgate.yaml"))


def call(house: World, mark: str) -> dict[str, Any]:
    """Send the call and do not wait; return the result."""
    line = house.caller(DAVE)
    return line.call("query", {"sql": "delete from orders", "marker": mark}, prefer="wait=0").result


@pytest.mark.parametrize(
    "now",
    [
        [holds("deletes-need-a-dba", "dba", 2)],
        [holds("deletes-need-a-dba", "dba"), holds(EXTRA, "security")],
        [holds(EXTRA, "security")],
    ],
    ids=["the rule asks for more", "another rule holds as well", "another rule holds instead"],
)
def test_an_approval_does_not_serve_other_rules_than_those_it_was_given_for(now: Any, house: World) -> None:
    mark = marker()
    first = call(house, mark)["_meta"]["holdgate/approval"]["id"]
    house.approve(first)
    change(house, *now)
    result = call(house, mark)
    assert result["isError"], result
    assert result["_meta"]["holdgate/decision"]["reason"] == "pending"
    assert result["_meta"]["holdgate/approval"]["id"] != first
    assert house.approval(first)["status"] == "superseded"
    assert house.upstream.markers[mark] == 0


def test_an_approval_serves_its_rule_whatever_else_changed(house: World) -> None:
    mark = marker()
    first = call(house, mark)["_meta"]["holdgate/approval"]["id"]
    house.approve(first)
    aside = {"name": "aside", "action": "deny", "match": {"tools": ["another"]}}
    change(house, holds("deletes-need-a-dba", "dba"), aside)
    result = call(house, mark)
    assert not result["isError"], result
    assert house.upstream.markers[mark] == 1


def test_a_rule_that_now_denies_beats_the_approval(house: World) -> None:
    mark = marker()
    first = call(house, mark)["_meta"]["holdgate/approval"]["id"]
    house.approve(first)
    deny = {"name": "never", "action": "deny", "match": {"tools": ["query"]}}
    change(house, holds("deletes-need-a-dba", "dba"), deny)
    result = call(house, mark)
    assert result["_meta"]["holdgate/decision"]["reason"] == "blocked"
    assert house.decide(first, "approve", CAROL).status_code in {403, 404}
    assert house.upstream.markers[mark] == 0


EMERGENCY = holds("deletes-need-a-dba", "dba", 2, break_glass={"groups": ["security"]})


def alone(house: World, approval: str) -> None:
    answer = house.api(CAROL, "POST", f"approvals/{approval}/break-glass/", json={"reason": "orders are down"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "approved"


def test_a_caller_on_the_line_is_served_at_once_when_one_person_approves_alone(house: World) -> None:
    change(house, EMERGENCY)
    mark = marker()
    held = house.caller(DAVE).begin("query", {"sql": "delete from orders", "marker": mark})
    alone(house, held.approval_id)
    assert not held.answer().is_error
    assert house.upstream.markers[mark] == 1
    (debt,) = house.api(CAROL, "GET", "reviews/?open=true").json()["results"]
    assert debt["approval"] == held.approval_id


def test_a_rule_that_denies_beats_an_emergency(house: World) -> None:
    change(house, EMERGENCY)
    mark = marker()
    first = call(house, mark)["_meta"]["holdgate/approval"]["id"]
    alone(house, first)
    change(house, EMERGENCY, {"name": "never", "action": "deny", "match": {"tools": ["query"]}})
    result = call(house, mark)
    assert result["_meta"]["holdgate/decision"]["reason"] == "blocked"
    assert house.upstream.markers[mark] == 0
    assert house.approval(first)["break_glass"]["closed"] is None
