"""What is kept of a verdict, through the real gateway: places in the record, deletable, values nowhere twice."""

from __future__ import annotations

import json
from typing import Any

from tests.line import Answer
from tests.people import DAVE, GRACE
from tests.world import World, marker


def kept(here: World, answer: Answer) -> Any:
    """Return what the API says of how a call was judged."""
    call = (answer.ours("decision") or answer.approval)["call_id"]
    found = here.api(GRACE, "GET", f"calls/{call}/")
    assert found.status_code == 200, found.text
    return found.json()["judged"]


def bodies(here: World, mark: str) -> list[bytes]:
    """Return the payloads of the record in which this marker stands."""
    return [body for (body,) in here.stored.rows("SELECT body FROM mcp_sessions_payload") if mark.encode() in body]


def test_a_denied_and_a_held_call_keep_where_their_rules_were_met(here: World) -> None:
    caller = here.caller(DAVE)
    denied = kept(here, caller.call("query", {"sql": "drop table x", "marker": marker()}))
    held = kept(here, caller.call("query", {"sql": "delete from x", "marker": marker()}, prefer="wait=0"))

    assert [(one["rule"], one["action"]) for one in denied["rules"]] == [("never-drop", "deny")]
    assert "sql" in denied["rules"][0]["met"][0]["at"]
    assert [(one["rule"], one["action"]) for one in held["rules"]] == [("writes-need-a-dba", "hold")]
    assert denied["rules_read"] == held["rules_read"] == 9


def test_a_call_of_which_no_rule_spoke_keeps_how_many_were_read(here: World) -> None:
    answer = here.caller(DAVE).call("query", {"sql": "select 1", "marker": (mark := marker())})

    assert kept(here, answer) == {"policy_revision": 1, "rules_read": 9, "rules": []}
    assert not any(b'"met"' in body for body in bodies(here, mark))


def test_no_value_is_written_down_a_second_time_and_the_leaf_holds_no_place(here: World) -> None:
    mark, key = marker(), f"key-{marker()}"
    answer = here.caller(DAVE).call("query", {"sql": f"drop table {mark}", key: "drop it"})

    assert key in json.dumps(kept(here, answer))
    assert len(bodies(here, mark)) == 1, "the request alone"
    assert len(bodies(here, key)) == 2, "the request, and the place"
    leaves = b"".join(leaf for (leaf,) in here.stored.rows("SELECT leaf FROM mcp_sessions_entry"))
    assert key.encode() not in leaves


def test_a_place_that_is_personal_data_is_masked(here: World) -> None:
    answer = here.caller(DAVE).call("query", {"sql": "x", "canary.place@planted.example.net": "drop it"})

    assert "[email]" in json.dumps(kept(here, answer))
    assert bodies(here, "canary.place@planted") == []
