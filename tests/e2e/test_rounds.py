"""Calls in rounds (2026-07-28): what a server may ask, and its state, which is one caller's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import questions
from tests.line import CAPABILITIES_KEY, Answer, Line
from tests.people import AGENT, DAVE
from tests.world import World

pytestmark = pytest.mark.promise("unchanged-clients")

TOOL = "test_input_required_result_request_state"
ABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
CONFIRMED = {"confirm": {"action": "accept", "content": {"ok": True}}}


def modern(world: World, who: Any = DAVE, connection: str = "everything") -> Line:
    return world.caller(who, connection, era="modern")


def begin(line: Line, tool: str = TOOL, **more: Any) -> Answer:
    return line.ask("tools/call", {"name": tool, "arguments": {}, "_meta": {CAPABILITIES_KEY: ABLE}, **more})


def test_a_call_in_rounds_ends_and_its_state_is_sealed(everything_gateway: World) -> None:
    line = modern(everything_gateway)
    asked = begin(line)
    state = asked.result["requestState"]

    done = begin(line, requestState=state, inputResponses=CONFIRMED)

    assert asked.result["resultType"] == "input_required"
    assert asked.result["inputRequests"]["confirm"]["method"] == "elicitation/create"
    assert done.said == "state-ok"
    assert asked.decision["verdict"] == done.decision["verdict"] == "allow"


def test_a_state_is_of_one_caller_and_one_call(everything_gateway: World) -> None:
    line, other = modern(everything_gateway), "test_input_required_result_tampered_state"
    state = begin(line).result["requestState"]
    changed = state[:-1] + ("a" if state[-1] != "a" else "b")

    refused = [
        begin(modern(everything_gateway, AGENT), requestState=state, inputResponses=CONFIRMED),
        begin(modern(everything_gateway, connection="brief"), requestState=state, inputResponses=CONFIRMED),
        begin(line, other, requestState=state, inputResponses=CONFIRMED),
        begin(line, requestState=changed, inputResponses=CONFIRMED),
        begin(line, requestState=7, inputResponses=CONFIRMED),
    ]

    assert [(one.status, one.body["error"]["code"]) for one in refused] == [(400, -32602)] * 5


def test_a_server_asks_only_what_the_connection_allows(everything_gateway: World) -> None:
    answer = begin(modern(everything_gateway, connection="closed"))

    assert answer.is_error
    assert answer.outcome == ("blocked", "unknown")
    assert "inputRequests" not in answer.result


def test_answers_to_a_server_are_masked_on_their_way(everything_gateway: World) -> None:
    responses = {"user_name": {"action": "accept", "content": {"name": "jo@example.com", "salary": 7}}}
    line = modern(everything_gateway)

    begin(line, "echo_responses", inputResponses=responses)

    assert questions.HEARD[-1] == '{"action": "accept", "content": {"name": "[email]"}}'


@pytest.mark.parametrize("method", ["tools/list", "resources/list", "prompts/list"])
def test_what_differs_by_caller_is_kept_for_one_alone(everything_gateway: World, method: str) -> None:
    listed = modern(everything_gateway).ask(method).result

    assert (listed["cacheScope"], listed["ttlMs"]) == ("private", 60_000)
