"""Repeats that bring a handle: an Idempotency-Key, or the id of the approval."""

from __future__ import annotations

import pytest

from tests.line import Held
from tests.people import AGENT, DAVE
from tests.world import World, marker, until

ARGUMENTS = {"sql": "delete from x"}


@pytest.mark.promise("bound-decision")
def test_a_repeat_with_the_same_key_gets_the_stored_answer_and_runs_nothing(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()

    first = caller.call("query", {"sql": "select 1", "marker": mark}, idempotency_key=mark)
    second = caller.call("query", {"marker": mark, "sql": "select 1"}, idempotency_key=mark)

    assert first.result["content"] == second.result["content"]
    assert first.result["structuredContent"] == second.result["structuredContent"]
    assert second.body["id"] != first.body["id"]
    assert here.upstream.markers[mark] == 1


def test_a_key_in_the_meta_member_is_the_same_as_one_in_the_header(here: World) -> None:
    caller, mark = here.caller(DAVE, era="modern"), marker()
    arguments = {"sql": "select 1", "marker": mark}

    caller.call("query", arguments, idempotency_key=mark)
    caller.call("query", arguments, meta={"holdgate/idempotency-key": mark})

    assert here.upstream.markers[mark] == 1


def test_keys_are_each_callers_own(here: World) -> None:
    mark = marker()

    for who in (DAVE, AGENT):
        assert not here.caller(who).call("query", {"sql": "select 1", "marker": mark}, idempotency_key=mark).is_error

    assert here.upstream.markers[mark] == 2


@pytest.mark.parametrize("first", ["select 1", "delete from x"])
@pytest.mark.parametrize("second", ["select 2", "delete from y"])
def test_a_key_that_another_call_used_is_a_conflict(here: World, first: str, second: str) -> None:
    caller, mark = here.caller(DAVE), marker()
    caller.call("query", {"sql": first, "marker": mark}, idempotency_key=mark, prefer="wait=0")
    before = here.upstream.markers[mark]

    conflict = caller.call("query", {"sql": second, "marker": mark}, idempotency_key=mark, prefer="wait=0")

    assert conflict.is_error
    assert conflict.outcome == ("idempotency_conflict", "false")
    assert here.upstream.markers[mark] == before


def test_an_allowed_call_that_still_runs_is_joined_by_the_same_key(here: World) -> None:
    caller, mark, upstream = here.caller(DAVE), marker(), here.upstream
    upstream.hold()
    first = caller.begin("slow", {"marker": mark}, idempotency_key=mark)
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    second = caller.begin("slow", {"marker": mark}, idempotency_key=mark)
    here.noticed()
    upstream.release()

    assert first.answer().said == second.answer().said == "done"
    assert upstream.markers[mark] == 1


def test_the_same_key_joins_a_held_call_while_its_first_caller_still_waits(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    both = [caller.begin("query", {**ARGUMENTS, "marker": mark}, idempotency_key=mark) for _ in range(2)]
    assert both[0].approval_id == both[1].approval_id

    here.approve(both[0].approval_id)

    answers = [one.answer() for one in both]
    assert [answer.outcome for answer in answers] == [(None, None)] * 2
    assert here.upstream.markers[mark] == 1


def test_a_held_call_with_a_key_is_answered_from_what_was_stored_after_its_delivery_too(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    held = caller.begin("query", {**ARGUMENTS, "marker": mark}, idempotency_key=mark)
    here.approve(held.approval_id)
    first = held.answer()

    again = caller.call("query", {**ARGUMENTS, "marker": mark}, idempotency_key=mark, prefer="wait=0")

    assert again.result["content"] == first.result["content"]
    assert again.approval["id"] == held.approval_id
    assert here.upstream.markers[mark] == 1


@pytest.mark.parametrize("way", ["header", "meta"])
def test_an_approval_id_joins_the_call_it_was_asked_for(here: World, way: str) -> None:
    caller, mark = here.caller(DAVE), marker()
    first = caller.begin("query", {**ARGUMENTS, "marker": mark})
    approval = first.approval_id
    handle = {"holdgate_approval": approval} if way == "header" else {}
    meta = {"holdgate/approval": {"id": approval}} if way == "meta" else None
    second = caller.begin("query", {**ARGUMENTS, "marker": mark}, meta=meta, **handle)
    assert second.approval_id == approval

    here.approve(approval)

    assert [one.answer().outcome for one in (first, second)] == [(None, None)] * 2
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("other", ["arguments", "caller", "connection"])
def test_an_approval_id_carries_no_other_call(here: World, other: str) -> None:
    mark = marker()
    asked = here.caller(DAVE).call("query", {**ARGUMENTS, "marker": mark}, prefer="wait=0").approval["id"]
    here.approve(asked)

    caller = here.caller(AGENT if other == "caller" else DAVE, "quick" if other == "connection" else "orders-db")
    sql = "delete from everything" if other == "arguments" else ARGUMENTS["sql"]
    answer = caller.call("query", {"sql": sql, "marker": mark}, holdgate_approval=asked, prefer="wait=0")

    assert answer.outcome == ("pending", "false")
    assert answer.approval["id"] != asked
    assert sum(upstream.markers[mark] for upstream in here.upstreams.values()) == 0


def test_the_requester_can_take_a_request_back(here: World) -> None:
    held = here.caller(DAVE).begin("query", {**ARGUMENTS, "marker": marker()})

    taken = here.api(DAVE, "POST", f"approvals/{held.approval_id}/cancel/")

    assert (taken.status_code, taken.json()["status"]) == (200, "cancelled")
    assert held.answer().outcome == ("cancelled", "false")


@pytest.mark.promise("bound-decision")
def test_ten_callers_with_one_handle_get_one_execution(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    asked = caller.call("query", {**ARGUMENTS, "marker": mark}, prefer="wait=0").approval["id"]
    here.approve(asked)

    many = [caller.begin("query", {**ARGUMENTS, "marker": mark}, holdgate_approval=asked) for _ in range(10)]
    answers = [one.answer() for one in many]

    assert here.upstream.markers[mark] == 1
    ran = [answer for answer in answers if answer.outcome == (None, None)]
    assert {answer.approval["id"] for answer in ran} == {asked}
    until(lambda: here.approval(asked)["status"] == "executed", "the end of the call")


@pytest.mark.promise("intent-first")
@pytest.mark.promise("bound-decision")
def test_the_record_tells_the_same_story_as_the_upstreams(here: World) -> None:
    here.assert_history()


@pytest.mark.promise("bound-decision")
def test_a_caller_that_gives_up_without_hanging_up_joins_with_its_repeat(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    call = caller.tool_call("query", {**ARGUMENTS, "marker": mark})
    first = Held(caller, call, {"user_agent": "program"})
    approval = first.approval_id
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call["id"]}}
    here.caller(AGENT).post(notice)  # of somebody else, it is nothing
    caller.post({**notice, "params": {"requestId": str(call["id"])}}, user_agent="program")  # another id
    caller.post(notice, user_agent="another")  # another program of the same person, with an id that is its own
    here.noticed()
    assert here.attached(approval)

    caller.post(notice, user_agent="program")

    assert first.answer().outcome == ("pending", "false")
    again = caller.begin("query", {**ARGUMENTS, "marker": mark})
    assert again.approval_id == approval
    here.approve(approval)
    assert not again.answer().is_error
    assert here.upstream.markers[mark] == 1


def test_a_wait_that_is_given_up_is_over(here: World) -> None:
    pending = here.caller(DAVE).call("query", {**ARGUMENTS, "marker": marker()}, prefer="wait=0")
    own = here.caller(DAVE, "gateway")
    call = own.tool_call("wait_for_approval", {"approval_id": pending.approval["id"], "seconds": 600})
    waiting = Held(own, call, {"user_agent": "program"})
    assert waiting.approval_id == pending.approval["id"]

    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call["id"]}}
    own.post(notice, user_agent="program")

    assert waiting.answer().result["structuredContent"]["approval"]["status"] == "pending"
