"""Inbox, detail, decision and replay as a browser gets them, without any script."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from approvals import keys, timers
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime, runtime
from approvals.seen import view_digest
from sessions.leaf import decode
from sessions.models import Entry
from tests.engine import pass_time
from tests.held import HENRY, RULES, anonymous, browser, caller, held, house, publish_policy, recorded
from tests.people import ALICE, BOB, CAROL, DAVE, EVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")


def detail(client: Client, request: ApprovalRequest) -> str:
    return client.get(f"/approvals/{request.pk}/").content.decode()


def post(client: Client, request: ApprovalRequest, decision: str, **fields: Any) -> Any:
    form = {"decision": decision, "version": request.version, "view": view_digest(request), **fields}
    return client.post(f"/approvals/{request.pk}/decide/", form, follow=True)


def test_the_inbox_shows_what_waits_for_the_viewer() -> None:
    request = held()

    page = browser(ALICE).get("/").content.decode()

    assert f'href="/approvals/{request.pk}/"' in page
    assert "DELETE FROM orders WHERE status" in page
    assert "Henry Hale, a person" in " ".join(page.split())


def test_what_one_cannot_decide_is_not_offered() -> None:
    held()

    assert "Nothing waits for you." in browser(GRACE).get("/").content.decode()
    assert "1 request waits for others" in " ".join(browser(GRACE).get("/").content.decode().split())


def test_a_hold_that_nobody_could_decide_is_told_to_those_who_can_change_it() -> None:
    publish_policy(groups={"dba": {"members": []}, "security": {"members": []}, "platform": {"members": [DAVE.email]}})

    assert "rule writes-need-a-dba: fewer people are known" in browser(DAVE).get("/").content.decode()
    assert "fewer people" not in browser(EVE).get("/").content.decode()


def test_a_page_says_who_will_join_and_from_when_on_and_then_who_did() -> None:
    rule = {**RULES[0], "approval": {**RULES[0]["approval"], "escalate": [{"after": "4m", "add_groups": ["security"]}]}}
    publish_policy(rules=[rule])
    request = held()

    page = " ".join(detail(browser(ALICE), request).split())

    joins = request.created_at + timedelta(minutes=4)
    assert f'datetime="{joins.isoformat(timespec="seconds")}"' in page
    assert "on <strong>security</strong> may decide too." in page
    assert browser(CAROL).get(f"/approvals/{request.pk}/").status_code == 404
    pass_time(request, minutes=5)
    timers.run_due(runtime())
    page = " ".join(detail(browser(CAROL), request).split())
    assert "may decide too" not in page
    assert "from <strong>dba or security</strong>" in page
    assert 'id="approve"' in page


def test_what_one_has_approved_leaves_the_inbox() -> None:
    request = held(tool="drop_table", table="a")
    alice = browser(ALICE)

    post(alice, request, "approve")

    assert "Nothing waits for you." in alice.get("/").content.decode()
    assert "You have approved." in detail(alice, request)


@pytest.mark.parametrize(("show", "there"), [("mine", False), ("asked", True), ("all", True)])
def test_the_requester_finds_their_own_request(show: str, there: bool) -> None:
    request = held()

    assert (request.pk in browser(HENRY).get(f"/?show={show}").content.decode()) is there


def test_the_detail_page_says_what_why_who_and_what_then() -> None:
    request = held(reason="ticket <b>7</b>")

    page = " ".join(detail(browser(ALICE), request).split())

    for text in (
        "Henry Hale wants to run</span> query",
        '<span class="verb">DELETE</span> FROM orders',
        "writes-need-a-dba",
        "Writes to production need somebody from the database team.",
        "ticket &lt;b&gt;7&lt;/b&gt;",
        "nobody has verified it",
        "https://id.example.com",
        "<strong>1</strong> from <strong>dba</strong>",
        "After approval the call runs once at once: its caller is waiting on the line.",
    ):
        assert text in page


def test_without_a_caller_on_the_line_the_page_says_how_long_it_may_be_collected() -> None:
    request = held()
    ApprovalRequest.objects.update(attached_to="")

    assert "when its caller comes back for it, within 10 min." in " ".join(detail(browser(ALICE), request).split())


def test_characters_that_cannot_be_seen_are_shown() -> None:
    request = held(sql="DELETE FROM a\u202e-- \u200bb")

    page = detail(browser(ALICE), request)

    assert "\u202e" not in page
    assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' in page


def test_an_identical_call_that_waits_too_is_pointed_out() -> None:
    first, second = held(), held()

    assert f'href="/approvals/{second.pk}/"' in detail(browser(ALICE), first)


def test_a_person_approves() -> None:
    request = held()

    answer = post(browser(ALICE), request, "approve", comment="fine")

    assert answer.redirect_chain == [(f"/approvals/{request.pk}/", 302)]
    request.refresh_from_db()
    assert (request.status, request.votes.get().via) == ("approved", "dashboard")
    assert "Approved, not yet run" in answer.content.decode()


def test_denying_without_a_comment_is_refused_and_says_why() -> None:
    request = held()

    answer = post(browser(ALICE), request, "deny")

    assert answer.status_code == 400
    assert "Say why in a comment" in answer.content.decode()
    request.refresh_from_db()
    assert request.status == "pending"


def test_a_decision_on_what_has_changed_is_asked_for_again() -> None:
    request = held(tool="drop_table", table="a")
    post(browser(CAROL), request, "approve")

    answer = post(browser(ALICE), request, "approve")

    assert "Something changed while you looked at it." in answer.content.decode()
    request.refresh_from_db()
    assert request.status == "pending"


def test_what_was_approved_is_what_was_shown() -> None:
    request = held()
    shown = view_digest(request)

    post(browser(ALICE), request, "approve")

    entry = Entry.objects.get(kind="approval.voted")
    assert request.votes.get().view == shown
    assert decode(bytes(entry.leaf)).facts["view"] == shown


@pytest.mark.parametrize(
    "moved",
    [{"arguments": '{"sql": "DELETE FROM b"}'}, {"arguments": ""}, {"terms": None}, {"requester_display": "Ann"}],
    ids=["arguments", "erased", "who-decides", "asker"],
)
def test_what_has_moved_since_it_was_shown_is_not_approved(moved: dict[str, Any]) -> None:
    request = held()
    wider = {"any_of": [{"groups": ["dba", "security"], "count": 1}]}
    changed = {"terms": {**request.terms, "require": wider}} if "terms" in moved else moved
    ApprovalRequest.objects.update(**changed)

    answer = post(browser(ALICE), request, "approve")

    assert "Something changed while you looked at it." in answer.content.decode()
    request.refresh_from_db()
    assert request.status == "pending"


def test_an_approval_says_what_was_shown_and_a_denial_counts_without_it() -> None:
    request = held()
    url = f"/approvals/{request.pk}/decide/"

    browser(ALICE).post(url, {"decision": "approve", "version": request.version})
    assert not request.votes.exists()
    browser(ALICE).post(url, {"decision": "deny", "comment": "no"})

    request.refresh_from_db()
    assert request.status == "denied"


def test_a_late_decision_is_told_kindly() -> None:
    request = held()
    post(browser(BOB), request, "deny", comment="no")

    answer = post(browser(ALICE), request, "approve")

    assert "came too late and was not counted: denied." in answer.content.decode()


def test_the_requester_sees_no_button_but_to_withdraw() -> None:
    request = held()
    henry = browser(HENRY)

    page = detail(henry, request)
    refused = post(henry, request, "approve")
    withdrawn = henry.post(f"/approvals/{request.pk}/cancel/", follow=True)

    assert "This is your own request" in page
    assert 'value="approve"' not in page
    assert refused.status_code == 403
    assert "The request is withdrawn." in withdrawn.content.decode()


def test_the_requester_withdraws_also_what_is_approved_and_not_run() -> None:
    request = held()
    post(browser(ALICE), request, "approve")

    assert "Withdraw my request" in detail(browser(HENRY), request)
    answer = browser(HENRY).post(f"/approvals/{request.pk}/cancel/", follow=True)

    assert "Nothing was run." in answer.content.decode()
    assert "Withdraw my request" not in answer.content.decode()


def test_the_requester_can_ask_people_to_look_when_some_time_has_passed() -> None:
    request = held()
    henry = browser(HENRY)

    assert "Ask them to look" not in detail(henry, request)
    assert "They were asked a moment ago" in nudged(henry, request)
    pass_time(request, minutes=6)
    assert "Ask them to look" in detail(henry, request)
    assert "Ask them to look" not in detail(browser(ALICE), request)
    assert "Everybody who was told of it is asked to look." in nudged(henry, request)
    assert browser(ALICE).post(f"/approvals/{request.pk}/nudge/").status_code == 403


def nudged(client: Client, request: ApprovalRequest) -> str:
    return client.post(f"/approvals/{request.pk}/nudge/", follow=True).content.decode()


def test_who_approved_takes_it_back_on_the_page_and_everybody_sees_why() -> None:
    request = held()
    alice = browser(ALICE)
    assert "Take the approval back" not in detail(alice, request)
    post(alice, request, "approve")

    assert "Take the approval back" in detail(alice, request)
    assert "Take the approval back" not in detail(browser(HENRY), request)
    assert browser(HENRY).post(f"/approvals/{request.pk}/revoke/").status_code == 403
    answer = alice.post(f"/approvals/{request.pk}/revoke/", {"comment": "<b>wrong day</b>"}, follow=True)

    assert "The approval is taken back. Nothing was run." in answer.content.decode()
    assert "&lt;b&gt;wrong day&lt;/b&gt;" in detail(browser(HENRY), request)
    assert "too late" in alice.post(f"/approvals/{request.pk}/revoke/", follow=True).content.decode()


def test_an_admin_sees_that_a_call_waits_and_not_what_it_carries() -> None:
    page = detail(browser(DAVE), held(reason="ticket 7"))

    assert "DELETE" not in page
    assert "ticket 7" not in page


def test_for_whom_a_request_is_not_there_is_none() -> None:
    request = held()
    eve = browser(EVE)

    assert eve.get(f"/approvals/{request.pk}/").status_code == 404
    assert post(eve, request, "approve").status_code == 404


@pytest.mark.parametrize("path", ["/", "/approvals/x/", "/sessions/", "/sessions/x/", "/admin/"])
def test_nobody_in_particular_is_sent_to_sign_in(path: str) -> None:
    answer = anonymous().get(path, follow=True)

    assert answer.redirect_chain[-1][0].startswith("/sign-in/")
    assert "Sign in" in answer.content.decode()


def test_a_post_without_the_csrf_token_counts_nothing() -> None:
    request = held()

    assert post(browser(ALICE, enforce_csrf_checks=True), request, "approve").status_code == 403


def test_a_session_is_replayed_step_by_step(house: Runtime) -> None:
    session = recorded(house)

    page = browser(GRACE).get(f"/sessions/{session.pk}/").content.decode()

    assert page.index("Forwarded to the upstream") < page.index("Answered")
    assert "seven rows" in page
    assert "Henry Hale" in page


def test_that_somebody_else_read_a_session_is_recorded_first(house: Runtime) -> None:
    session = recorded(house)

    browser(HENRY).get(f"/sessions/{session.pk}/")
    assert not Entry.objects.filter(kind="record.read").exists()
    browser(GRACE).get(f"/sessions/{session.pk}/")
    assert Entry.objects.get(kind="record.read").actor == keys.actor(caller(GRACE).key)


@pytest.mark.parametrize(("who", "status", "shown"), [(HENRY, 200, True), (DAVE, 200, False), (ALICE, 404, False)])
def test_who_may_replay_a_session(who: Any, status: int, shown: bool, house: Runtime) -> None:
    session = recorded(house)

    answer = browser(who).get(f"/sessions/{session.pk}/")

    assert answer.status_code == status
    assert ("seven rows" in answer.content.decode()) is shown


def test_the_list_of_sessions_holds_ones_own_only_unless_one_may_see_all(house: Runtime) -> None:
    recorded(house)

    assert "/sessions/s-1/" in browser(HENRY).get("/sessions/").content.decode()
    assert "/sessions/s-1/" in browser(GRACE).get("/sessions/").content.decode()
    assert "/sessions/s-1/" not in browser(ALICE).get("/sessions/").content.decode()
