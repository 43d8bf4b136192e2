"""Random lives of approval requests against a model of their own: status, votes and record agree after every step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from approvals.runtime import Runtime
from approvals.states import TRANSITIONS, Status
from tests.engine import engine
from tests.held import HENRY
from tests.lives import AGREED, ALONE, CLAIMED, LOST, Lives
from tests.people import ALICE, BOB, DAVE
from tests.scene import NEEDED, Steps

__all__ = ["engine"]

STEPS, LIVES = 30, 40

# How each transition comes about.
RUN: Steps = [("run", {"at": 0, "elsewhere": True})]
LATER: Steps = [("time_passes", {"at": 0, "minutes": 31})]
SWEPT: Steps = [*LATER, ("sweep", {})]
REWORDED: Steps = [("policy_moves", {"terms": 2, "alone": False})]
WITHOUT_ALICE: Steps = [("policy_moves", {"terms": 1, "alone": True})]
ENDED: dict[str, Any] = {"at": 0, "ours": True}
BROKEN: Steps = [("break_glass", {**ALONE, "who": DAVE}), ("review", {"at": 0, "who": BOB})]
WAYS: dict[tuple[Status, Status], list[Steps]] = {
    (Status.PENDING, Status.APPROVED): [AGREED, BROKEN],
    (Status.PENDING, Status.DENIED): [[("decide", {"at": 0, "who": BOB, "decision": "deny", "stale": False})]],
    (Status.PENDING, Status.EXPIRED): [SWEPT, [*LATER, *AGREED]],
    (Status.PENDING, Status.CANCELLED): [[("withdraw", {"at": 0, "who": HENRY})]],
    (Status.PENDING, Status.SUPERSEDED): [[*REWORDED, *AGREED], [("tool_changes", ALONE)]],
    (Status.PENDING, Status.REVOKED): [[("access_ends", ALONE)]],
    (Status.APPROVED, Status.EXECUTING): [CLAIMED, [*BROKEN, *RUN]],
    (Status.APPROVED, Status.LAPSED): [[*AGREED, *SWEPT], [*AGREED, *LATER, *RUN, ("sweep", {})]],
    (Status.APPROVED, Status.REVOKED): [[*AGREED, ("take_back", {**ALONE, "who": who})] for who in (ALICE, BOB, DAVE)],
    (Status.APPROVED, Status.CANCELLED): [[*AGREED, ("withdraw", {"at": 0, "who": HENRY})]],
    (Status.APPROVED, Status.SUPERSEDED): [
        [*AGREED, ("tool_changes", ALONE)],
        [*AGREED, *REWORDED, *RUN],
        [*AGREED, *WITHOUT_ALICE, *RUN],
    ],
    (Status.EXECUTING, Status.EXECUTED): [[*CLAIMED, ("ends", {**ENDED, "new": Status.EXECUTED})]],
    (Status.EXECUTING, Status.FAILED): [[*CLAIMED, ("ends", {**ENDED, "new": Status.FAILED})]],
    (Status.EXECUTING, Status.OUTCOME_UNKNOWN): [LOST, [*CLAIMED, ("ends", {**ENDED, "new": Status.OUTCOME_UNKNOWN})]],
    (Status.OUTCOME_UNKNOWN, Status.EXECUTED): [[*LOST, ("move_alone", {**ALONE, "which": 0})]],
    (Status.OUTCOME_UNKNOWN, Status.FAILED): [[*LOST, ("resolve", {"at": 0, "who": BOB, "comment": "looked"})]],
}


def test_each_transition_of_the_table_has_its_way() -> None:
    assert WAYS.keys() == TRANSITIONS


@pytest.mark.parametrize("tool", sorted(NEEDED))
def test_every_transition_comes_about_as_the_model_says(tool: str, engine: Runtime) -> None:
    for wanted, ways in WAYS.items():
        for steps in ways:
            lives, before = Lives(), Lives.reached[wanted]
            lives.begin(tool, steps)
            lives.teardown()
            assert Lives.reached[wanted] == before + 1, (wanted, steps)


@pytest.mark.promise("bound-decision")
def test_random_lives_of_requests_are_what_the_model_says(engine: Runtime) -> None:
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            database=None,
            phases=[Phase.generate],  # a failure prints its steps; shrinking them takes minutes
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
