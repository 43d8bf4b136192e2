"""A held call as an event stream: signs of life, expiry, callers who leave and come back, what is kept for them."""

from __future__ import annotations

import json

import pytest

from tests.line import JSON_ONLY
from tests.people import DAVE, GRACE
from tests.world import World, marker, until


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_progress_begins_at_once_and_rises_on_when_the_upstream_reports_its_own(here: World, era: str) -> None:
    mark = marker()
    arguments = {"sql": "delete from x", "marker": mark}
    held = here.caller(DAVE, "streams", era=era).begin("query", arguments, meta={"progressToken": "tok"})
    here.approve(held.approval_id)

    answer = held.answer()

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.comments, "no comment came while people decided"
    notes = [note["params"] for note in answer.notes]
    assert {note["progressToken"] for note in notes} == {"tok"}
    values = [note["progress"] for note in notes]
    assert len(values) == 4, "two of ours, two of the upstream's"
    assert "was given" in notes[1]["message"]
    assert values == sorted(set(values)), values
    assert not answer.is_error
    assert here.upstreams["streams"].markers[mark] == 1


def test_messages_that_come_together_are_recorded_as_one_list_in_their_order(here: World) -> None:
    held = here.caller(DAVE, "streams").begin(
        "query", {"sql": "delete from x", "marker": marker()}, meta={"progressToken": 7}
    )
    here.approve(held.approval_id)

    answer = held.answer()

    rows = here.stored.rows(
        "SELECT p.body, e.leaf FROM mcp_sessions_payload p JOIN mcp_sessions_entry e ON e.leaf_hash = p.leaf_hash"
        " WHERE p.name = 'messages' AND p.call_id = ? ORDER BY e.id",
        answer.decision["call_id"],
    )
    recorded = [json.loads(body) for body, _ in rows]
    assert [json.loads(leaf)["facts"]["messages"] for _, leaf in rows] == [len(group) for group in recorded]
    notes = [note for group in recorded for note in group]
    assert [note["params"]["progressToken"] for note in notes] == [7, 7]
    assert len(answer.notes) == 4, "two of ours, two of the upstream's"


def test_without_a_progress_token_there_are_comments_and_no_notes(here: World) -> None:
    held = here.caller(DAVE, "streams").begin("query", {"sql": "delete from x", "marker": marker()})
    here.approve(held.approval_id)

    answer = held.answer()

    assert (bool(answer.comments), answer.notes) == (True, [])


def test_two_identical_calls_at_the_same_time_are_two_requests(here: World) -> None:
    mark = marker()
    twins = [here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark}) for _ in range(2)]
    approvals = [twin.approval_id for twin in twins]
    assert len(set(approvals)) == 2

    here.approve(approvals[0])
    here.decide(approvals[1], "deny", comment="once is enough")

    assert twins[0].answer().outcome == (None, None)
    assert twins[1].answer().outcome == ("denied", "false")
    assert here.upstream.markers[mark] == 1


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_caller_who_left_while_held_joins_with_the_identical_call(here: World, era: str) -> None:
    caller, mark = here.caller(DAVE, era=era), marker()
    gone = caller.begin("query", {"sql": "delete from x", "marker": mark})
    approval = gone.approval_id
    gone.leave()
    until(lambda: here.attached(approval) == "", "the gateway to see that the caller left")

    back = caller.begin("query", {"sql": "delete from x", "marker": mark})
    assert back.approval_id == approval
    here.approve(approval)

    assert not back.answer().is_error
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
def test_approved_while_nobody_waits_it_runs_when_the_identical_call_collects_it(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    first = caller.call("query", {"sql": "delete from x", "marker": mark}, prefer="wait=0")
    here.approve(first.approval["id"])
    assert here.upstream.markers[mark] == 0, "it ran unattended"

    answer = caller.call("query", {"sql": "delete from x", "marker": mark})

    assert (answer.is_error, answer.approval["id"]) == (False, first.approval["id"])
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
def test_approved_and_not_collected_in_time_it_lapses_and_never_runs(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    first = caller.call("query", {"sql": "forgetful", "marker": mark}, prefer="wait=0")
    here.approve(first.approval["id"])

    until(lambda: here.approval(first.approval["id"])["status"] == "lapsed", "the sweep to lapse it")

    again = caller.call("query", {"sql": "forgetful", "marker": mark}, prefer="wait=0")
    assert again.outcome == ("pending", "false")
    assert again.approval["id"] != first.approval["id"]
    assert here.upstream.markers[mark] == 0


@pytest.mark.promise("bound-decision")
def test_a_result_is_delivered_once_and_then_the_identical_call_asks_anew(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    held = caller.begin("query", {"sql": "delete from x", "marker": mark})
    here.approve(held.approval_id)
    assert not held.answer().is_error

    again = caller.call("query", {"sql": "delete from x", "marker": mark}, prefer="wait=0")

    assert again.outcome == ("pending", "false")
    assert again.approval["id"] != held.approval_id
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_an_approved_call_runs_to_its_end_without_its_caller_and_its_result_is_kept(here: World, era: str) -> None:
    caller, mark, upstream = here.caller(DAVE, "quick", era=era), marker(), here.upstreams["quick"]
    upstream.hold()
    held = caller.begin("slow", {"marker": mark})
    here.approve(held.approval_id)
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    held.leave()
    here.noticed()
    upstream.release()

    until(lambda: here.approval(held.approval_id)["status"] == "executed", "the call's end")
    answer = caller.call("slow", {"marker": mark})

    assert (answer.said, answer.approval["id"]) == ("done", held.approval_id)
    assert upstream.markers[mark] == 1
    # It gave up once, so that nobody knows whether it took the result this time.
    again = caller.call("slow", {"marker": mark}, prefer="wait=0")
    assert (again.said, again.approval["id"]) == ("done", held.approval_id)
    assert upstream.markers[mark] == 1


def test_a_waiting_caller_hears_of_the_expiry_by_its_own_timer(here: World) -> None:
    mark = marker()
    answer = here.caller(DAVE).begin("query", {"sql": "hasty", "marker": mark}).answer()

    assert answer.is_error
    assert answer.outcome == ("expired", "false")
    assert answer.approval["status"] == "expired"
    assert here.upstream.markers[mark] == 0


def test_the_sweep_expires_what_nobody_waits_for_and_a_late_approval_changes_nothing(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    asked = caller.call("query", {"sql": "hasty", "marker": mark}, prefer="wait=0").approval["id"]

    until(lambda: here.approval(asked)["status"] == "expired", "the sweep to expire it")

    late = here.decide(asked, "approve")
    assert (late.status_code, late.json()["status"]) == (409, "expired")
    again = caller.call("query", {"sql": "hasty", "marker": mark}, prefer="wait=0")
    assert again.outcome == ("pending", "false")
    assert again.approval["id"] != asked


def test_after_a_denial_the_identical_call_is_denied_until_it_gives_a_new_reason(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    arguments = {"sql": "delete from x", "marker": mark}
    asked = caller.call("query", arguments, prefer="wait=0").approval["id"]
    here.decide(asked, "deny", comment="not now")

    same = caller.call("query", arguments)
    other = caller.call("query", arguments, prefer="wait=0", holdgate_reason="INC-7 is on fire")

    assert same.outcome == ("denied", "false")
    assert (same.approval["id"], "not now" in same.said) == (asked, True)
    assert other.outcome == ("pending", "false")
    assert here.approval(other.approval["id"])["reason"] == "INC-7 is on fire"


def test_a_call_without_the_reason_its_rule_asks_for_creates_nothing(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()

    refused = caller.call("query", {"sql": "explain yourself", "marker": mark})
    asked = caller.call(
        "query", {"sql": "explain yourself", "marker": mark}, prefer="wait=0", holdgate_reason="because"
    )

    assert refused.outcome == ("reason_required", "false")
    assert here.asked(mark) == [asked.approval["id"]]


def test_the_api_says_at_once_when_a_waiting_request_is_decided(here: World) -> None:
    asked = here.caller(DAVE).call("query", {"sql": "delete from x", "marker": marker()}, prefer="wait=0")
    approval = asked.approval["id"]
    waiting = here.aside(lambda: here.api(GRACE, "GET", f"approvals/{approval}/?wait=30").json())

    here.decide(approval, "deny", comment="no")

    assert waiting.result(10)["status"] == "denied"


def test_the_wait_that_was_asked_for_is_kept_and_said(here: World) -> None:
    caller = here.caller(DAVE)

    asked = caller.call("query", {"sql": "delete from x", "marker": marker()}, prefer="wait=1", accept=JSON_ONLY)
    unsaid = caller.call("query", {"sql": "select 1", "marker": marker()})

    assert asked.outcome == ("pending", "false")
    assert asked.headers.get("preference-applied") == "wait=1"
    assert "preference-applied" not in unsaid.headers


@pytest.mark.promise("intent-first")
@pytest.mark.promise("bound-decision")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()
