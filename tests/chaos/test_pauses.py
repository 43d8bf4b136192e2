"""A process stands still for longer than anybody waits for it (SIGSTOP), and goes on as if nothing had been."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.chaos.conftest import Houses
from tests.chaos.house import CUT, ended
from tests.people import DAVE
from tests.stored import Stored
from tests.world import marker, until

pytestmark = [pytest.mark.promise("intent-first"), pytest.mark.promise("nothing-lost")]

FORWARD_WITHIN = 10.0


@pytest.mark.chaos
def test_what_slept_past_its_time_to_forward_is_not_forwarded(houses: Houses) -> None:
    house, mark = houses["sqlite"], marker()
    gateway = house.here.gateway
    gateway.stop()
    gateway.failpoint = "stop after call.intent@query"
    house.here.start()
    gateway.failpoint = ""
    held = house.here.caller(DAVE).begin("query", {"sql": "select 1", "marker": mark})
    until(gateway.is_paused, "the process to stop itself")
    time.sleep(FORWARD_WITHIN + 1)

    gateway.resume()

    answer = held.answer()
    assert answer.outcome == ("outcome_unknown", "false")
    assert house.here.upstream.markers[mark] == 0
    house.assert_history()


def test_who_was_taken_for_dead_forwards_nothing_more_and_ends_no_call_again(houses: Houses) -> None:
    house = houses["postgresql"]
    here, beside = house.here, house.beside
    assert beside is not None
    claimed, running = marker(), marker()
    here.gateway.stop()
    here.gateway.failpoint = "stop after call.intent@query"
    here.start()
    here.gateway.failpoint = ""
    here.upstream.hold()
    slow = here.caller(DAVE, era="modern").begin("slow", {"marker": running})
    here.upstream.wait_for(lambda it: it.markers[running] == 1)
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": claimed})
    beside.approve(held.approval_id)
    until(here.gateway.is_paused, "the process to stop itself")
    ended(house, held.approval_id, "outcome_unknown")
    until(lambda: not house.here.stored.value("SELECT count(*) FROM mcp_sessions_opencall"), "both calls' end", 40)
    assert here.upstream.markers[claimed] == 0

    here.upstream.release()
    here.gateway.resume()

    for one in (slow, held):
        with contextlib.suppress(*CUT):
            assert one.answer().status == 200
    until(lambda: _late(house.here.stored) == 2, "what is heard after the end")
    assert (here.upstream.markers[claimed], here.upstream.markers[running]) == (0, 1)
    assert beside.approval(held.approval_id)["status"] == "outcome_unknown"
    house.assert_history()


def _late(stored: Stored) -> int:
    return int(stored.value("SELECT count(*) FROM mcp_sessions_entry WHERE kind = 'call.late'"))
