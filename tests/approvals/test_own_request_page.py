"""What whoever asked may expect, on their own request's page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from approvals.decision_times import ENOUGH, usual
from approvals.models import ApprovalRequest, Person
from approvals.seen import view_digest
from tests.held import HENRY, browser, caller, held, house, signed_in
from tests.people import ALICE, BOB, CAROL, GRACE, Human

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


def words(who: Human, request: ApprovalRequest) -> str:
    page = browser(who).get(f"/approvals/{request.pk}/").content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_requester_sees_their_place_in_the_queue_of_the_rule() -> None:
    held(caller(ALICE), sql="DELETE FROM a")
    held(tool="drop_table", table="x")  # another rule
    gone = held(sql="DELETE FROM b")
    ApprovalRequest.objects.filter(pk=gone.pk).update(expires_at=gone.created_at + timedelta(microseconds=1))
    mine = held(sql="DELETE FROM c")

    assert "Place number 2 among those waiting under this rule" in words(HENRY, mine)


def test_who_can_decide_is_named_as_far_as_they_signed_in() -> None:
    request = held()
    assert "Who can dba Expires" in words(HENRY, request)

    for human in (ALICE, BOB, CAROL):
        signed_in(human)
    assert "Who can dba: Alice Ames, Bob Byrne" in words(HENRY, request)
    Person.objects.filter(sub="bob").update(is_active=False)
    assert "Who can dba: Alice Ames Expires" in words(HENRY, request)


def test_the_requester_is_not_named_as_somebody_who_could_decide() -> None:
    signed_in(BOB)

    assert "Who can dba: Bob Byrne Expires" in words(ALICE, held(caller(ALICE)))


def test_how_long_it_usually_takes_is_told_from_enough_decisions() -> None:
    for number in range(ENOUGH):
        request = held(sql=f"DELETE FROM t{number}")
        form = {"decision": "approve", "version": request.version, "view": view_digest(request)}
        browser(ALICE).post(f"/approvals/{request.pk}/decide/", form)
        ApprovalRequest.objects.filter(pk=request.pk).update(decided_at=request.created_at + timedelta(minutes=number))
        if number == ENOUGH - 2:
            assert "too few decisions to tell" in words(HENRY, held(sql="DELETE FROM u"))

    text = words(HENRY, held())

    assert "half within 2 min , nine of ten within 4 min" in text


def test_the_requester_is_told_how_to_come_back() -> None:
    request = held(caller(), sql="DELETE FROM a")

    text = words(HENRY, request)

    assert f"Holdgate-Approval: {request.pk}" in text
    assert "manage.py call orders-db query --args - --wait 30m" in text


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_nobody_else_is_told_what_the_requester_may_expect(who: Human) -> None:
    text = words(who, held())

    assert "Your request" not in text
    assert "Come back for the answer" not in text


def test_figures_are_those_of_the_nearest_rank() -> None:
    found = usual([float(number) for number in range(10, 0, -1)])

    assert found is not None
    assert (found.half, found.most, found.count) == (6.0, 10.0, 10)
    assert usual([1.0] * (ENOUGH - 1)) is None
