"""The door for clicks: what Slack did not sign, what comes twice, what comes from elsewhere."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import pytest

from approvals import services
from approvals.models import Vote
from approvals.runtime import Runtime
from approvals.slack import interactions, modals, probe
from approvals.slack.card import APPROVE, DENY
from approvals.slack.models import SlackDelivery
from approvals.slack.views import answered
from tests.engine import refusing
from tests.held import anonymous, browser, publish_policy
from tests.held import house as house
from tests.people import DAVE
from tests.slack import FakeSlack
from tests.slack_house import ALICE_THERE, PATH, asked, deliver, join_an_organisation, send, status, user
from tests.slack_house import slack as slack
from tests.slack_people import form, signed
from tests.world import until


@pytest.mark.parametrize(
    "changes",
    [
        {"team": {"id": "T0OTHER"}},
        {"user": {"id": ALICE_THERE, "team_id": "T0OTHER"}},
        {"api_app_id": "A0OTHER"},
        {"channel": {"id": "C0OTHER"}},
        {"message": {"ts": "1.1"}},
    ],
)
def test_a_click_from_elsewhere_decides_nothing(house: Runtime, slack: FakeSlack, changes: dict[str, Any]) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    assert alice.click(card, APPROVE, **changes) == 200
    assert alice.heard()[-1] in (interactions.STRANGER, interactions.NOT_OURS)
    assert status(request) == "pending"


@pytest.mark.promise("bound-decision")
def test_the_button_of_one_card_does_not_decide_another_request(house: Runtime, slack: FakeSlack) -> None:
    first, card = asked(house, slack)
    second, other = asked(house, slack, tool="drop_table")
    alice = user(slack)
    stolen = other.buttons[APPROVE]
    payload = alice.clicking(card, APPROVE, actions=[{**stolen, "type": "button"}])
    alice.send(payload)
    assert alice.heard()[-1] == interactions.NOT_OURS
    assert (status(first), status(second)) == ("pending", "pending")


def test_a_test_goes_round_and_its_page_follows_it(house: Runtime, slack: FakeSlack) -> None:
    dave = browser(DAVE)
    dave.post("/routes/test/", {"channel": "slack", "target": "#db-approvals"})
    assert "data-working" in dave.get("/routes/").content.decode()
    send(house)
    page = dave.get("/routes/").content.decode()
    assert "Press its button there" in page
    assert "data-working" in page

    user(slack).click(slack.cards()[-1], probe.CLICK)

    page = dave.get("/routes/").content.decode()
    assert "the click arrived: You are Alice Ames to the gateway." in page
    assert "data-working" not in page


def test_a_delivery_that_comes_again_does_nothing(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack, tool="drop_table")
    alice = user(slack)
    alice.click(card, APPROVE)
    said = len(slack.said)
    assert alice.again() == 200
    assert len(slack.said) == said
    assert Vote.objects.filter(request=request).count() == 1
    assert SlackDelivery.objects.exclude(done_at=None).count() == 1


def test_what_slack_did_not_sign_is_turned_away(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    body = form(user(slack).clicking(card, APPROVE))
    good = signed(body)
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body + b"&x=1", good),
        (body, signed(body, secret="another")),
        (body, signed(body, at=time.time() - 400)),
        (body, signed(body, at=time.time() + 400)),
        (body, {**good, "X-Slack-Request-Timestamp": "now"}),
        (body, {**good, "X-Slack-Request-Timestamp": "9" * 5000}),
        (body, {**good, "X-Slack-Signature": "v0=é"}),
        (body, {**good, "X-Slack-Signature": ""}),
        (b"\xff\xfe", signed(b"\xff\xfe")),
    ]
    for content, headers in wrong:
        assert deliver(content, headers)[0] == 401
    assert status(request) == "pending"
    assert SlackDelivery.objects.count() == 0


@pytest.mark.parametrize(
    "payload", ["", "no json", "[]", "5", '"x"', '{"type": "block_actions"}', '{"type": 3}', "[" * 100_000]
)
def test_what_slack_signed_and_nobody_can_read_is_no_fault_of_ours(
    house: Runtime, slack: FakeSlack, payload: str
) -> None:
    body = urlencode({"payload": payload}).encode()
    assert deliver(body, signed(body))[0] in (200, 400)


def test_other_forms_of_request_are_refused_before_they_are_read(house: Runtime, slack: FakeSlack) -> None:
    assert anonymous().get(PATH).status_code == 405
    assert deliver(b"{}", {**signed(b"{}"), "Content-Type": "application/json"})[0] == 415
    large = b"payload=" + b"x" * (1 << 20)
    assert deliver(large, signed(large))[0] == 413
    publish_policy()
    assert deliver(b"payload={}", signed(b"payload={}"))[0] == 404


def test_in_an_organisation_people_are_known_by_it(house: Runtime, slack: FakeSlack) -> None:
    join_an_organisation(slack)
    request, card = asked(house, slack)
    alice = user(slack)
    other = alice.clicking(card, APPROVE, enterprise={"id": "E0OTHER"})
    alice.send(other)
    assert alice.heard()[-1] == interactions.STRANGER
    alice.click(card, APPROVE)
    assert status(request) == "approved"


def test_what_takes_longer_than_slack_waits_is_acknowledged_and_answered_later(
    house: Runtime, slack: FakeSlack
) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    assert answered(house, alice.clicking(card, APPROVE), patience=0) == {}
    slack.wait_for(alice.heard, "the answer")
    assert alice.heard()[-1].startswith(interactions.COUNTED)
    assert status(request) == "approved"


def test_a_modal_that_takes_too_long_says_that_it_is_not_known_yet(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    alice.click(card, DENY)
    late = answered(house, alice.sending_in(alice.modal(), comment="no"), patience=0)
    assert late == modals.errors(modals.COMMENT, services.NOT_KNOWN_YET)
    until(lambda: status(request) == "denied", "the denial")


def test_a_record_that_takes_nothing_counts_nothing_and_says_so(house: Runtime, slack: FakeSlack) -> None:
    request, card = asked(house, slack)
    alice = user(slack)
    with refusing("mcp_sessions_entry", "INSERT"):
        assert alice.click(card, APPROVE) == 200
    assert alice.heard() == [services.NOT_COUNTED]
    assert status(request) == "pending"
