"""Every way in which an upstream fails: what the caller is told of it, and that record and API say the same.

All of it directly and through an agent, and the same of both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests import agent as agents
from tests import people
from tests.agent import Agent
from tests.blocks import one_dba, spelled_out, word_rule
from tests.history import ENDS
from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import DAVE
from tests.upstream import FAULTS, running
from tests.world import World, marker, world

SECRET = "agents-own-credential-Tz5mQy2w"
UNKNOWN, NOT_RUN, RAN = "unknown", "false", "true"
# What the contract says of each fault: reason, whether it was executed, how the record calls the end.
EXPECTED = {
    "hang": ("upstream_timeout", UNKNOWN, "call.unknown"),
    "drip": ("upstream_timeout", UNKNOWN, "call.unknown"),
    "reset_before": ("outcome_unknown", UNKNOWN, "call.unknown"),
    "reset_after": ("outcome_unknown", UNKNOWN, "call.unknown"),
    "reset_within": ("outcome_unknown", UNKNOWN, "call.unknown"),
    "stream_ends": ("outcome_unknown", UNKNOWN, "call.unknown"),
    "wrong_length": ("outcome_unknown", UNKNOWN, "call.unknown"),
    "garbage_http": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "garbage_json": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "not_json_rpc": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "plain_text": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "wrong_id": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "accepted": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "session_lost": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "gzip": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "html_error": ("upstream_invalid", UNKNOWN, "call.unknown"),
    "redirect": ("upstream_invalid", NOT_RUN, "call.failed"),
    "unauthorized": ("credential_unavailable", NOT_RUN, "call.failed"),
    "forbidden": ("credential_unavailable", NOT_RUN, "call.failed"),
    "huge": ("upstream_invalid", RAN, "call.failed"),
    "huge_stream": ("upstream_invalid", RAN, "call.failed"),
}
# The upstream's own answer is passed on: no refusal of ours.
PASSED_ON = {"cookie": 200, "stream_polls": 200, "json_error": 500}


@pytest.fixture(scope="module", params=["directly", "through an agent"])
def here(
    request: pytest.FixtureRequest, issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The shared gateway, or one that has an agent to the same servers."""
    if request.param == "directly":
        yield request.getfixturevalue("here")
        return
    with contextlib.ExitStack() as stack:
        upstreams = {name: stack.enter_context(running()) for name in ("orders-db", "faulty")}
        credential = {"header": "Authorization", "prefix": "Bearer ", "value": "env:UPSTREAM_TOKEN"}
        served = {name: {"url": one.url, "credential": credential} for name, one in upstreams.items()}
        # Nothing listens on port 1, and the other's credential was never set.
        served["dead"] = {"url": "http://127.0.0.1:1/mcp"}
        served["bare"] = {"url": upstreams["orders-db"].url, "credential": {**credential, "value": "env:NOT_SET"}}
        usual = {"transport": "agent", "agent": agents.NAME, "default": "allow"}
        made = {name: {**usual, "access": [{"groups": ["corp/engineering"]}]} for name in served}
        made["faulty"] |= {"timeout": "1s", "max_answer": "1MiB", "max_body": "64KiB"}
        rules = [word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())]
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=made, rules=rules))
        folder = tmp_path_factory.mktemp("faults")
        far = stack.enter_context(world(folder, issuer, upstreams, text))
        far.start()
        stack.callback(far.gateway.stop)
        agent = Agent(folder / "agent", agents.made(far.gateway, *served), far.gateway.url, served)
        agent.environment["UPSTREAM_TOKEN"] = SECRET
        stack.enter_context(agents.running(agent))
        yield far


def _broken(here: World, fault: str, era: str = "legacy", sql: str = "select 1") -> tuple[Answer, str]:
    """Call a tool while the upstream fails in this way."""
    upstream, mark = here.upstreams["faulty"], marker()
    upstream.hold()
    upstream.fault = fault
    try:
        caller = here.caller(DAVE, "faulty", era=era)
        return caller.call("query", {"sql": sql, "marker": mark}), mark
    finally:
        upstream.fault = None
        upstream.release()


def _ends(here: World, call_id: str) -> list[str]:
    rows = here.stored.rows("SELECT kind FROM mcp_sessions_entry WHERE call_id = ? ORDER BY id", call_id)
    return [kind for (kind,) in rows if kind in ENDS]


def test_every_fault_is_expected_here() -> None:
    assert set(EXPECTED) | set(PASSED_ON) == set(FAULTS)
    assert set(EXPECTED) & set(PASSED_ON) == set()


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("fault", sorted(EXPECTED))
def test_a_fault_says_whether_the_call_was_executed(here: World, fault: str) -> None:
    reason, executed, end = EXPECTED[fault]

    answer, mark = _broken(here, fault)

    assert (answer.status, answer.is_error) == (200, True)
    assert answer.outcome == (reason, executed)
    assert here.upstreams["faulty"].markers[mark] <= 1, "it was sent a second time"
    assert sum(mark.encode() in seen.body for seen in here.upstreams["faulty"].requests) == 1
    call_id = answer.decision["call_id"]
    assert _ends(here, call_id) == [end]
    document = here.call_document(call_id)
    assert (document["executed"], document["reason"]) == (executed, reason)
    assert answer.result["_meta"]["holdgate/receipt"]["entry"] == document["receipt"]["entry"]
    assert "secret hint" not in answer.text
    assert "postgres://" not in answer.text


@pytest.mark.parametrize("fault", sorted(PASSED_ON))
def test_what_is_a_message_of_the_upstream_is_passed_on_masked(here: World, fault: str) -> None:
    answer, _ = _broken(here, fault)

    assert answer.status == PASSED_ON[fault]
    assert "set-cookie" not in answer.headers
    assert "@example.com" not in answer.text
    if fault == "json_error":
        assert (answer.body["error"]["code"], answer.body["error"]["message"]) == (-32603, "boom")
    else:
        assert answer.result["structuredContent"]["rows"][0]["email"] == "masked@masked.invalid"
    call_id = answer.decision["call_id"]
    assert _ends(here, call_id) == ["call.result"]
    assert here.call_document(call_id)["executed"] == (UNKNOWN if fault == "json_error" else RAN)


@pytest.mark.parametrize(
    ("connection", "reason"), [("dead", "upstream_unavailable"), ("bare", "credential_unavailable")]
)
def test_what_never_left_the_gateway_was_not_executed(here: World, connection: str, reason: str) -> None:
    answer = here.caller(DAVE, connection).call("query", {"sql": "select 1", "marker": marker()})

    assert answer.is_error
    assert answer.outcome == (reason, "false")
    document = here.call_document(answer.decision["call_id"])
    assert (document["executed"], document["reason"]) == ("false", reason)


def test_a_tool_that_fails_by_itself_is_no_fault_and_is_masked(here: World) -> None:
    answer = here.caller(DAVE).call("fail", {"marker": marker()})

    assert answer.is_error
    assert answer.outcome == (None, None)
    assert answer.said == "no such table: [email]"
    assert here.call_document(answer.decision["call_id"])["executed"] == "true"


@pytest.mark.promise("nothing-lost")
@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("fault", ["reset_after", "hang"])
def test_a_held_call_of_unknown_outcome_is_not_run_again_before_somebody_resolved_it(here: World, fault: str) -> None:
    upstream, mark = here.upstreams["faulty"], marker()
    caller = here.caller(DAVE, "faulty")
    upstream.hold()
    upstream.fault = fault
    held = caller.begin("query", {"sql": "delete from x", "marker": mark})
    here.approve(held.approval_id)
    broken = held.answer()
    upstream.fault = None
    upstream.release()
    assert broken.outcome == (EXPECTED[fault][0], "unknown")
    assert here.approval(held.approval_id)["status"] == "outcome_unknown"

    again = caller.call("query", {"sql": "delete from x", "marker": mark})
    assert again.outcome == ("outcome_unknown", "unknown")
    assert upstream.markers[mark] == 1

    assert here.decide(held.approval_id, "resolve").status_code == 400, "without a comment"
    assert here.decide(held.approval_id, "resolve", who=DAVE, comment="my own").status_code == 403
    resolved = here.decide(held.approval_id, "resolve", comment="I looked: it was not deleted")
    assert resolved.status_code == 200, resolved.text
    anew = caller.call("query", {"sql": "delete from x", "marker": mark}, prefer="wait=0")
    assert anew.outcome == ("pending", "false")
    assert anew.approval["id"] != held.approval_id
    assert upstream.markers[mark] == 1


@pytest.mark.promise("intent-first")
@pytest.mark.promise("nothing-lost")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()
