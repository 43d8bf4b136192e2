"""Callers who leave a held call, alone and among others who wait for the same approval, and what their repeats meet."""

from __future__ import annotations

import pytest

from tests.people import DAVE
from tests.world import World, marker, until


def _arguments(mark: str) -> dict[str, str]:
    return {"sql": "delete from x", "marker": mark}


@pytest.mark.promise("bound-decision")
def test_who_joined_and_leaves_takes_nothing_from_those_who_still_wait(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    first = caller.begin("query", _arguments(mark))
    approval = first.approval_id
    joined = caller.begin("query", _arguments(mark), holdgate_approval=approval)
    assert joined.approval_id == approval
    joined.leave()
    here.noticed()

    twin = caller.begin("query", _arguments(mark))

    assert twin.approval_id != approval
    first.leave()
    until(lambda: here.attached(approval) == "", "the gateway to see that nobody waits any more")
    twin.leave()


@pytest.mark.promise("bound-decision")
def test_who_joined_by_id_keeps_the_request_theirs_when_its_first_caller_leaves(here: World) -> None:
    caller, mark = here.caller(DAVE), marker()
    first = caller.begin("query", _arguments(mark))
    approval = first.approval_id
    joined = caller.begin("query", _arguments(mark), holdgate_approval=approval)
    assert joined.approval_id == approval
    first.leave()
    here.noticed()

    twin = caller.begin("query", _arguments(mark))
    assert twin.approval_id != approval
    here.decide(twin.approval_id, "deny", comment="once is enough")
    here.approve(approval)

    assert joined.answer().outcome == (None, None)
    assert twin.answer().outcome == ("denied", "false")
    assert here.upstream.markers[mark] == 1


@pytest.mark.promise("nothing-lost")
@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_repeat_joins_the_execution_whose_caller_left(here: World, era: str) -> None:
    caller, mark, upstream = here.caller(DAVE, "quick", era=era), marker(), here.upstreams["quick"]
    upstream.hold()
    held = caller.begin("slow", {"marker": mark})
    approval = held.approval_id
    here.approve(approval)
    upstream.wait_for(lambda it: it.markers[mark] == 1)
    held.leave()
    until(lambda: here.attached(approval) == "", "the gateway to see that the caller left")

    back = caller.begin("slow", {"marker": mark})
    joined = back.approval_id
    twin = caller.begin("slow", {"marker": mark})
    apart = twin.approval_id
    upstream.release()

    assert (joined, apart == approval) == (approval, False)
    assert back.answer().said == "done"
    twin.leave()
    assert upstream.markers[mark] == 1
