"""The load on approvers: figures from plain values, and the page for whom it is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvals.models import ApprovalRequest, Vote
from approvals.pages.load_figures import Asked, Said, by_day, by_group, by_hour
from approvals.pages.plots import HEIGHT, stacked
from approvals.seen import view_digest
from tests.held import HENRY, browser, held, house
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, GRACE, Human

__all__ = ["house"]
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
DBA = frozenset({"dba"})


def asked(minutes: float, outcome: str | None = None, taken: float | None = None, *groups: str) -> Asked:
    at = NOON - timedelta(minutes=minutes)
    return Asked(frozenset(groups) or DBA, at, outcome, None if taken is None else at + timedelta(seconds=taken))


def signs(*all_asked: Asked, said: Any = (), people: int = 2) -> list[str]:
    (load,) = by_group(all_asked, said, {"dba": people}, NOON)
    return load.signs


def test_what_waits_is_told_by_its_age() -> None:
    (load,) = by_group([asked(1), asked(10), asked(20), asked(90)], [], {"dba": 2}, NOON)

    assert load.waiting == (1, 2, 1)


def test_a_request_counts_for_every_group_that_may_decide_it() -> None:
    loads = by_group([asked(1, None, None, "dba", "security"), asked(2)], [], {"leads": 3}, NOON)

    assert [(load.name, load.asked, load.people) for load in loads] == [
        ("dba", 2, None),
        ("security", 1, None),
        ("leads", 0, 3),
    ]


def test_half_and_nine_of_ten_are_of_what_people_decided() -> None:
    decided = [asked(100 + number, "approved", float(number)) for number in range(1, 11)]

    (load,) = by_group([*decided, asked(5, "expired")], [], {"dba": 2}, NOON)

    assert (load.half, load.most, load.expired) == (6.0, 10.0, 1)


def test_approvals_that_nobody_can_have_read_stand_out() -> None:
    quick = [Said(DBA, 2.0, True)] * 6
    slow = [Said(DBA, 60.0, True)] * 4

    assert signs(said=quick + slow) == ["60 % of its approvals came within five seconds: are the requests read?"]
    assert signs(said=quick) == []  # too few to tell
    assert signs(said=[Said(DBA, 1.0, False)] * 20) == []  # to deny at once is no sign


def test_a_group_of_one_and_requests_that_expired_stand_out() -> None:
    assert signs(people=1) == ["only one person is known in it: nobody decides while they are away"]
    assert signs(asked(5, "expired"), *[asked(9, "approved", 1.0)] * 9) == [
        "1 of 10 requests expired because nobody decided"
    ]
    assert signs(asked(5, "expired"), *[asked(9, "approved", 1.0)] * 10) == []


def test_days_and_hours_are_those_of_utc() -> None:
    tomorrow_in_utc = datetime(2026, 3, 4, 23, 30, tzinfo=UTC).astimezone()

    days = by_day([asked(0, "approved"), Asked(DBA, tomorrow_in_utc, "denied", None), asked(1, "expired")], NOON, 3)

    assert [(day.day.day, day.approved, day.denied, day.other) for day in days] == [
        (3, 0, 0, 0),
        (4, 0, 1, 0),
        (5, 1, 0, 1),
    ]
    assert by_hour([Asked(DBA, tomorrow_in_utc, None, None)])[23] == 1


def test_the_highest_column_fills_the_plot_and_pieces_stand_on_each_other() -> None:
    plot = stacked([[("a", 1), ("b", 3)], [("a", 2), ("b", 0)]])

    assert plot.top == 4
    assert [(bar.kind, bar.y, bar.height) for bar in plot.bars] == [
        ("a", 75.0, 25.0),
        ("b", 0.0, 75.0),
        ("a", 50.0, 50.0),
    ]
    assert all(bar.y + bar.height <= HEIGHT for bar in plot.bars)
    assert stacked([[("a", 0)]]).bars == stacked([]).bars == ()


def words(who: Human) -> str:
    answer = browser(who).get("/load/")
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


@pytest.mark.usefixtures("house")
def test_the_page_tells_what_was_asked_and_decided() -> None:
    first = held()
    form = {"decision": "approve", "version": first.version, "view": view_digest(first)}
    browser(ALICE).post(f"/approvals/{first.pk}/decide/", form)
    Vote.objects.update(at=first.created_at + timedelta(seconds=2))
    old = held(sql="DELETE FROM b")
    ApprovalRequest.objects.filter(pk=old.pk).update(expires_at=old.created_at + timedelta(microseconds=1))
    held(sql="DELETE FROM c")

    text = words(ALICE)

    assert "What approvers were asked in 30 days: 3 requests." in text
    assert "dba : 1 of 3 requests expired because nobody decided." in text
    assert re.search(r"dba 2 1 3 \d+ s \d+ s 100 % of 1 \d 1 ", text)


@pytest.mark.usefixtures("house")
def test_an_approver_sees_the_figures_of_what_they_may_see_and_an_auditor_all() -> None:
    held()
    held(tool="drop_table", table="a")

    assert "30 days: 1 request." in words(CAROL)
    assert "30 days: 2 requests." in words(GRACE)
    assert "30 days: 2 requests." in words(DAVE)


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize("who", [EVE, HENRY])
def test_whom_it_does_not_concern_finds_no_such_page(who: Human) -> None:
    held()

    assert browser(who).get("/load/").status_code == 404
    assert "/load/" not in browser(who).get("/").content.decode()


@pytest.mark.usefixtures("house")
def test_without_anything_held_the_page_says_so() -> None:
    assert "Nothing was held yet." in words(BOB)
