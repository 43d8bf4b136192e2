"""Clicks in Slack: each is proven, checked and answered; nobody decides there who could not decide elsewhere."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from approvals import services
from approvals.database import database_now
from approvals.memory import Grant
from approvals.models import ApprovalRequest, OutboundMessage, Person, Vote
from approvals.people import AccountLink
from approvals.runtime import Runtime
from approvals.seen import view_digest
from approvals.slack import interactions
from approvals.slack.card import APPROVE, DENY, OPEN, REMEMBER
from approvals.standing import caller_of
from sessions import leaf as leaves
from sessions.models import Entry
from tests.held import HENRY, caller, held, publish_policy, signed_in
from tests.held import house as house
from tests.people import ALICE, BOB, CAROL
from tests.slack import FakeSlack
from tests.slack_house import (
    ALICE_THERE,
    CAROL_THERE,
    CHANNELS,
    HENRY_THERE,
    asked,
    people,
    rules,
    send,
    status,
    user,
)
from tests.slack_house import slack as slack


def kinds() -> list[str]:
    return [leaves.decode(bytes(row)).kind for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]


def test_a_click_approves_and_says_so(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    started = time.monotonic()
    assert alice.click(card, APPROVE) == 200
    assert time.monotonic() - started < 3
    assert status(request) == "approved"
    vote = Vote.objects.get(request=request)
    assert (vote.sub, vote.via, vote.decision) == ("alice", "slack", "approve")
    assert vote.view == view_digest(request)
    assert alice.heard()[-1].startswith(interactions.COUNTED)
    send(house)
    assert set(card.buttons) == {OPEN}


def test_a_denial_says_why_in_a_modal(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    assert alice.click(card, DENY) == 200
    assert status(request) == "pending"
    answer = alice.send_in(alice.modal(), comment="")
    assert answer["response_action"] == "errors"
    assert "comment" in answer["errors"]["comment"]
    assert alice.send_in(alice.modal(), comment="not on a Friday <!channel>") == {}
    assert status(request) == "denied"
    assert Vote.objects.get(request=request).comment == "not on a Friday <!channel>"
    send(house)
    assert "<!channel>" not in "".join(one.text for one in slack.messages)


def test_an_approval_that_needs_a_comment_asks_for_it_in_a_modal(house: Runtime, slack: FakeSlack) -> None:
    publish_policy(channels=CHANNELS, rules=rules(comment="required"), people=people())
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, APPROVE)
    assert status(request) == "pending"
    assert alice.send_in(alice.modal(), comment="looked at it") == {}
    assert status(request) == "approved"


def test_two_people_must_agree_and_one_click_does_not_do(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack, tool="drop_table")
    user(slack, ALICE_THERE).click(card, APPROVE)
    assert status(request) == "pending"
    send(house)
    user(slack, CAROL_THERE).click(card, APPROVE)
    assert status(request) == "approved"


def test_a_click_on_an_old_card_is_not_counted_and_the_card_is_made_true(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack, tool="drop_table")
    user(slack, ALICE_THERE).click(card, APPROVE)
    carol = user(slack, CAROL_THERE)
    carol.click(card, APPROVE)
    assert carol.heard() == [interactions.MOVED]
    assert status(request) == "pending"
    carol.click(card, APPROVE)
    assert status(request) == "approved"


def test_too_late_is_told_with_what_came_of_it(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    bob = caller_of(signed_in(BOB), house.policies.current.policy)
    services.decide(house, approval_id=request.pk, approver=bob, decision="deny", comment="no", via="dashboard")
    alice = user(slack)
    alice.click(card, APPROVE)
    assert alice.heard()[-1].startswith("Too late")
    assert "Denied" in alice.heard()[-1]
    assert APPROVE not in card.buttons
    assert status(request) == "denied"


def test_a_modal_that_is_sent_in_too_late_says_so(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, DENY)
    bob = caller_of(signed_in(BOB), house.policies.current.policy)
    services.decide(house, approval_id=request.pk, approver=bob, decision="approve", via="dashboard")
    answer = alice.send_in(alice.modal(), comment="no")
    assert answer["response_action"] == "update"
    assert "Too late" in str(answer["view"])
    assert status(request) == "approved"


@pytest.mark.promise("no-self-approval")
def test_nobody_approves_their_own_call_in_slack(house: Runtime, slack: FakeSlack) -> None:
    publish_policy(
        channels=CHANNELS, rules=rules(), people=people(), groups={"dba": {"members": [HENRY.email]}, **crew()}
    )
    request, card = asked(house, slack)
    henry = user(slack, HENRY_THERE)
    henry.click(card, APPROVE)
    assert "your own request" in henry.heard()[-1]
    assert status(request) == "pending"
    assert "approval.vote_refused" in kinds()


def crew() -> dict[str, Any]:
    return {"security": {"members": [CAROL.email]}, "platform": {"members": []}}


def test_who_is_in_no_deciding_group_is_told_who_can(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    carol = user(slack, CAROL_THERE)
    carol.click(card, APPROVE)
    assert "Only members of dba" in carol.heard()[-1]
    carol.click(card, DENY)
    assert "Only members of dba" in str(carol.modal())
    assert "submit" not in carol.modal()
    assert status(request) == "pending"


def test_what_changed_while_a_modal_was_open_is_looked_at_again(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, DENY)
    publish_policy(
        channels=CHANNELS, rules=rules(), people=people(), groups={"dba": {"members": [BOB.email]}, **crew()}
    )
    assert "Only members of dba" in str(alice.send_in(alice.modal(), comment="no"))
    assert status(request) == "pending"


REMEMBERED = {"remember": {"scopes": ["same_arguments", "same_tool"], "max_age": "2h", "max_uses": "3"}}


def test_an_approval_can_be_remembered_within_what_the_rule_allows(house: Runtime, slack: FakeSlack) -> None:
    publish_policy(channels=CHANNELS, rules=rules(**REMEMBERED), people=people())
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, REMEMBER)
    assert status(request) == "pending"
    assert "up to 3 times" in str(alice.modal())
    wider = alice.sending_in(alice.modal(), scope="same_tool")
    wider["view"]["state"]["values"]["age"]["age"]["selected_option"] = {"value": "86400"}
    assert "2 hours at most" in alice.send(wider)[1].decode()
    assert status(request) == "pending"
    assert alice.send_in(alice.modal(), scope="same_arguments", age="900") == {}
    grant = Grant.objects.get(request=request)
    assert (grant.scope, grant.max_age, grant.max_uses) == ("same_arguments", 900, 3)
    assert status(request) == "approved"


def test_somebody_unknown_gets_a_link_of_their_own_and_decides_nothing(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    eve = user(slack, "U0EVE")
    eve.click(card, APPROVE)
    assert "/me/accounts/link/" in eve.heard()[-1]
    assert "/me/accounts/link/" not in "".join(one.text for one in slack.messages)
    eve.click(card, DENY)
    assert "/me/accounts/link/" in str(eve.modal())
    assert "submit" not in eve.modal()
    assert status(request) == "pending"
    assert kinds().count("approval.click_refused") == 2


def test_who_is_switched_off_decides_nothing(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    Person.objects.filter(sub="alice").update(is_active=False)
    alice.click(card, APPROVE)
    assert status(request) == "pending"
    assert alice.heard()


def test_a_rule_that_is_decided_elsewhere_cannot_be_decided_by_a_forged_button(
    house: Runtime, slack: FakeSlack
) -> None:
    request, card = asked(house, slack)
    value = card.buttons[APPROVE]["value"]
    ApprovalRequest.objects.filter(pk=request.pk).update(terms={**request.terms, "decide_in": ["dashboard"]})
    alice = user(slack)
    alice.send(alice.clicking(card, APPROVE, actions=[{"action_id": APPROVE, "value": value}]))
    assert "dashboard only" in alice.heard()[-1]
    assert status(request) == "pending"


MATCHING = {"slack": {**CHANNELS["slack"], "match_email": True}}


@pytest.mark.parametrize(
    "flags",
    [
        {"is_restricted": True},
        {"is_ultra_restricted": True},
        {"is_bot": True},
        {"deleted": True},
        {"is_stranger": True},
        {"team_id": "T0OTHER"},
    ],
)
def test_an_address_of_a_guest_a_bot_or_a_stranger_matches_nobody(
    house: Runtime, slack: FakeSlack, flags: dict[str, Any]
) -> None:
    publish_policy(channels=MATCHING, rules=rules())
    request, card = asked(house, slack)
    slack.add_user(ALICE_THERE, ALICE.email, **flags)
    user(slack).click(card, APPROVE)
    assert status(request) == "pending"


def test_an_address_matches_only_where_the_configuration_says_so(house: Runtime, slack: FakeSlack) -> None:
    publish_policy(channels=CHANNELS, rules=rules())
    request, card = asked(house, slack)
    slack.add_user(ALICE_THERE, ALICE.email)
    user(slack).click(card, APPROVE)
    assert status(request) == "pending"
    publish_policy(channels=MATCHING, rules=rules())
    user(slack).click(card, APPROVE)
    assert status(request) == "approved"


def test_an_address_matches_nobody_where_it_is_disputed_whose_the_account_is(house: Runtime, slack: FakeSlack) -> None:
    bobs = signed_in(BOB)
    account = f"slack:T0ACME/{ALICE_THERE}"
    disputed = {"name": "Carol", "accounts": [account, signed_in(CAROL).key]}
    AccountLink.objects.create(
        account=account, holder=bobs.key, method="token", made_at=database_now(), made_by=bobs.key
    )
    publish_policy(channels=MATCHING, rules=rules(), people=[disputed])
    request, card = asked(house, slack)
    slack.add_user(ALICE_THERE, ALICE.email)
    user(slack).click(card, APPROVE)
    assert status(request) == "pending"


def test_a_user_whom_the_response_url_does_not_reach_is_told_all_the_same(house: Runtime, slack: FakeSlack) -> None:
    _, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, APPROVE, response_url="https://evil.example/x")
    assert slack.said[-1]["way"] == "chat.postEphemeral"
    assert alice.heard()[-1].startswith(interactions.COUNTED)


def test_a_modal_that_cannot_be_opened_is_told(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    slack.fail("views.open", "expired_trigger_id")
    alice.click(card, DENY)
    assert alice.heard() == [interactions.TRY_AGAIN]
    assert status(request) == "pending"


def test_an_agent_of_the_same_person_asks_and_the_person_does_not_approve(house: Runtime, slack: FakeSlack) -> None:
    request = held(by=caller(person=f"{caller().iss}|alice"))
    send(house)
    alice = user(slack)
    alice.click(slack.cards()[-1], APPROVE)
    assert "your own request" in alice.heard()[-1]
    assert status(request) == "pending"


@pytest.mark.promise("nothing-lost")
def test_a_card_whose_sender_died_before_it_wrote_down_where_is_known_by_its_buttons(
    house: Runtime, slack: FakeSlack
) -> None:
    request, card = asked(house, slack)
    OutboundMessage.objects.filter(approval=request.pk).update(ref={}, status="queued")
    stranger = user(slack)
    stranger.click(card, APPROVE, team={"id": "T0OTHER"})
    assert stranger.heard()[-1] == interactions.STRANGER
    assert status(request) == "pending"
    user(slack).click(card, APPROVE)
    assert status(request) == "approved"
    send(house)
    assert len(slack.cards()) == 1
    assert set(card.buttons) == {OPEN}


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("changes", [{"decision": "perhaps"}, {"version": "x"}, {"approval": None}, {"ts": 3}])
def test_a_modal_that_says_nothing_clear_decides_nothing(
    house: Runtime, slack: FakeSlack, changes: dict[str, Any]
) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, DENY)
    view = alice.modal()
    told = json.dumps({**json.loads(view["private_metadata"]), **changes})
    alice.send(alice.sending_in({**view, "private_metadata": told}, comment="no"))
    assert status(request) == "pending"


def test_a_button_of_another_version_of_the_gateway_is_answered(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    for button in ({"action_id": APPROVE, "value": "no version"}, {"action_id": "new", "value": f"{request.pk}:1"}):
        alice.send(alice.clicking(card, APPROVE, actions=[button]))
        assert alice.heard()[-1] == interactions.UNKNOWN_BUTTON
    assert status(request) == "pending"
