"""An agent without access asks for it at /mcp/gateway, waits for people, and calls while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import ALICE, CONNECTION, EVE, GRACE
from tests.upstream import running
from tests.world import World, marker, until, world

OWN = "gateway"
WANTED = {"connection": CONNECTION, "seconds": 600, "reason": "The export failed.", "tools": ["que*"]}
every_era = pytest.mark.parametrize("era", ["legacy", "modern"])


@pytest.fixture(scope="module")
def house(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose connection can be asked for, for an hour at most."""
    asked = {"require": {"any_of": [{"groups": ["dba"]}]}, "max_duration": "1h"}
    with running() as upstream:
        made = connection(upstream.url, access_requests=asked, description="Orders")
        closed = connection(upstream.url, access=[])
        text = people.config_yaml(
            issuer.url, "", **spelled_out(connections={CONNECTION: made, "closed": closed}, rules=[])
        )
        with world(tmp_path_factory.mktemp("asking"), issuer, {CONNECTION: upstream}, text) as here:
            here.start()
            yield here
            here.gateway.stop()


def said(answer: Answer) -> dict[str, Any]:
    assert not answer.is_error, answer.text
    return dict(answer.result["structuredContent"])


@every_era
@pytest.mark.promise("fail-closed")
def test_access_is_asked_for_waited_for_and_used(house: World, era: str) -> None:
    who = people.Human(f"guest-{era}", "A guest")
    own, line = house.caller(who, OWN, era=era), house.caller(who, era=era)
    offered = said(own.call("list_connections", {}))
    assert (offered["connections"], offered["requestable"]) == (
        [],
        [{"name": CONNECTION, "description": "Orders", "longest": 3600}],
    )
    assert line.call("query", {"sql": "select 1"}).status == 403

    asked = said(own.call("request_access", WANTED))["approval"]
    assert (asked["status"], asked["who_decides"]) == ("pending", "1 of dba")
    assert said(own.call("request_access", WANTED))["joined"] is True
    waiting = own.begin("wait_for_approval", {"approval_id": asked["id"]})
    assert waiting.approval_id == asked["id"]
    assert house.decide(asked["id"], "approve", ALICE).status_code == 200

    assert "is open until" in said(waiting.answer())["approval"]["next_step"]
    mine = until(lambda: said(own.call("list_connections", {}))["connections"], "the connection")
    assert [(one["name"], one["tools"], one["access"]) for one in mine] == [(CONNECTION, ["que*"], asked["id"])]
    assert not line.call("query", {"sql": "select 1", "marker": marker()}).is_error
    assert line.call("echo", {"text": "hi"}).outcome == ("forbidden", "false")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"connection": "closed"}, "forbidden"),
        ({"connection": "no-such"}, "forbidden"),
        ({"seconds": 7200}, "invalid_request"),
        ({"seconds": 0}, "invalid_request"),
        ({"reason": "  "}, "invalid_request"),
        ({"reason": "why\0not"}, "invalid_request"),
        ({"tools": []}, "invalid_request"),
        ({"tools": ["drop table"]}, "invalid_request"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_asks_nobody(
    house: World, changes: dict[str, Any], reason: str
) -> None:
    answer = house.caller(EVE, OWN).call("request_access", {**WANTED, **changes})

    assert answer.outcome == (reason, "false")
    listed = house.api(GRACE, "GET", "approvals/?status=pending").json()["results"]
    assert [one for one in listed if one["requester"]["sub"] == EVE.sub] == []


def test_the_record_tells_the_same_story(house: World) -> None:
    house.assert_history()
