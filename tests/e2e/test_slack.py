"""A held call is decided in Slack: the real gateway, the real data path, and a Slack that enforces Slack's rules."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from approvals.slack import interactions, probe
from approvals.slack.card import APPROVE, DENY, OPEN
from tests.issuer import FakeIssuer
from tests.people import ALICE, BOB, DAVE
from tests.slack import FakeSlack, fake_slack
from tests.slack_people import SlackUser
from tests.slack_socket import socket_mode
from tests.slack_world import HTTP, SOCKET, THERE, asked, card_with, said_on, slack_world, user
from tests.world import World, until

PASSWORD = "Zq7vKx2mW9hunter"
CARD = "4111 1111 1111 1111"


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    """The company's Slack."""
    with fake_slack() as there:
        yield there


@pytest.fixture(scope="module")
def own(issuer: FakeIssuer, slack: FakeSlack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway of this module alone, running."""
    with slack_world(tmp_path_factory.mktemp("slack"), issuer, slack, HTTP) as made:
        yield made


def test_a_click_lets_the_call_run_once_and_the_card_tells_it(own: World, slack: FakeSlack) -> None:
    held, mark, card = asked(own, slack)
    assert own.upstream.markers[mark] == 0
    alice = user(own, slack, ALICE)

    assert alice.click(card, APPROVE) == 200

    assert not held.answer().is_error
    assert own.upstream.markers[mark] == 1
    slack.wait_for(lambda: "Approved and run" in said_on(card), "the outcome on the card")
    assert "Approved by Alice Ames (slack)" in said_on(card)
    assert set(card.buttons) == {OPEN}
    assert alice.heard()[-1].startswith(interactions.COUNTED)
    slack.wait_for(lambda: any("It was run" in reply for reply in slack.replies(card)), "the thread to tell it")


def test_a_denial_reaches_the_caller_with_its_reason(own: World, slack: FakeSlack) -> None:
    held, mark, card = asked(own, slack)
    bob = user(own, slack, BOB)

    bob.click(card, DENY)
    assert bob.send_in(bob.modal(), comment="not on a Friday") == {}

    answer = held.answer()
    assert answer.outcome == ("denied", "false")
    assert "not on a Friday" in answer.text
    assert own.upstream.markers[mark] == 0
    slack.wait_for(lambda: "not on a Friday" in said_on(card), "the reason on the card")


@pytest.mark.promise("no-self-approval")
def test_who_asked_is_told_that_somebody_else_must_decide(own: World, slack: FakeSlack) -> None:
    held, mark, card = asked(own, slack)
    with own.browser(DAVE):
        pass
    dave = user(own, slack, DAVE)
    dave.click(card, APPROVE)
    assert "your own request" in dave.heard()[-1]
    assert own.upstream.markers[mark] == 0
    own.approve(own.asked_for(mark)[0])
    assert not held.answer().is_error


def test_a_click_that_crosses_one_elsewhere_has_one_outcome(own: World, slack: FakeSlack) -> None:
    for _ in range(4):
        _cross(own, slack)


def _cross(own: World, slack: FakeSlack) -> None:
    held, mark, card = asked(own, slack)
    (approval,) = own.asked_for(mark)
    bob = user(own, slack, BOB)
    heard = len(bob.heard())
    elsewhere = own.aside(lambda: own.decide(approval, "deny", comment="no"))
    assert bob.click(card, APPROVE) == 200
    denied = elsewhere.result(20).status_code == 200
    assert held.answer().is_error is denied
    assert own.upstream.markers[mark] == (0 if denied else 1)
    slack.wait_for(lambda: len(bob.heard()) > heard, "an answer to the click")
    assert bob.heard()[-1].startswith("Too late" if denied else interactions.COUNTED)
    slack.wait_for(lambda: ("Denied" if denied else "Approved and run") in said_on(card), "the outcome on the card")


@pytest.mark.promise("nothing-lost")
def test_a_card_of_before_the_kill_decides_after_it(own: World, slack: FakeSlack) -> None:
    _, mark, card = asked(own, slack)
    own.gateway.kill()
    alice = user(own, slack, ALICE)
    with pytest.raises(httpx.TransportError):
        alice.click(card, APPROVE)
    own.start()
    assert alice.click(card, APPROVE) == 200
    again = own.caller(DAVE).call("query", {"sql": "delete from x", "marker": mark})
    assert not again.is_error
    assert own.upstream.markers[mark] == 1
    slack.wait_for(lambda: "Approved and run" in said_on(card), "the outcome on the card")


@pytest.mark.promise("nothing-lost")
def test_a_decision_whose_card_was_not_edited_before_the_kill_is_on_it_after(own: World, slack: FakeSlack) -> None:
    held, mark, card = asked(own, slack)
    slack.fail("chat.update", *[{"ok": False, "error": "internal_error"}] * 2)
    own.decide(own.asked_for(mark)[0], "deny", comment="no")
    held.answer()
    waiting = "SELECT count(*) FROM approvals_outboundmessage WHERE status = 'queued' AND error <> ''"
    until(lambda: own.stored.value(waiting), "an attempt that failed")
    own.gateway.kill()
    own.start()
    slack.wait_for(lambda: "Denied" in said_on(card), "the outcome on the card")
    assert card_with(slack, mark) is card
    assert sum(mark in said_on(one) for one in slack.cards()) == 1


def test_a_test_of_the_channel_goes_all_the_way_and_back(own: World, slack: FakeSlack) -> None:
    command = own.aside(lambda: own.gateway.manage("slack_test", "#db-approvals", "--wait", "30", check=False))
    card = slack.wait_for(lambda: next((one for one in slack.cards() if probe.CLICK in one.buttons), None), "the test")
    alice = user(own, slack, ALICE)
    alice.click(card, probe.CLICK)
    ended = command.result(60)
    assert (ended.returncode, "You are Alice Ames" in ended.stdout) == (0, True), ended.stderr
    assert "The click arrived" in said_on(card)
    wrong = own.gateway.manage("slack_test", "#nowhere", check=False)
    assert (wrong.returncode, "channel_not_found" in wrong.stderr) == (1, True), wrong.stderr


@pytest.mark.promise("masked-everywhere", "secrets-stay")
def test_a_secret_in_the_arguments_never_arrives_at_slack(own: World, slack: FakeSlack) -> None:
    held, _, card = asked(own, slack, password=PASSWORD, note=f"card {CARD}")
    bob = user(own, slack, BOB)
    bob.click(card, DENY)
    bob.send_in(bob.modal(), comment=f"no, and not for {CARD}")
    held.answer()
    slack.wait_for(lambda: "Denied" in said_on(card), "the outcome on the card")
    seen = slack.seen()
    for secret in (PASSWORD, CARD, *own.told.secrets.values()):
        assert secret not in seen


def test_the_record_tells_the_same_story(own: World) -> None:
    own.assert_history()


def test_the_all_in_one_process_takes_clicks_by_a_connection_of_its_own(
    issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("socket")
    with fake_slack() as there, socket_mode(there) as mode, slack_world(folder, issuer, there, SOCKET) as gate:
        mode.wait_until_open()
        held, mark, card = asked(gate, there)
        SlackUser(there, THERE[ALICE], mode.deliver).click(card, APPROVE)
        assert not held.answer().is_error
        assert gate.upstream.markers[mark] == 1
        assert gate.gateway.stop() == 0
        there.wait_for(lambda: not mode.open, "the end of the connection")
