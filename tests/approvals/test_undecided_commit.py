"""A decision whose commit takes longer than its person waits: they are told what is true of it, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from approvals import services
from approvals.publication import Policies, Snapshot
from approvals.runtime import Runtime, runtime, shut_down
from approvals.seen import view_digest
from approvals.states import Status
from sessions.events import Event
from sessions.journal import RecordUnavailable, RecordUncertain
from tests.engine import GUARD, Later, approver, engine, fresh, recorded, status, vote
from tests.held import HENRY, browser, caller
from tests.people import ALICE
from tests.record import Gate

__all__ = ["engine"]

pytestmark = pytest.mark.promise("nothing-lost")


class Slow(Policies):
    """Policies that keep the record's writer inside the transaction that asks for them, until the gate is opened."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def reload(self) -> Snapshot:
        if threading.current_thread().name == "holdgate-journal":
            self._gate()
        return super().reload()


@pytest.fixture
def gate(engine: Runtime, settings: Any) -> Iterator[Gate]:
    """Keep the writer of this process in the middle of the next decision; its callers wait for two seconds only."""
    shut_down()
    settings.RECORD_TIMEOUT = 2.0
    house, gate = runtime(), Gate()
    house.policies = Slow(gate)
    yield gate
    gate.open()
    shut_down()


def settled(gate: Gate) -> None:
    """Let the writer go on, and return when it has committed what it had begun."""
    gate.open()
    runtime().journal.append_now(Event(kind="call.message", call_id="after"))


def test_a_vote_that_is_being_committed_is_said_to_be_uncertain_and_counts_once(gate: Gate) -> None:
    row, alice = fresh(), approver(ALICE)
    with pytest.raises(RecordUncertain):
        vote(row, alice)
    assert status(row) == Status.PENDING
    settled(gate)
    assert (status(row), row.votes.count()) == (Status.APPROVED, 1)
    assert isinstance(vote(row, alice), services.Unchanged), "the same click again is told that it stands"
    assert recorded(row) == ["approval.requested", "approval.voted", "approval.approved"]


def test_a_vote_that_waits_behind_another_is_not_counted_and_said_not_to_be(gate: Gate) -> None:
    rows, alice = [fresh(), fresh()], approver(ALICE)
    first = Later(partial(_expect, RecordUncertain, partial(vote, rows[0], alice)))
    assert gate.reached.wait(GUARD)
    with pytest.raises(RecordUnavailable) as refused:
        vote(rows[1], alice)
    assert not isinstance(refused.value, RecordUncertain)
    first.result()
    settled(gate)
    assert [status(row) for row in rows] == [Status.APPROVED, Status.PENDING]
    assert recorded(rows[1]) == ["approval.requested"]


def test_the_page_says_that_it_is_not_known_yet(gate: Gate) -> None:
    row, alice = fresh(), browser(ALICE)
    answer = alice.post(f"/approvals/{row.pk}/decide/", {"decision": "approve", "view": view_digest(row)})
    assert answer.status_code == 503
    assert "not known yet" in answer.content.decode()
    assert "not counted" not in answer.content.decode()
    settled(gate)
    assert status(row) == Status.APPROVED
    assert "Approved" in alice.get(f"/approvals/{row.pk}/").content.decode()


def test_the_page_says_so_of_a_withdrawal_too(gate: Gate) -> None:
    row, henry = fresh(by=caller()), browser(HENRY)
    answer = henry.post(f"/approvals/{row.pk}/cancel/")
    assert (answer.status_code, "not known yet" in answer.content.decode()) == (503, True)
    settled(gate)
    assert status(row) == Status.CANCELLED


def test_the_api_says_that_it_is_not_known_yet(gate: Gate) -> None:
    row, alice = fresh(), browser(ALICE)
    url = f"/api/v1/approvals/{row.pk}/decide/"
    answer = alice.post(url, {"decision": "approve"}, content_type="application/json")
    assert (answer.status_code, answer.json()["reason"]) == (503, "record_unavailable")
    assert "not known yet" in answer.json()["message"]
    settled(gate)
    assert status(row) == Status.APPROVED


def _expect(kind: type[Exception], work: Callable[[], object]) -> None:
    with pytest.raises(kind):
        work()
