"""The loop-breaker: whoever was denied a tool too often is refused without asking, and everybody can see that."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings

from approvals.database import database_now
from approvals.denials import DeniedTooOften, stopped
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.states import Status
from tests.engine import ask, engine, fresh, opened, pass_time, vote
from tests.held import HENRY, browser, caller
from tests.people import ALICE, CAROL

__all__ = ["engine"]


@pytest.fixture(autouse=True)
def limit(settings: LazySettings) -> None:
    settings.MAX_DENIALS, settings.DENIALS_WITHIN = 3, 600.0


def denied(tool: str = "one", times: int = 3) -> list[ApprovalRequest]:
    rows = [fresh(tool) for _ in range(times)]
    for row in rows:
        vote(row, ALICE, "deny")
    return rows


def test_after_so_many_denials_nobody_is_asked_any_more(engine: Runtime) -> None:
    denied(times=2)
    fresh()
    denied(times=1)
    before = ApprovalRequest.objects.count()
    with pytest.raises(DeniedTooOften) as caught:
        fresh()
    assert "denied you this tool 3 times within 10 minutes" in str(caught.value)
    assert 590 < caught.value.seconds <= 600
    assert ApprovalRequest.objects.count() == before


def test_it_ends_when_the_oldest_of_them_no_longer_counts(engine: Runtime) -> None:
    first, *_ = denied()
    pass_time(first, minutes=4)
    with pytest.raises(DeniedTooOften) as caught:
        fresh()
    assert caught.value.until - database_now() <= timedelta(minutes=6)
    pass_time(first, minutes=7)
    assert fresh().status == Status.PENDING


def test_other_tools_and_other_callers_are_asked_about(engine: Runtime) -> None:
    denied()
    assert fresh("two").status == Status.PENDING
    assert fresh(by=caller(HENRY, sub="henry-2")).status == Status.PENDING
    assert fresh(by=caller(HENRY, sub="agent", kind="agent")).status == Status.PENDING


def test_what_is_pending_or_denied_already_is_still_joined(engine: Runtime) -> None:
    waiting = opened(ask(arguments={"marker": "waits"}))
    ApprovalRequest.objects.filter(pk=waiting.pk).update(attached_to="")
    before = opened(ask(arguments={"marker": "denied"}))
    vote(before, ALICE, "deny")
    denied(times=2)
    assert opened(ask(arguments={"marker": "waits"})).pk == waiting.pk
    assert opened(ask(arguments={"marker": "denied"})).pk == before.pk
    with pytest.raises(DeniedTooOften):
        opened(ask(arguments={"marker": "denied"}, reason="but it is urgent"))


@pytest.mark.parametrize("ended", sorted(set(Status) - {Status.DENIED}))
def test_nothing_but_a_denial_counts(ended: Status, engine: Runtime) -> None:
    for row in denied():
        ApprovalRequest.objects.filter(pk=row.pk).update(status=ended.value)
    assert fresh().status == Status.PENDING


def test_the_limit_can_be_switched_off(settings: LazySettings, engine: Runtime) -> None:
    settings.MAX_DENIALS = 0
    denied()
    assert fresh().status == Status.PENDING
    assert stopped(ApprovalRequest.objects.all(), database_now()) == []


def test_approvers_see_about_whom_nobody_is_asked_and_until_when(engine: Runtime) -> None:
    rows = denied()
    (found,) = stopped(ApprovalRequest.objects.all(), database_now())
    newest = ApprovalRequest.objects.filter(pk=rows[0].pk).values_list("decided_at", flat=True).get()
    assert newest is not None
    assert (found.caller, found.tool, found.until) == ("Henry Hale", "one", newest + timedelta(minutes=10))
    page = " ".join(browser(ALICE).get("/").content.decode().split())
    assert "nobody is asked about calls of <strong>one</strong> on orders-db by Henry Hale" in page
    assert "nobody is asked" not in browser(CAROL).get("/").content.decode(), "she decides nothing of that rule"
