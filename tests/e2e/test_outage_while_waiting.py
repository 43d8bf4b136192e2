"""The database fails while people decide: nothing is decided by the failure, and the caller stays on the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import people, upstream
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("fail-closed")

REQUESTS = "approvals_approvalrequest"
EXPIRES = 3


def holds(name: str, word: str, **terms: Any) -> dict[str, Any]:
    match = {"arguments": [{"path": "sql", "matches": word}]}
    require = {"any_of": [{"groups": ["dba"], "count": 1}]}
    return {"name": name, "action": "hold", "match": match, "approval": {"require": require, **terms}}


@pytest.fixture
def house(tmp_path: Path, issuer: FakeIssuer) -> Iterator[World]:
    """A gateway of this test alone, for its database is hurt."""
    with upstream.running() as orders:
        rules = [holds("hasty", "hasty", expires_after=f"{EXPIRES}s"), holds("deletes", "delete")]
        text = people.config_yaml(issuer.url, orders.url, rules=rules)
        with world(tmp_path, issuer, {people.CONNECTION: orders}, text) as here:
            here.start()
            yield here


def looked_in_vain(house: World, times: int) -> None:
    """Wait until the sweep, which comes once a second, failed so often."""
    until(lambda: "".join(house.gateway.log).count("cannot look for decisions") >= times, "failed sweeps")


def test_a_request_that_expires_while_it_cannot_be_read_expires_when_it_can(house: World) -> None:
    mark = marker()
    held = house.caller(DAVE).begin("query", {"sql": "hasty", "marker": mark})
    assert held.approval_id
    house.stored.rows(f"ALTER TABLE {REQUESTS} RENAME TO elsewhere")
    looked_in_vain(house, EXPIRES + 2)
    house.stored.rows(f"ALTER TABLE elsewhere RENAME TO {REQUESTS}")
    assert held.answer().outcome == ("expired", "false")
    assert house.upstream.markers[mark] == 0


def test_a_decision_that_falls_after_an_outage_reaches_who_waited_through_it(house: World) -> None:
    mark = marker()
    held = house.caller(DAVE).begin("query", {"sql": "delete from orders", "marker": mark})
    approval = held.approval_id
    house.stored.rows(f"ALTER TABLE {REQUESTS} RENAME TO elsewhere")
    looked_in_vain(house, 2)
    assert house.decide(approval, "approve").status_code >= 500
    house.stored.rows(f"ALTER TABLE elsewhere RENAME TO {REQUESTS}")
    house.approve(approval)
    assert held.answer().is_error is False
    assert house.upstream.markers[mark] == 1
