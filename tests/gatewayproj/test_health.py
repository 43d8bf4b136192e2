"""/readyz says what is wrong in every case, and is cheap however often somebody asks who need not sign in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from approvals.runtime import Runtime
from sessions import logkey
from sessions.journal import Journal
from sessions.sequencer import Sequencer
from tests.held import anonymous, house, signed_in
from tests.people import PEOPLE
from tests.world import until

__all__ = ["house"]


def test_asking_again_and_again_costs_two_queries_and_not_one_for_each_person(
    house: Runtime, django_assert_max_num_queries: Any
) -> None:
    for human in PEOPLE:
        signed_in(human)
    assert anonymous().get("/readyz").status_code == 200

    with django_assert_max_num_queries(2):
        assert anonymous().get("/readyz").status_code == 200


class AheadOfUs:
    """An anchor that has seen more of the log than the database holds, as after the restore of an older copy."""

    name = "ahead"

    def latest_size(self) -> int:
        return 1_000_000

    def publish(self, note: str) -> None:
        raise AssertionError("nothing may be signed")


@pytest.mark.promise("provable")
def test_a_log_that_is_not_extended_is_told_and_keeps_nobody_out(house: Runtime, tmp_path: Path) -> None:
    assert anonymous().get("/readyz").json()["signing"] == "ok"
    house.sequencer = Sequencer(logkey.ensure(tmp_path / "log.key", "test"), [AheadOfUs()], period=0.05)
    house.sequencer.start()
    until(lambda: house.sequencer and house.sequencer.error, "the sequencer to refuse")

    answer = anonymous().get("/readyz")

    house.sequencer.stop()
    assert answer.status_code == 200
    assert answer.json()["signing"] == "the log is not extended; this process's log says why"


@pytest.mark.promise("fail-closed")
def test_a_record_that_does_not_commit_is_503_and_named(house: Runtime) -> None:
    house.journal.stop()
    house.journal = Journal(origin=settings.ORIGIN, build="test", timeout=1.0)  # never started, so it takes nothing

    answer = anonymous().get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["recording"] == "the record does not commit"
