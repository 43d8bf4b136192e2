"""The evidence page: for whom it is, what it counts, and what it shows in red."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils.html import escape

from approvals.runtime import Runtime
from sessions.events import Event
from sessions.evidence.criteria import CATEGORIES
from sessions.evidence.promises import PROMISES
from sessions.evidence.standing import Proof
from sessions.models import Entry, OpenCall
from tests.held import browser, held, house, publish_policy
from tests.people import ALICE, CONNECTION, EVE, GRACE

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
    assert "1 asked for, 0 approved, 0 denied" in page
    assert "evidence, not compliance" in page
    assert all(escape(promise.sentence) in page for promise in PROMISES)
    assert all(f">{name}</h3>" in page for name in CATEGORIES)


def test_the_api_tells_the_same(house: Runtime) -> None:
    house.journal.append_now(Event(kind="call.blocked", call_id="a"))

    told = browser(GRACE).get("/api/v1/evidence/").json()

    assert [one["id"] for one in told["promises"]] == [promise.id for promise in PROMISES]
    assert told["kinds"]["call.blocked"] == 1
    assert told["criteria"][0]["files"]
    assert browser(ALICE).get("/api/v1/evidence/").status_code == 404


def _gaps(promise: str) -> list[str]:
    told = browser(GRACE).get("/api/v1/evidence/").json()["promises"]
    return next(one["gaps"] for one in told if one["id"] == promise)


def test_what_contradicts_a_promise_is_a_gap(house: Runtime) -> None:
    request = held()
    actor = Entry.objects.get(kind="approval.requested").actor
    assert [_gaps(one.id) for one in PROMISES if one.id not in {"provable", "masked-everywhere"}] == [[]] * 8
    house.journal.append_now(
        Event(kind="approval.voted", call_id=request.call_id, actor=actor),
        Event(kind="call.intent", call_id=request.call_id),
        Event(kind="call.result", call_id=request.call_id),
    )
    house.journal.append_now(Event(kind="call.intent", call_id=request.call_id))
    publish_policy(orders={"mode": "observe", "observe_until": "2099-01-01"}, masking=[])
    OpenCall.objects.update(recover_after=NOW - timedelta(days=999))

    assert _gaps("no-self-approval") == ["1 votes are of who made the request"]
    assert _gaps("bound-decision") == ["1 held calls were forwarded more than once"]
    assert _gaps("fail-closed") == [f"nothing is held or blocked on {CONNECTION}, which only observe"]
    assert _gaps("masked-everywhere")[0] == f"no masking rule speaks of {CONNECTION}"
    assert _gaps("nothing-lost") == ["1 forwarded calls have no end, and nobody has called their outcome unknown"]


def test_entries_that_wait_too_long_are_shown_in_red(house: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    house.journal.append_now(Event(kind="call.blocked", call_id="a"))
    monkeypatch.setattr("sessions.evidence.standing.LATE", timedelta(0))

    page = browser(GRACE).get("/evidence/").content.decode()

    assert "have waited for their place in the log" in page
    assert "Every entry so far has its place" not in page
