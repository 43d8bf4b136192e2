"""kill -9 of what is not a call: of the recovery after a kill, and of the command that publishes a policy."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import Houses
from tests.chaos.house import KILLED, configuration, ended
from tests.gateway import launch
from tests.people import DAVE
from tests.world import World, marker, until

LONG = pytest.mark.chaos


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=LONG)])
def test_the_recovery_is_killed_and_recovered_from(houses: Houses, when: str) -> None:
    house, mark = houses["sqlite"], marker()
    arguments = {"sql": "delete from x", "marker": mark}

    def execute(at: World) -> None:
        held = at.caller(DAVE).begin("query", arguments)
        at.decide(held.approval_id, "approve")
        held.answer()

    house.strike("kill after send", execute)
    house.strike(f"kill {when} call.unknown", lambda at: None)

    at = house.after()
    ((approval, _),) = house.requests(mark)
    ended(house, approval, "outcome_unknown")
    assert at.caller(DAVE).call("query", arguments).outcome == ("outcome_unknown", "unknown")
    assert at.upstream.markers[mark] == 1
    house.assert_history()


@pytest.mark.promise("rule-at-once")
@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=LONG)])
@pytest.mark.parametrize("when", [pytest.param("before", marks=LONG), "after"])
def test_a_publication_is_killed_and_has_happened_or_not(houses: Houses, database: str, when: str) -> None:
    house = houses[database]
    at = house.here if house.here.gateway.process is not None else house.after()
    gateway, number = at.gateway, int(at.stored.value("SELECT max(number) FROM approvals_policyrevision"))
    word = marker()
    rule = {"name": "new", "action": "deny", "match": {"arguments": [{"path": "**", "matches": word}]}}
    text = configuration(at.issuer, at.upstream.url, rules=[rule])
    gateway.configure(text)
    command = ["manage.py", "policy", "apply", str(gateway.folder / "holdgate.yaml")]
    process = launch(command, gateway.env, f"kill {when} policy.published")

    process.communicate(timeout=60)

    assert process.returncode == KILLED
    now = number + (when == "after")
    assert at.stored.value("SELECT max(number) FROM approvals_policyrevision") == now
    answer = at.caller(DAVE).call("query", {"sql": word, "marker": marker()})
    assert answer.decision["policy_revision"] == now
    assert answer.is_error is (when == "after")
    gateway.manage("policy", "apply", str(gateway.folder / "holdgate.yaml"))
    assert at.caller(DAVE).call("query", {"sql": word, "marker": marker()}).is_error
    until(lambda: at.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error is False, "peace")
    gateway.configure(configuration(at.issuer, at.upstream.url))
    gateway.manage("policy", "apply", str(gateway.folder / "holdgate.yaml"))
    house.assert_history()
