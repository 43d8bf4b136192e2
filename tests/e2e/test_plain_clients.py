"""Calls as a script makes them with curl, through the real gateway process: plain JSON, both eras."""

from __future__ import annotations

import pytest

from tests.line import JSON_ONLY
from tests.people import DAVE
from tests.upstream_tools import ROWS
from tests.world import World, marker

pytestmark = pytest.mark.parametrize("era", ["legacy", "modern"])


@pytest.mark.promise("masked-everywhere")
@pytest.mark.promise("unchanged-clients")
def test_an_allowed_call_comes_back_masked_and_otherwise_as_the_server_sent_it(here: World, era: str) -> None:
    answer = here.caller(DAVE, era=era).call("query", {"sql": "select 1", "marker": marker()}, accept=JSON_ONLY)

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    rows = answer.result["structuredContent"]["rows"]
    assert [(row["id"], row["name"]) for row in rows] == [(row["id"], row["name"]) for row in ROWS]
    assert [row["email"] for row in rows] == ["masked@masked.invalid"] * 2
    assert [row["card"] for row in rows] == ["****1111", "****0004"]
    assert "@example.com" not in answer.text
    assert answer.decision["verdict"] == "allow"
    assert (answer.result.get("resultType") == "complete") is (era == "modern")


@pytest.mark.promise("fail-closed")
def test_a_blocked_call_never_reaches_the_upstream(here: World, era: str) -> None:
    mark = marker()

    answer = here.caller(DAVE, era=era).call("query", {"sql": "drop table x", "marker": mark}, accept=JSON_ONLY)

    assert (answer.status, answer.is_error) == (200, True)
    assert answer.outcome == ("blocked", "false")
    assert answer.decision["rule"] == "never-drop"
    assert "Changing the schema is not allowed here." in answer.said
    assert here.upstream.markers[mark] == 0
    assert mark.encode() not in b"".join(seen.body for seen in here.upstream.requests)


@pytest.mark.promise("bound-decision")
def test_a_held_call_waits_silently_for_a_json_client_and_runs_once_when_approved(here: World, era: str) -> None:
    mark = marker()
    held = here.caller(DAVE, era=era).begin("query", {"sql": "delete from x", "marker": mark}, accept=JSON_ONLY)
    (approval,) = here.asked_for(mark)
    assert here.upstream.markers[mark] == 0

    here.approve(approval)

    answer = held.answer()
    assert answer.headers["content-type"] == "application/json"
    assert (answer.is_error, answer.approval["id"], answer.approval["status"]) == (False, approval, "executed")
    assert answer.decision["verdict"] == "hold"
    assert here.upstream.markers[mark] == 1
    assert here.approval(approval)["executed"] == "true"


def test_a_held_call_that_is_denied_says_why_and_never_reaches_the_upstream(here: World, era: str) -> None:
    mark = marker()
    held = here.caller(DAVE, era=era).begin("query", {"sql": "delete from x", "marker": mark})

    denied = here.decide(held.approval_id, "deny", comment="not on a Friday; ask zoe@example.com")

    assert denied.json()["status"] == "denied"
    answer = held.answer()
    assert answer.is_error
    assert answer.outcome == ("denied", "false")
    assert "not on a Friday; ask [email]" in answer.said
    assert answer.approval["status"] == "denied"
    assert here.upstream.markers[mark] == 0


def test_past_its_limit_a_held_call_is_pending_and_the_identical_call_joins_it(here: World, era: str) -> None:
    caller, mark = here.caller(DAVE, era=era), marker()
    first = caller.call("query", {"sql": "delete from x", "marker": mark}, prefer="wait=0")
    assert first.is_error
    assert first.outcome == ("pending", "false")
    assert first.approval["status"] == "pending"
    assert first.decision["retry_after"] > 0
    assert first.approval["url"] == f"{here.gateway.url}/approvals/{first.approval['id']}/"

    second = caller.begin("query", {"marker": mark, "sql": "delete from x"})
    assert second.approval_id == first.approval["id"]
    here.approve(first.approval["id"])

    answer = second.answer()
    assert not answer.is_error
    assert answer.decision["call_id"] == first.decision["call_id"]
    assert here.upstream.markers[mark] == 1
