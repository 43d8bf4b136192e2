"""Several requests at once: each decided by itself, approved together only when identical, with a result per item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client

from approvals.models import ApprovalRequest
from approvals.seen import view_digest
from sessions.models import Entry
from tests.held import HENRY, browser, caller, held, house
from tests.people import ALICE, BOB, EVE, Human

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")
URL = "/approvals/bulk/"


def look(who: Human, decision: str, *requests: ApprovalRequest) -> str:
    answer = browser(who).get(URL, {"decision": decision, "id": [request.pk for request in requests]})
    return " ".join(answer.content.decode().split())


def form(decision: str, requests: Sequence[ApprovalRequest], **fields: Any) -> dict[str, Any]:
    """Return the fields of the page's form as it stands now."""
    shown: dict[str, Any] = {"decision": decision, "id": [request.pk for request in requests]}
    for request in requests:
        request.refresh_from_db()
        shown |= {f"version-{request.pk}": request.version, f"view-{request.pk}": view_digest(request)}
    return shown | fields


def press(client: Client, fields: dict[str, Any]) -> str:
    return " ".join(client.post(URL, fields).content.decode().split())


def statuses(*requests: ApprovalRequest) -> list[str]:
    for request in requests:
        request.refresh_from_db()
    return [request.status for request in requests]


def test_many_are_denied_with_one_comment_each_by_itself() -> None:
    first, second = held(), held(tool="drop_table", table="a")

    text = press(browser(ALICE), form("deny", [first, second], comment="Not today."))

    assert statuses(first, second) == ["denied", "denied"]
    assert {request.votes.get().comment for request in (first, second)} == {"Not today."}
    assert Entry.objects.filter(kind="approval.denied").count() == 2
    assert text.count("Your decision is counted and recorded.") == 2


def test_the_page_before_lists_every_item_with_its_arguments() -> None:
    requests = [held(sql=f"DELETE FROM t{number}") for number in range(3)]

    text = look(ALICE, "deny", *requests)

    assert "Deny 3 requests?" in text
    for number, request in enumerate(requests):
        assert f"FROM t{number}" in text
        assert f'name="view-{request.pk}"' in text


def test_identical_calls_are_approved_together_and_the_page_says_how_often_it_runs() -> None:
    twins = [held(), held(), held()]

    asked = look(ALICE, "approve", *twins)
    text = press(browser(ALICE), form("approve", twins))

    assert "runs it <strong>3 times</strong>" in asked
    assert asked.count('<span class="verb">DELETE</span> FROM orders') == 1  # read once, with all of it
    assert asked.count("DELETE FROM orders WHERE status") == 3  # and listed for each
    assert statuses(*twins) == ["approved"] * 3
    assert text.count("Your decision is counted and recorded.") == 3
    assert all(request.votes.get().view == view_digest(request) for request in twins)


@pytest.mark.parametrize("other", ["arguments", "caller", "run", "tool"])
def test_what_is_not_identical_is_not_approved_together(other: str) -> None:
    first = held()
    second = {
        "arguments": lambda: held(sql="DELETE FROM a"),
        "caller": lambda: held(caller(BOB, groups=caller().groups)),
        "run": lambda: held(caller(run=(("run_id", "7"),))),
        "tool": lambda: held(tool="drop_table", table="a"),
    }[other]()

    text = press(browser(ALICE), form("approve", [first, second]))

    assert "Only identical calls can be approved together" in text
    assert statuses(first, second) == ["pending", "pending"]


def test_a_rule_that_wants_a_second_factor_is_not_approved_in_bulk() -> None:
    twins = [held(), held()]
    ApprovalRequest.objects.update(terms={**twins[0].terms, "mfa": "required"})

    assert "open the requests one by one" in press(browser(ALICE), form("approve", twins))
    assert statuses(*twins) == ["pending", "pending"]


def test_more_than_twenty_are_not_approved_at_once() -> None:
    twins = [held() for _ in range(21)]

    assert "At most 20 requests can be decided at once." in press(browser(ALICE), form("approve", twins))
    assert set(statuses(*twins)) == {"pending"}


def test_without_the_comment_that_the_rule_asks_for_nothing_is_decided() -> None:
    first, second = held(), held(sql="DELETE FROM b")

    text = press(browser(ALICE), form("deny", [first, second], comment="  "))

    assert "Say why in a comment" in text
    assert statuses(first, second) == ["pending", "pending"]


def test_one_that_moved_meanwhile_is_told_and_keeps_nothing_from_the_others() -> None:
    first, second, third = held(sql="DELETE FROM a"), held(sql="DELETE FROM b"), held(tool="drop_table", table="c")
    fields = form("deny", [first, second, third], comment="no")
    browser(BOB).post(f"/approvals/{first.pk}/decide/", {"decision": "deny", "comment": "mine"})
    browser(BOB).post(
        f"/approvals/{third.pk}/decide/", {"decision": "approve", "view": view_digest(third), "version": third.version}
    )

    text = press(browser(ALICE), fields)

    assert statuses(first, second, third) == ["denied", "denied", "pending"]
    assert "It was no longer open: denied." in text
    assert "Something changed while you looked at it." in text


def test_what_was_not_shown_is_not_approved() -> None:
    twins = [held(), held()]
    fields = form("approve", twins)
    fields[f"view-{twins[0].pk}"] = "0" * 64

    press(browser(ALICE), fields)

    assert statuses(*twins) == ["pending", "approved"]


@pytest.mark.promise("no-self-approval")
def test_ones_own_requests_are_left_alone_in_a_bulk() -> None:
    own, other = held(caller(ALICE)), held(sql="DELETE FROM b")

    text = press(browser(ALICE), form("deny", [own, other], comment="no"))

    assert statuses(own, other) == ["pending", "denied"]
    assert "This is your own request" in text


def test_what_one_may_not_see_is_not_there() -> None:
    request = held()

    answer = browser(EVE).get(URL, {"decision": "deny", "id": request.pk})
    posted = browser(EVE).post(URL, form("deny", [request], comment="x"))

    assert (answer.status_code, posted.status_code) == (302, 302)
    assert statuses(request) == ["pending"]


def test_a_get_decides_nothing() -> None:
    request = held()

    look(ALICE, "deny", request)
    look(HENRY, "deny", request)

    assert statuses(request) == ["pending"]
    assert browser(ALICE, enforce_csrf_checks=True).post(URL, form("deny", [request], comment="x")).status_code == 403
