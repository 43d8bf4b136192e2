"""The inbox without any script: three views with counts, expiring first, filters, and what is offered to whom."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals.models import ApprovalRequest
from tests.held import HENRY, RULES, browser, caller, held, house, publish_policy, signed_in
from tests.people import ALICE, CAROL, DAVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


def page(client: Client, **query: str) -> str:
    answer = client.get("/", query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def shown(text: str) -> list[str]:
    """Return the ids of the requests on the page, in their order."""
    return re.findall(r'id="card-([^"]+)"', text)


def expires(request: ApprovalRequest, minutes: int) -> None:
    ApprovalRequest.objects.filter(pk=request.pk).update(expires_at=request.created_at + timedelta(minutes=minutes))


def test_what_expires_first_stands_first() -> None:
    first, second, third = held(sql="DELETE FROM a"), held(sql="DELETE FROM b"), held(sql="DELETE FROM c")
    for request, minutes in ((first, 20), (second, 5), (third, 10)):
        expires(request, minutes)

    assert shown(page(browser(ALICE))) == [second.pk, third.pk, first.pk]


def test_each_view_says_how_many_wait_in_it() -> None:
    held()
    held(caller(ALICE), sql="DELETE FROM own")
    held(tool="drop_table", table="a")

    text = page(browser(ALICE))

    counts = re.findall(r'>(Mine to decide|I asked|Everything) <span class="badge[^>]*>(\d+)</span>', text)
    assert counts == [("Mine to decide", "2"), ("I asked", "1"), ("Everything", "3")]
    assert 'data-count="2"' in text


def test_what_ended_stands_behind_what_waits_newest_first() -> None:
    old, new, waits = held(sql="DELETE FROM a"), held(sql="DELETE FROM b"), held(sql="DELETE FROM c")
    for request in (old, new):
        browser(HENRY).post(f"/approvals/{request.pk}/cancel/")

    assert shown(page(browser(HENRY), show="asked")) == [waits.pk, new.pk, old.pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, {"query", "drop"}),
        ({"rule": "drops-need-two"}, {"drop"}),
        ({"connection": "orders-db"}, {"query", "drop"}),
        ({"connection": "other"}, set()),
        ({"caller": "Henry Hale"}, {"query", "drop"}),
        ({"caller": "carol"}, set()),
        ({"q": "DROP_"}, {"drop"}),
        ({"q": "hale", "rule": "writes-need-a-dba"}, {"query"}),
        ({"status": "pending"}, {"query", "drop"}),
        ({"status": "denied"}, set()),
        ({"q": "orders WHERE"}, set()),
        ({"q": "a\0b"}, {"query", "drop"}),
    ],
)
@pytest.mark.parametrize("show", ["mine", "all"])
def test_the_inbox_is_narrowed_by_plain_fields(show: str, query: dict[str, str], found: set[str]) -> None:
    requests = {held().pk: "query", held(tool="drop_table", table="a").pk: "drop"}

    text = page(browser(ALICE), show=show, **query)

    assert {requests[pk] for pk in shown(text)} == found
    assert ("Nothing fits these filters." in text) == (not found)


def test_a_filter_is_shown_and_can_be_taken_away() -> None:
    held()

    text = page(browser(ALICE), q="query", rule="writes-need-a-dba")

    assert 'href="?show=mine&amp;q=query"' in text
    assert 'href="?show=mine&amp;rule=writes-need-a-dba"' in text


def test_an_unknown_status_narrows_nothing_and_an_unknown_view_is_none() -> None:
    request = held()

    assert shown(page(browser(ALICE), status="' OR 1=1")) == [request.pk]
    assert browser(ALICE).get("/", {"show": "theirs"}).status_code == 404


def test_only_what_one_may_decide_can_be_chosen() -> None:
    mine, also, others = held(), held(sql="DELETE FROM b"), held(caller(ALICE), sql="DELETE FROM own")

    text = page(browser(ALICE), show="all")

    assert re.findall(r'id="choose-([^"]+)"', text) == [mine.pk, also.pk]
    assert others.pk in shown(text)
    assert "checked" in page(browser(ALICE), select="all")
    assert "choose-" not in page(browser(GRACE), show="all")


def test_identical_calls_are_offered_together_once() -> None:
    first, second = held(), held()
    held(sql="DELETE FROM other")

    text = page(browser(ALICE))

    assert text.count("2 identical calls wait.") == 1
    assert f"?decision=approve&amp;id={first.pk}&amp;id={second.pk}" in text


def test_who_is_a_member_by_address_and_has_signed_in_is_one_person_and_not_two() -> None:
    two = {"any_of": [{"groups": ["security"], "count": 2}]}
    publish_policy(rules=[{**RULES[0], "approval": {**RULES[0]["approval"], "require": two}}])
    signed_in(CAROL)

    assert "rule writes-need-a-dba: fewer people are known" in page(browser(CAROL))


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (ALICE, "When a call needs your decision it appears here by itself."),
        (DAVE, "You are in no group that decides."),
        (CAROL, "When a call needs your decision"),
    ],
)
def test_an_empty_inbox_says_what_to_do(who: Any, text: str) -> None:
    publish_policy()

    assert text in page(browser(who))


def test_older_ones_are_reached_page_by_page() -> None:
    requests = [held(caller(), sql=f"DELETE FROM t{number}") for number in range(52)]
    ApprovalRequest.objects.update(status="cancelled")
    grace = browser(GRACE)

    first = page(grace, show="all")
    older = re.search(r'href="\?show=all&amp;before=([^"]+)"', first)
    assert older is not None
    second = page(grace, show="all", before=older[1])

    assert shown(first) + shown(second) == [request.pk for request in reversed(requests)]
