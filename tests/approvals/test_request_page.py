"""The page of one request: why it was stopped, what it is compared with, what came before, one digest throughout."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.seen import view_digest
from sessions.events import Event
from tests.held import HENRY, ISS, RULES, browser, caller, held, house, publish_policy, recorded, signed_in
from tests.people import ALICE, BOB, DAVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


def detail(client: Client, request: ApprovalRequest) -> str:
    return client.get(f"/approvals/{request.pk}/").content.decode()


def post(client: Client, request: ApprovalRequest, decision: str, **fields: Any) -> Any:
    form = {"decision": decision, "version": request.version, "view": view_digest(request), **fields}
    return client.post(f"/approvals/{request.pk}/decide/", form, follow=True)


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def look_for(*conditions: dict[str, Any]) -> None:
    """Let the rule look at arguments."""
    match = {**RULES[0]["match"], "arguments": list(conditions)}
    publish_policy(rules=[{**RULES[0], "match": match}, RULES[1]])


def test_why_it_was_stopped_is_told_with_what_the_rule_found() -> None:
    look_for({"path": "sql", "matches": "(?i)delete"}, {"path": "dry_run", "equals_not": "true"})

    page = detail(browser(ALICE), held())

    assert '<mark class="hit"><span class="verb">DELETE</span></mark>' in page  # in the arguments
    assert "sql matches (?i)delete DELETE FROM orders" in words(page)
    assert "dry_run is not true false" in words(page)
    assert "connections orders-db" in words(page)


def test_whom_a_rule_stops_need_not_know_how_it_looks() -> None:
    look_for({"path": "sql", "matches": "(?i)delete"})
    request = held()

    for who, sees in ((HENRY, False), (ALICE, True), (GRACE, True)):
        assert ("(?i)delete" in detail(browser(who), request)) is sees
    dave = words(detail(browser(DAVE), request))
    assert "What it found is not shown to admins." in dave
    assert "DELETE" not in dave


def test_what_the_rule_found_is_told_by_the_revision_that_judged() -> None:
    look_for({"path": "sql", "matches": "(?i)delete"})
    request = held()
    look_for({"path": "sql", "matches": "something else"})

    assert "(?i)delete" in detail(browser(ALICE), request)


def test_a_call_is_compared_with_the_last_that_was_approved() -> None:
    post(browser(ALICE), held(sql="DELETE FROM a\nWHERE id = 1"), "approve")
    post(browser(ALICE), held(sql="DELETE FROM b\nWHERE id = 1"), "deny", comment="no")

    page = words(detail(browser(BOB), held(sql="DELETE FROM a\nWHERE id = 2")))

    assert "removed: WHERE id = 1 added: WHERE id = 2" in page
    assert "In 30 days: 1 approved , 1 denied ." in page


def test_nothing_is_compared_with_calls_of_others() -> None:
    post(browser(ALICE), held(), "approve")

    page = detail(browser(ALICE), held(caller(BOB, groups=caller().groups)))

    assert "There is nothing to compare it with." in page


def test_the_raw_form_is_the_arguments_as_one_line_with_everything_visible() -> None:
    page = detail(browser(ALICE), held(sql="DELETE \u202ex", limit=1))

    assert '{&quot;sql&quot;:&quot;DELETE <span class="mark"' in page


def test_the_calls_right_before_in_the_same_run_are_told_without_what_they_carried(house: Runtime) -> None:
    recorded(house)
    request = held()
    ApprovalRequest.objects.filter(pk=request.pk).update(session="s-1")
    page = words(detail(browser(ALICE), request))

    assert "query Answered" in page
    assert "seven rows" not in page


def test_what_was_asked_for_approved_and_run_is_compared_by_its_digests(house: Runtime) -> None:
    request = held()
    code, alice = request.call_digest[:12], browser(ALICE)
    assert f"✓ Asked for {code} – Approved not yet – Run not yet" in words(detail(alice, request))
    post(alice, request, "approve")
    facts = {"approval": request.pk, "call": "0" * 64}
    house.journal.append_now(Event(kind="call.intent", call_id=request.call_id, facts=facts))

    page = words(detail(alice, request))

    assert f"✓ Asked for {code} ✓ Approved {code} ✗ Run 000000000000 is another call" in page


def test_a_job_of_which_nobody_knows_who_started_it_says_who_answers_for_it() -> None:
    job = caller(kind="ci", owned_by=("platform",), display="build")

    assert "On behalf of not known; platform answer for it" in words(detail(browser(ALICE), held(job)))
    started = words(detail(browser(ALICE), held(replace(job, person="https://id.example.com|dave"))))
    assert "On behalf of dave who started it" in started


def test_who_started_a_job_is_told_by_name_once_they_signed_in_here() -> None:
    signed_in(DAVE)
    account = "https://ci.example.com|4711"
    publish_policy(people=[{"name": "Dave", "accounts": [f"{ISS}|{DAVE.sub}", account]}])
    job = caller(kind="ci", owned_by=("platform",), display="build", person=account)

    assert "On behalf of Dave Doyle (4711) who started it" in words(detail(browser(ALICE), held(job)))


def test_what_was_written_down_when_it_was_judged_is_shown_to_who_may_see_rules() -> None:
    look_for({"path": "sql", "matches": "(?i)delete"})
    request = held()

    assert "Written down then 2 rules read writes-need-a-dba spoke · sql" in words(detail(browser(ALICE), request))
    assert "Written down then" not in detail(browser(HENRY), request)
