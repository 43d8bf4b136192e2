"""Bodies that are worked on beside the event loop are judged, masked and recorded like all others."""

from __future__ import annotations

import json

import pytest

from tests.people import DAVE
from tests.world import World, marker, until

# Three times what is worked on at once, and an address in every line of it.
LINES = 6000
TEXT = "".join(f"line {number}: mail user{number}@example.com\n" for number in range(LINES))


def test_a_large_call_is_masked_whole_and_recorded_once(here: World) -> None:
    mark = marker()

    answer = here.caller(DAVE).call("echo", {"text": TEXT, "marker": mark})

    assert answer.outcome == (None, None)
    assert here.upstream.markers[mark] == 1
    assert answer.said.count("[email]") == LINES
    assert "@example.com" not in answer.said
    bodies = here.stored.rows(
        "SELECT name, body FROM mcp_sessions_payload WHERE call_id = ? AND name <> 'caller' ORDER BY name",
        answer.decision["call_id"],
    )
    assert [name for name, _ in bodies] == ["answer", "request"]
    assert [body.count(b"[email]") for _, body in bodies] == [LINES, LINES]
    assert all(b"@example.com" not in body for _, body in bodies)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_large_call_is_held_shown_and_forwarded_as_it_came(here: World, era: str) -> None:
    mark = marker()
    sql = "delete from notes where text = '" + "x" * 200_000 + "'"
    held = here.caller(DAVE, era=era).begin("query", {"sql": sql, "marker": mark})
    approval = until(lambda: here.asked_for(mark), "the request")[0]

    assert len(json.dumps(here.approval(approval)["arguments"])) > 200_000
    here.approve(approval)

    assert held.answer().outcome == (None, None)
    assert here.upstream.markers[mark] == 1
