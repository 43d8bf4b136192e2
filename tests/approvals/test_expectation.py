"""How long people usually take, by what they decided lately."""

from __future__ import annotations

from datetime import timedelta

from approvals.expectation import ENOUGH, usual_seconds
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.states import Status
from tests.held import held, house

__all__ = ["house"]


def decided_after(seconds: int, status: Status = Status.APPROVED) -> None:
    request = held()
    at = request.created_at + timedelta(seconds=seconds)
    ApprovalRequest.objects.filter(pk=request.pk).update(status=status.value, decided_at=at)


def test_the_median_of_what_was_decided_is_told_once_there_is_enough(house: Runtime) -> None:
    waiting = held()
    for seconds in (10, 20, 600, 30):
        decided_after(seconds)
    decided_after(9999, Status.CANCELLED)
    assert usual_seconds(waiting) is None

    decided_after(40, Status.DENIED)

    assert usual_seconds(waiting) == 30


def test_other_rules_say_nothing(house: Runtime) -> None:
    waiting = held()
    for _ in range(ENOUGH):
        decided_after(10)
    waiting.rule_fingerprint = "another"

    assert usual_seconds(waiting) is None
