"""Emergencies as people and programs meet them: pages, API, the alarm on the inbox, and the figure for monitoring."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from approvals.models import ApprovalRequest, Review
from approvals.runtime import Runtime
from approvals.seen import view_digest
from tests.held import HENRY, ISS, RULES, browser, held, house, publish_policy
from tests.people import ALICE, CAROL, DAVE, EVE, GRACE

__all__ = ["house"]
API = "/api/v1"


@pytest.fixture(autouse=True)
def emergency(house: Runtime) -> None:
    terms = {**RULES[0]["approval"], "break_glass": {"groups": ["security"]}}
    publish_policy(rules=[{**RULES[0], "approval": terms}, RULES[1]])


def page(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"{API}{path}", body, content_type="application/json")


def break_it(request: ApprovalRequest, reason: str = "orders are down", **fields: Any) -> Any:
    form = {"reason": reason, "version": request.version, "view": view_digest(request), **fields}
    return browser(CAROL).post(f"/approvals/{request.pk}/break-glass/", form, follow=True)


def test_the_page_offers_it_to_whom_the_rule_names_and_to_nobody_else() -> None:
    request = held()
    shown = page(browser(CAROL), f"/approvals/{request.pk}/")
    assert "Emergency: approve alone" in shown
    assert "Only members of dba can decide this request." in shown
    for other in (ALICE, HENRY, GRACE, DAVE):
        assert "Emergency: approve alone" not in page(browser(other), f"/approvals/{request.pk}/")
    assert browser(ALICE).post(f"/approvals/{request.pk}/break-glass/", {"reason": "x"}).status_code == 403
    assert browser(EVE).post(f"/approvals/{request.pk}/break-glass/", {"reason": "x"}).status_code == 404
    assert "Emergency" not in page(browser(CAROL), f"/approvals/{held(tool='drop_table', table='a').pk}/")


def test_breaking_it_says_so_everywhere_until_a_second_person_has_looked() -> None:
    request = held()
    assert "alone, in an emergency" not in page(browser(ALICE), "/")

    answer = break_it(request, "<b>orders</b> are down")

    text = answer.content.decode()
    assert "Approved alone. Everybody is told" in text
    assert "&lt;b&gt;orders&lt;/b&gt; are down" in text
    assert "You approved this alone yourself" in text
    for who in (ALICE, CAROL, HENRY, DAVE, GRACE):
        shown = page(browser(who), "/")
        assert "1 approval given by one person alone, in an emergency, waits for a second person" in shown
    assert "alone, in an emergency" not in page(browser(EVE), "/")
    debt = page(browser(ALICE), "/reviews/")
    assert "Carol Cruz" in debt
    assert "Close the review" in debt
    assert "Close the review" not in page(browser(DAVE), "/reviews/")
    assert "are down" not in page(browser(DAVE), "/reviews/"), "an admin does not read what the calls are about"

    closed = browser(ALICE).post(f"/reviews/{request.pk}/close/", {"comment": "it was right"}, follow=True)

    assert "The review is closed and recorded." in closed.content.decode()
    assert "Nothing is owed." in page(browser(ALICE), "/reviews/")
    assert "alone, in an emergency, wait" not in page(browser(ALICE), "/")
    shown = page(browser(HENRY), f"/approvals/{request.pk}/")
    assert "by Alice Ames" in shown
    assert "it was right" in shown


def test_what_cannot_be_broken_is_told_on_the_page() -> None:
    request = held()
    assert break_it(request, "  ").status_code == 400
    assert "Look again" in break_it(request, view="something else").content.decode()
    assert break_it(request).status_code == 200
    assert "too late" in break_it(request).content.decode()
    assert Review.objects.count() == 1


def test_who_may_not_close_a_review_hears_why_and_who_may_not_see_it_hears_nothing() -> None:
    request = held()
    break_it(request)
    for who in (CAROL, HENRY, DAVE, GRACE):
        browser(who).post(f"/reviews/{request.pk}/close/", {"comment": "fine"})
    assert browser(EVE).post(f"/reviews/{request.pk}/close/", {"comment": "fine"}).status_code == 404
    answer = browser(ALICE).post(f"/reviews/{request.pk}/close/", {"comment": ""}, follow=True)
    assert "a review has a comment" in answer.content.decode()
    assert Review.objects.get().is_open


def test_the_api_breaks_lists_and_closes() -> None:
    request = held()
    path = f"/approvals/{request.pk}/break-glass/"
    assert post(browser(ALICE), path, reason="now").status_code == 403
    assert post(browser(EVE), path, reason="now").status_code == 404
    assert post(browser(CAROL), path).status_code == 400
    assert post(browser(CAROL), path, reason="now", version=7).status_code == 409

    done = post(browser(CAROL), path, reason="orders are down", version=request.version)

    assert done.status_code == 200
    assert (done.json()["status"], done.json()["approved_through"]) == ("approved", "break_glass")
    told = done.json()["break_glass"]
    assert (told["by"], told["reason"], told["closed"]) == (f"{ISS}|carol", "orders are down", None)
    assert post(browser(CAROL), path, reason="again").status_code == 409
    assert reviews(GRACE, "true") == [request.pk]
    assert reviews(GRACE, "false") == reviews(EVE, "true") == []
    assert post(browser(CAROL), f"/reviews/{request.pk}/close/", comment="fine").status_code == 403
    assert post(browser(ALICE), f"/reviews/{request.pk}/close/").status_code == 400
    assert post(browser(EVE), f"/reviews/{request.pk}/close/", comment="fine").status_code == 404

    closed = post(browser(ALICE), f"/reviews/{request.pk}/close/", comment="it was right")

    assert (closed.status_code, closed.json()["closed"]["display"]) == (200, "Alice Ames")
    assert post(browser(ALICE), f"/reviews/{request.pk}/close/", comment="again").status_code == 409
    assert reviews(GRACE, "false") == [request.pk]
    assert browser(GRACE).get(f"{API}/reviews/?open=maybe").status_code == 400


def reviews(who: Any, still_open: str) -> list[str]:
    answer = browser(who).get(f"{API}/reviews/?open={still_open}")
    return [one["approval"] for one in answer.json()["results"]]


def test_an_admin_reads_that_it_happened_and_not_why() -> None:
    request = held()
    break_it(request)
    (told,) = browser(DAVE).get(f"{API}/reviews/").json()["results"]
    assert (told["display"], told["reason"]) == ("Carol Cruz", None)


def test_monitoring_sees_what_is_owed() -> None:
    request = held()
    assert "holdgate_break_glass_open 0.0" in metrics()
    break_it(request)
    assert "holdgate_break_glass_open 1.0" in metrics()
    browser(ALICE).post(f"/reviews/{request.pk}/close/", {"comment": "it was right"})
    assert "holdgate_break_glass_open 0.0" in metrics()


def metrics() -> str:
    return Client(headers={"host": "localhost"}).get("/metrics").content.decode()
