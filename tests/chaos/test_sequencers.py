"""Two sequencers: the one in office is stopped in the middle, another takes over, and the first wakes up again."""

from __future__ import annotations

from collections import defaultdict

import pytest

from sessions.anchors import FileAnchor
from sessions.checkpoint import parse
from tests.chaos.conftest import Houses
from tests.chaos.house import House
from tests.people import DAVE
from tests.world import World, marker, until

pytestmark = pytest.mark.promise("provable")

_UNPLACED = (
    "SELECT count(*) FROM mcp_sessions_entry e "
    "WHERE NOT EXISTS (SELECT 1 FROM mcp_sessions_logindex i WHERE i.entry_id = e.id)"
)


@pytest.mark.parametrize(
    "point",
    ["before checkpoint", pytest.param("after checkpoint", marks=pytest.mark.chaos),
     pytest.param("before anchor", marks=pytest.mark.chaos), pytest.param("after anchor", marks=pytest.mark.chaos)],
)  # fmt: skip
def test_no_size_is_signed_twice_with_another_root(houses: Houses, point: str) -> None:
    house = houses["postgresql"]
    here, beside = house.here, house.beside
    assert beside is not None
    beside.gateway.stop()
    here.gateway.stop()
    here.gateway.failpoint = f"stop {point} 6"
    here.start()  # alone, so that it takes the office
    here.gateway.failpoint = ""
    beside.start()
    until(lambda: _calls(beside) and here.gateway.is_paused(), "the sequencer to stop itself", 30)

    _calls(beside)
    until(lambda: not here.stored.value(_UNPLACED), "the other to take over, who ends the session in office", 60)
    here.gateway.resume()
    _calls(here)
    _calls(beside)

    until(lambda: not here.stored.value(_UNPLACED), "everything to have its place", 30)
    _assert_one_root_for_each_size(house)
    house.assert_history()


def _calls(at: World) -> bool:
    return not at.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error


def _assert_one_root_for_each_size(house: House) -> None:
    roots: dict[int, set[bytes]] = defaultdict(set)
    notes = [row[0] for row in house.here.stored.rows("SELECT note FROM mcp_sessions_checkpoint ORDER BY size")]
    anchor = FileAnchor(house.here.gateway.folder / "state" / "anchor" / "checkpoints.txt")
    for note in [*notes, *anchor.notes(anchor.length())]:
        head, *_ = parse(note)
        roots[head.size].add(head.root)
    assert len(roots) > 5
    assert all(len(found) == 1 for found in roots.values())
