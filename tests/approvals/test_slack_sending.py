"""The outbox's messages to Slack: one card, kept true; refusals of Slack told apart; nothing said twice."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from approvals import outbox, services
from approvals.checks import slack_is_slack
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.notices import sending
from approvals.notices.models import RouteState
from approvals.runtime import Runtime
from approvals.slack.card import APPROVE, DENY, OPEN
from approvals.standing import caller_of
from tests.held import ISS, caller, held, publish_policy, signed_in
from tests.held import house as house
from tests.people import ALICE, CONNECTION, DAVE
from tests.slack import BOT_TOKEN, BURST, FakeSlack
from tests.slack_house import CHANNELS, join_an_organisation, people, rules, send
from tests.slack_house import slack as slack
from tests.slack_limits import texts
from tests.world import until


def make_due() -> None:
    OutboundMessage.objects.update(next_attempt_at=F("created_at") - timedelta(hours=1))
    RouteState.objects.update(rests_until=None)


def decide(house: Runtime, request: ApprovalRequest, decision: Any = "approve", comment: str = "") -> None:
    alice = caller_of(signed_in(ALICE), house.policies.current.policy)
    services.decide(house, approval_id=request.pk, approver=alice, decision=decision, comment=comment, via="dashboard")


def shown(slack: FakeSlack) -> str:
    return "".join(texts(slack.cards()[-1].blocks))


def test_a_held_call_appears_in_the_channel_of_its_rule(house: Runtime, slack: FakeSlack) -> None:
    request = held(reason="ticket 42")
    (message,) = send(house)
    (card,) = slack.cards()
    assert message.status == "sent"
    assert (message.ref["channel"], message.ref["ts"], message.ref["team"]) == (card.channel, card.ts, slack.team)
    assert set(card.buttons) == {APPROVE, DENY, OPEN}
    assert card.buttons[OPEN]["url"].endswith(f"/approvals/{request.pk}/")
    assert "ticket 42" in shown(slack)


def test_a_card_and_a_mail_say_by_name_who_started_a_job(house: Runtime, slack: FakeSlack) -> None:
    signed_in(DAVE)
    account = "https://ci.example.com|4711"
    known = [*people(), {"name": "Dave", "accounts": [f"{ISS}|{DAVE.sub}", account]}]
    publish_policy(channels=CHANNELS, rules=rules(), people=known)
    request = held(caller(kind="ci", owned_by=("platform",), display="build", person=account))
    send(house)
    assert "On behalf of Dave Doyle (4711)" in shown(slack)
    message = OutboundMessage.objects.get(approval=request.pk)
    assert ("On behalf of", "Dave Doyle (4711)") in sending._notice(message, house).facts


def test_the_card_is_edited_with_who_decided_and_its_thread_tells_it(house: Runtime, slack: FakeSlack) -> None:
    request = held()
    send(house)
    decide(house, request, "deny", "not on a Friday")
    send(house)
    (card,) = slack.cards()
    assert set(card.buttons) == {OPEN}
    assert "Denied by Alice Ames (dashboard): not on a Friday" in shown(slack)
    assert slack.replies(card)[-1] == "Denied. Nothing was run."
    assert len(slack.replies(card)) == 2  # the vote, and what came of it


def test_events_that_piled_up_are_one_edit(house: Runtime, slack: FakeSlack) -> None:
    request = held()
    send(house)
    decide(house, request)
    outbox.enqueue(request, "reminded")
    send(house)
    assert slack.cards()[-1].edits == 1


def test_a_reminder_is_told_to_the_channel_again_and_a_vote_to_the_thread_alone(
    house: Runtime, slack: FakeSlack
) -> None:
    request = held(tool="drop_table")
    send(house)
    decide(house, request)
    outbox.enqueue(request, "reminded")
    send(house)
    vote, reminder = (one for one in slack.messages if one.thread)
    assert (vote.broadcast, reminder.broadcast) == (False, True)
    assert vote.text == "Alice Ames voted to approve (dashboard)."
    assert reminder.text.startswith("Still waiting for a decision. Needs 1 of 1 from dba and 0 of 1 from security")


def test_a_card_that_comes_after_the_decision_tells_the_decision(house: Runtime, slack: FakeSlack) -> None:
    request = held()
    decide(house, request, "deny", "no")
    send(house)
    assert set(slack.cards()[-1].buttons) == {OPEN}
    assert len(slack.cards()) == 1


@pytest.mark.parametrize("terms", [{"decide_in": ["dashboard"]}, {"mfa": "required"}])
def test_what_is_not_decided_in_slack_has_no_buttons_there(
    house: Runtime, slack: FakeSlack, terms: dict[str, Any]
) -> None:
    publish_policy(channels=CHANNELS, rules=rules(**terms))
    held()
    send(house)
    assert set(slack.cards()[-1].buttons) == {OPEN}


def test_a_card_that_somebody_deleted_is_posted_anew_while_it_is_needed(house: Runtime, slack: FakeSlack) -> None:
    request = held()
    send(house)
    slack.cards()[0].deleted = True
    ApprovalRequest.objects.filter(pk=request.pk).update(version=F("version") + 1)
    outbox.enqueue(request, "reminded")
    send(house)
    (card,) = slack.cards()
    assert APPROVE in card.buttons
    slack.cards()[0].deleted = True
    decide(house, request, "deny", "no")
    messages = send(house)
    assert slack.cards() == []
    assert {message.status for message in messages} == {"sent"}


@pytest.mark.parametrize(
    "error", ["not_in_channel", "channel_not_found", "is_archived", "invalid_auth", "token_revoked", "missing_scope"]
)
def test_a_dead_route_is_told_apart_from_a_passing_fault(house: Runtime, slack: FakeSlack, error: str) -> None:
    slack.fail("chat.postMessage", error)
    held()
    (message,) = send(house)
    assert message.status == "dead"
    assert error in message.error
    assert BOT_TOKEN not in message.error


def test_a_wrong_channel_and_one_without_the_app_are_dead_routes(house: Runtime, slack: FakeSlack) -> None:
    slack.channels["db-approvals"].member = False
    held()
    assert send(house)[0].error == "Slack answered not_in_channel: invite the app to the channel"


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "error": "ratelimited", "retry_after": 0},
        {"ok": False, "error": "internal_error"},
        {"ok": False, "error": "x" * 200, "status": 503},
    ],
)
def test_what_slack_cannot_do_now_is_tried_again(house: Runtime, slack: FakeSlack, answer: dict[str, Any]) -> None:
    slack.fail("chat.postMessage", dict(answer))
    held()
    assert [message.status for message in send(house)] == ["queued"]
    make_due()
    assert [message.status for message in send(house)] == ["sent"]
    assert len(slack.cards()) == 1


def test_the_pause_is_the_one_that_slack_asks_for(house: Runtime, slack: FakeSlack) -> None:
    slack.fail("chat.postMessage", {"ok": False, "error": "ratelimited", "retry_after": 90})
    held()
    (message,) = send(house)
    assert "90 s" in message.error
    assert (message.next_attempt_at - message.created_at).total_seconds() > 89


def test_one_process_never_posts_faster_than_a_channel_takes(house: Runtime, slack: FakeSlack) -> None:
    for _ in range(BURST + 2):
        held()
    assert {message.status for message in send(house)} == {"sent"}
    assert (len(slack.cards()), slack.limited) == (BURST + 2, 0)


def test_what_came_too_fast_from_several_processes_is_sent_later_and_once(
    house: Runtime, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.slack.sending.SPACING", 0.0)  # each of many processes has turns of its own
    for _ in range(BURST + 3):
        held()
    assert [message.status for message in send(house)].count("sent") == BURST
    assert slack.limited > 0

    def all_sent() -> bool:
        make_due()
        return {message.status for message in send(house)} == {"sent"}

    until(all_sent, "all cards")
    assert len(slack.cards()) == len({card.ts for card in slack.cards()}) == BURST + 3
    assert len({card.buttons[APPROVE]["value"] for card in slack.cards()}) == BURST + 3


def test_no_slack_at_all_is_a_passing_fault(house: Runtime, slack: FakeSlack, settings: Any) -> None:
    settings.SLACK_API_URL = "http://127.0.0.1:1/api/"
    held()
    (message,) = send(house)
    assert (message.status, message.attempts) == ("queued", 1)


def test_a_token_of_another_workspace_sends_nothing(house: Runtime, slack: FakeSlack) -> None:
    publish_policy(channels={"slack": {**CHANNELS["slack"], "team": "T0OTHER"}}, rules=rules())
    held()
    (message,) = send(house)
    assert message.status == "dead"
    assert "another workspace" in message.error
    assert slack.cards() == []


def test_a_token_that_is_not_there_yet_is_waited_for(
    house: Runtime, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_policy(channels={"slack": {**CHANNELS["slack"], "bot_token": "env:SLACK_TOKEN_LATER"}}, rules=rules())
    held()
    assert send(house)[0].error.startswith("the bot token is not available")


def test_a_message_that_slack_finds_too_long_after_all_becomes_a_link(house: Runtime, slack: FakeSlack) -> None:
    slack.fail("chat.postMessage", "msg_blocks_too_long")
    held()
    send(house)
    assert set(slack.cards()[-1].buttons) == {OPEN}


def test_in_an_organisation_the_card_remembers_it(house: Runtime, slack: FakeSlack) -> None:
    join_an_organisation(slack)
    held()
    (message,) = send(house)
    assert message.ref["enterprise"] == "E0ACME"


def test_a_dead_channel_lets_the_fallback_be_told(house: Runtime, slack: FakeSlack) -> None:
    fallback = {**CHANNELS, "fallback": [{"slack": "#operations"}]}
    publish_policy(channels=fallback, rules=rules(), people=people())
    slack.add_channel("operations")
    slack.channels["db-approvals"].archived = True
    request = held()
    send(house)
    (card,) = slack.cards()
    assert card.channel == slack.channels["operations"].id
    assert set(card.buttons) == {APPROVE, DENY, OPEN}
    slack.channels["db-approvals"].archived = False
    decide(house, request, "deny", "no")
    send(house)
    assert APPROVE not in card.buttons


@pytest.mark.promise("masked-everywhere")
def test_a_secret_in_the_arguments_never_reaches_slack(house: Runtime, slack: FakeSlack) -> None:
    card_number, password = "4111 1111 1111 1111", "Zq7vKx2mW9hunter"
    request = held(sql=f"update cards set n = '{card_number}'", password=password)
    masked = house.policies.current.outlet(CONNECTION)
    arguments = {"sql": f"update cards set n = '{card_number}'", "password": password}
    ApprovalRequest.objects.filter(pk=request.pk).update(arguments=json.dumps(masked.for_approver(arguments)))
    send(house)
    decide(house, request, "deny", f"no, {card_number}")
    send(house)
    assert slack.cards()
    assert card_number not in slack.seen()
    assert password not in slack.seen()


@pytest.mark.parametrize(
    ("url", "is_sound"),
    [
        ("https://slack.com/api/", True),
        ("https://slack-gov.com/api/", True),
        ("http://127.0.0.1:9999/api/", True),
        ("http://slack.com/api/", False),
        ("https://slack.com.evil.example/api/", False),
        ("https://evilslack.com/api/", False),
        ("https://evil.example/api/", False),
        ("https://user@evil.example/slack.com/api/", False),
        ("https://slack.com:8443/api/", False),
        ("https://[", False),
    ],
)
def test_the_token_goes_to_slack_or_nowhere(
    house: Runtime, slack: FakeSlack, settings: Any, url: str, is_sound: bool
) -> None:
    settings.SLACK_API_URL = url
    assert (slack_is_slack(None) == []) is is_sound
    if not is_sound:
        held()
        assert send(house)[0].error == "ImproperlyConfigured"


def test_a_policy_that_becomes_looser_is_told_in_the_channel_of_the_alerts(house: Runtime, slack: FakeSlack) -> None:
    alerts = {**CHANNELS, "alerts": [{"slack": rules()[0]["notify"][0]["slack"]}]}
    publish_policy(rules=rules(), channels=alerts, people=people())
    OutboundMessage.objects.all().delete()
    publish_policy(rules=[], channels=alerts, people=people())

    (message,) = send(house)

    assert message.status == "sent"
    assert "looser" in shown(slack)
    assert "is removed" in shown(slack)
