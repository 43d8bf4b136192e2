"""The record misses nothing of what passes: also lists, the handshake, notifications, servers that are away."""

from __future__ import annotations

import json
from typing import Any

from tests.people import DAVE
from tests.world import World, marker


def _leaves(here: World, call: str) -> list[dict[str, Any]]:
    rows = here.stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE call_id = ? ORDER BY id", call)
    return [json.loads(leaf) for (leaf,) in rows]


def _methods(here: World, since: int) -> set[tuple[str, str]]:
    rows = here.stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE id > ? ORDER BY id", since)
    return {(leaf["kind"], leaf["method"]) for leaf in (json.loads(row) for (row,) in rows)}


def _newest(here: World) -> int:
    return int(here.stored.value("SELECT MAX(id) FROM mcp_sessions_entry"))


def test_handshake_notifications_and_lists_are_entries_as_calls_are(here: World) -> None:
    before = _newest(here)

    here.caller(DAVE).initialize().ask("tools/list")

    found = _methods(here, before)
    for method in ("initialize", "notifications/initialized", "tools/list"):
        assert {("call.intent", method), ("call.result", method)} <= found


def test_request_and_masked_answer_of_a_call_are_committed_apart(here: World) -> None:
    answer = here.caller(DAVE).call("echo", {"text": "ada@example.com", "marker": marker()})

    leaves = {leaf["kind"]: leaf for leaf in _leaves(here, answer.decision["call_id"])}

    request, result = (leaves[kind]["payloads"] for kind in ("call.intent", "call.result"))
    assert "request" in request
    assert "answer" in result
    assert request["request"]["c"] != result["answer"]["c"]
    # What the server was sent and what it said are committed too, without a payload to keep.
    assert leaves["call.intent"]["facts"]["request"]
    assert leaves["call.result"]["facts"]["upstream"] not in {"", leaves["call.intent"]["facts"]["request"]}


def test_the_same_answer_of_a_server_has_the_same_commitment_and_another_one_has_not(here: World) -> None:
    def said(text: str) -> str:
        line = here.caller(DAVE)
        answer = line.post({**line.tool_call("echo", {"text": text, "marker": "same"}), "id": "same"})
        return str(_leaves(here, answer.decision["call_id"])[-1]["facts"]["upstream"])

    # Masked they are the same: what the server really said is told apart all the same.
    assert said("ada@example.com") == said("ada@example.com") != said("eve@example.com")


def test_faults_and_refusals_have_receipts_of_their_entries(here: World) -> None:
    fault = here.caller(DAVE, "dead").call("query", {})
    refused = here.caller(DAVE).ask("tools/call", {"name": "no_such_tool", "arguments": {}})
    given = [fault.result["_meta"]["holdgate/receipt"], refused.body["error"]["data"]["receipt"]]

    sql = "SELECT kind FROM mcp_sessions_entry WHERE leaf_hash = ?"
    told = [here.stored.value(sql, bytes.fromhex(receipt["entry"])) for receipt in given]
    assert told == ["call.refused", "call.blocked"]


def test_a_server_that_is_away_is_told_once(here: World) -> None:
    for _ in range(2):
        assert here.caller(DAVE, "dead").call("query", {}).outcome[0] == "upstream_unavailable"

    told = here.stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE kind = 'server.down' AND connection = 'dead'")

    assert len(told) == 1
    assert json.loads(told[0][0])["call"] == "", "it is of the server, and not of one call"


def test_who_signs_the_log_is_an_entry(here: World) -> None:
    assert here.stored.rows("SELECT id FROM mcp_sessions_entry WHERE kind = 'log.led'")
