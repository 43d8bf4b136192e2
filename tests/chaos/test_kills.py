"""kill -9 before and after every COMMIT that matters, and around the sending: nothing is lost, nothing runs twice.

Each case starts a gateway that kills itself at one point (tests/failpoints.py), lets calls wait there, and makes the
thing happen. Then everything is asked of a new process (SQLite), or of the other one (PostgreSQL).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.chaos.conftest import Houses
from tests.chaos.house import House, ended
from tests.people import ALICE, DAVE
from tests.world import World, marker

pytestmark = [pytest.mark.promise("nothing-lost"), pytest.mark.promise("intent-first")]

UNKNOWN = "outcome_unknown"


def call(word: str, mark: str) -> dict[str, Any]:
    return {"sql": f"{word} from x", "marker": mark}


def ask(at: World, word: str, mark: str) -> str:
    """Ask without waiting, and return the id of the request."""
    return str(at.caller(DAVE).call("query", call(word, mark), prefer="wait=0").approval["id"])


def wait(at: World, word: str, mark: str) -> None:
    """Ask and wait for what comes of it, which takes nobody's decision."""
    held = at.caller(DAVE).begin("query", call(word, mark))
    assert held.approval_id
    held.answer()


def decide(decision: str) -> Callable[[World, str, str], object]:
    """Ask, and decide."""
    return lambda at, word, mark: at.decide(ask(at, word, mark), decision, comment="so be it")


def withdraw(at: World, word: str, mark: str) -> None:
    """Ask, and withdraw it."""
    at.api(DAVE, "POST", f"approvals/{ask(at, word, mark)}/cancel/")


def lapse(at: World, word: str, mark: str) -> None:
    """Ask, approve, and do not come for it."""
    at.decide(ask(at, word, mark), "approve")


def execute(at: World, word: str, mark: str) -> None:
    """Ask and wait; somebody approves."""
    held = at.caller(DAVE).begin("query", call(word, mark))
    at.decide(held.approval_id, "approve")
    held.answer()


def just_call(at: World, word: str, mark: str) -> None:
    at.caller(DAVE).call("query", call(word, mark))


def go_on(at: World, word: str, mark: str) -> None:
    """Call until it is killed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        just_call(at, "select", marker())


@dataclass(frozen=True)
class Scene:
    """What leads to a point, and how it stands when the process died before it, or after it."""

    point: str
    act: Callable[[World, str, str], object]
    before: str = ""  # the request's state; empty: there is none
    after: str = ""
    runs: tuple[int, int] = (0, 0)
    word: str = "delete"


SCENES = {
    "open": Scene("approval.requested@query", ask, "", "pending"),
    "approve": Scene("approval.approved@query", decide("approve"), "pending", "approved"),
    "deny": Scene("approval.denied@query", decide("deny"), "pending", "denied"),
    "withdraw": Scene("approval.cancelled@query", withdraw, "pending", "cancelled"),
    "expire": Scene("approval.expired@query", wait, "expired", "expired", word="hasty"),
    "lapse": Scene("approval.lapsed@query", lapse, "lapsed", "lapsed", word="forgetful"),
    "claim": Scene("call.intent@query", execute, "approved", UNKNOWN),
    "send": Scene("send", execute, UNKNOWN, UNKNOWN, (0, 1)),
    "result": Scene("call.result@query", execute, UNKNOWN, "executed", (1, 1)),
    "allowed intent": Scene("call.intent@query", just_call, word="select"),
    "allowed send": Scene("send", just_call, runs=(0, 1), word="select"),
    "allowed result": Scene("call.result@query", just_call, runs=(1, 1), word="select"),
    "refuse": Scene("call.refused@query", ask, "pending", "pending"),
    "block": Scene("call.blocked@query", just_call, word="drop"),
    "checkpoint": Scene("checkpoint 4", go_on),
    "anchor": Scene("anchor 4", go_on),
    "start": Scene("process.started", go_on),
    "serve": Scene("process.serving", go_on),
}
# Where many calls that wait make a difference.
CROWDED = {"open", "approve", "claim", "send", "result", "checkpoint"}
# One of each kind for every day; the rest, and many calls that wait, for the long form.
SHORT = {
    ("sqlite", "open", "after"),
    ("sqlite", "claim", "before"),
    ("sqlite", "claim", "after"),
    ("sqlite", "send", "after"),
    ("sqlite", "result", "after"),
    ("sqlite", "checkpoint", "before"),
    ("postgresql", "approve", "after"),
}
# On PostgreSQL it is the Celery worker that looks for what is overdue: test_workers.py.
ELSEWHERE = {("postgresql", "lapse"), ("postgresql", "expire")}
CASES = [
    pytest.param(database, name, when, crowd, marks=[] if crowd == 1 and short else [pytest.mark.chaos])
    for database in ("sqlite", "postgresql")
    for name in SCENES
    for when in ("before", "after")
    for short in [(database, name, when) in SHORT]
    for crowd in (1, 200)
    if (database, name) not in ELSEWHERE and (crowd == 1 or name in CROWDED)
]


@pytest.mark.parametrize(("database", "name", "when", "crowd"), CASES)
def test_killed(houses: Houses, database: str, name: str, when: str, crowd: int) -> None:
    house, scene, mark = houses[database], SCENES[name], marker()
    if scene.act is go_on and house.beside is not None:
        house.beside.gateway.kill()  # it would keep the sequencer's office

    waiting = house.strike(f"kill {when} {scene.point}", lambda at: scene.act(at, scene.word, mark), crowd)

    at = house.after()
    _assert_stands(house, scene, when, mark)
    for one in waiting:
        one.assert_waits_and_runs_once(at)
    if scene.act is not go_on:
        _assert_goes_on(house, at, scene, mark)
    house.assert_history()


def _assert_stands(house: House, scene: Scene, when: str, mark: str) -> None:
    """The request stands as it did at the moment of the kill, or where recovery and clock bring it from there."""
    state = scene.before if when == "before" else scene.after
    requests = house.requests(mark)
    assert len(requests) == (1 if state else 0)
    if state:
        ended(house, requests[0][0], state)
    assert house.here.upstream.markers[mark] == scene.runs[when == "after"]


def _assert_goes_on(house: House, at: World, scene: Scene, mark: str) -> None:
    """The caller comes again with the same call, and gets it done at most once, or hears why not."""
    before = house.here.upstream.markers[mark]
    again = at.caller(DAVE).call("query", call(scene.word, mark), prefer="wait=0")
    match again.outcome[0]:
        case "pending" if scene.word == "delete":
            at.approve(again.approval["id"])
            assert not at.caller(DAVE).call("query", call(scene.word, mark)).is_error
            assert at.upstream.markers[mark] == before + 1
        case "outcome_unknown":
            assert at.upstream.markers[mark] == before, "it was silently run again"
            resolved = at.decide(again.approval["id"], "resolve", ALICE, "looked, and it is all right")
            assert resolved.status_code == 200, resolved.text
        case None:
            assert at.upstream.markers[mark] <= before + 1
        case reason:
            assert reason in {"denied", "blocked", "pending", "policy_denied"}, again.body
