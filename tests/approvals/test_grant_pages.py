"""Remembering a decision and taking it back, as a browser does it without any script."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from approvals.memory import Grant
from approvals.models import ApprovalRequest
from approvals.seen import view_digest
from tests.held import HENRY, RULES, browser, held, house, publish_policy
from tests.people import ALICE, CAROL, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


@pytest.fixture(autouse=True)
def _rules(house: Any) -> None:
    caps = {"scopes": ["same_arguments", "same_tool"], "max_age": "1h", "max_uses": 5}
    publish_policy(rules=[{**RULES[0], "approval": {**RULES[0]["approval"], "remember": caps}}, RULES[1]])


def page(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


def approve(request: ApprovalRequest, remember: str = "") -> Any:
    form = {"decision": "approve", "version": request.version, "view": view_digest(request), "remember": remember}
    return browser(ALICE).post(f"/approvals/{request.pk}/decide/", form, follow=True)


def test_the_form_offers_what_may_be_remembered_as_sentences() -> None:
    offered = page(browser(ALICE), f"/approvals/{held().pk}/")

    assert "For 1 hour, up to 5 times: the same call with the same arguments" in offered
    assert "For 1 hour, up to 5 times: every call of the same tool, whatever its arguments" in offered
    assert "remember" not in page(browser(CAROL), f"/approvals/{held(tool='drop_table').pk}/")


@pytest.mark.parametrize("scope", ["", "same_arguments", "same_tool"])
def test_what_is_chosen_is_remembered(scope: str) -> None:
    approve(held(), scope)

    assert [grant.scope for grant in Grant.objects.all()] == ([scope] if scope else [])


def test_a_choice_that_was_not_offered_changes_nothing() -> None:
    request = held()

    answer = approve(request, "everything")

    assert answer.status_code == 400
    assert "The rule lets only" in answer.content.decode()
    request.refresh_from_db()
    assert request.status == "pending"


def test_the_page_says_what_is_remembered_how_often_it_was_used_and_takes_it_back() -> None:
    assert "Nothing is remembered now." in page(browser(ALICE), "/grants/")
    request = held()
    approve(request, "same_tool")
    held(sql="DELETE FROM b")

    listed = page(browser(ALICE), "/grants/")

    assert "Used 1 of 5" in listed
    assert "given by Alice Ames" in listed
    assert f'href="/approvals/{request.pk}/"' in listed
    grant = Grant.objects.get()
    answer = browser(ALICE).post(f"/grants/{grant.pk}/revoke/", follow=True).content.decode()
    assert "Nothing is remembered now." in answer
    assert "Revoked" in answer


def test_only_who_may_take_it_back_is_offered_to() -> None:
    approve(held(), "same_tool")
    grant = Grant.objects.get()

    assert ">Revoke<" in page(browser(HENRY), "/grants/")
    assert "Used 0 of 5" in page(browser(GRACE), "/grants/")
    assert ">Revoke<" not in page(browser(GRACE), "/grants/")
    assert browser(CAROL).post(f"/grants/{grant.pk}/revoke/").status_code == 404
    browser(GRACE).post(f"/grants/{grant.pk}/revoke/")
    grant.refresh_from_db()
    assert grant.revoked_at is None


def test_a_request_that_a_grant_approved_says_so() -> None:
    approve(held(), "same_tool")

    detail = page(browser(ALICE), f"/approvals/{held(sql='DELETE FROM b').pk}/")

    assert "Approved by a remembered decision" in detail
