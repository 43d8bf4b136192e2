"""The evidence page: for whom it is, what it counts, and what it shows in red."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from approvals.runtime import Runtime
from sessions.events import Event
from sessions.evidence.standing import Proof
from tests.held import browser, held, house
from tests.people import ALICE, EVE, GRACE

__all__ = ["house"]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def proof(**changes: object) -> Proof:
    told = {"signed": 10, "newest": NOW, "waiting": 0, "waiting_since": None, "anchored": 10, "anchor_problem": ""}
    return Proof(**{**told, **changes})  # type: ignore[arg-type]


def test_a_proof_that_keeps_up_has_no_gaps() -> None:
    assert proof().gaps(NOW) == []
    assert proof(waiting=3, waiting_since=NOW - timedelta(seconds=5)).gaps(NOW) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"waiting": 3, "waiting_since": NOW - timedelta(minutes=2)}, "3 entries have waited"),
        ({"anchored": 7}, "the anchor holds 7 of 10 signed entries"),
        ({"anchored": 12}, "the database holds less than its anchor"),
        ({"anchor_problem": "anchor x: denied", "anchored": 0}, "anchor x: denied"),
    ],
)
def test_what_is_behind_is_named(changes: dict[str, object], told: str) -> None:
    (gap,) = proof(**changes).gaps(NOW)

    assert gap.startswith(told)


def test_auditors_admins_and_operators_see_it_and_nobody_else(house: Runtime) -> None:
    assert browser(GRACE).get("/evidence/").status_code == 200

    assert browser(ALICE).get("/evidence/").status_code == 404
    assert browser(EVE).get("/evidence/").status_code == 404


def test_the_counts_are_those_of_the_record(house: Runtime) -> None:
    held()
    house.journal.append_now(Event(kind="call.blocked", call_id="a"), Event(kind="call.blocked", call_id="b"))

    page = browser(GRACE).get("/evidence/").content.decode()

    assert "2 blocked, 0 refused" in page
    assert "1 asked for, 0 votes, 0 votes refused" in page
    assert "evidence, not compliance" in page


def test_entries_that_wait_too_long_are_shown_in_red(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    house.journal.append_now(Event(kind="call.blocked", call_id="a"))
    monkeypatch.setattr("sessions.evidence.standing.LATE", timedelta(0))

    page = browser(GRACE).get("/evidence/").content.decode()

    assert "have waited for their place in the log" in page
    assert "Every entry so far has its place" not in page
