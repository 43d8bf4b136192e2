"""Socket Mode: the same clicks over a connection that the gateway opens, and opens again; what is hopeless is said."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from approvals.models import Vote
from approvals.runtime import Runtime
from approvals.slack.card import APPROVE, DENY
from approvals.slack.socket import Hopeless, Keeper, keep, wanted
from tests.gateway import installation
from tests.held import house as house
from tests.held import policy_text, publish_policy
from tests.slack import APP_TOKEN, FakeSlack
from tests.slack_house import ALICE_THERE, CHANNELS, asked, people, rules, status, user
from tests.slack_house import slack as slack
from tests.slack_people import SlackUser
from tests.slack_socket import SocketMode, socket_mode

SOCKET: dict[str, Any] = {
    "slack": {"bot_token": "env:SLACK_BOT_TOKEN", "mode": "socket", "app_token": "env:SLACK_APP_TOKEN"}
}


@pytest.fixture
def mode(house: Runtime, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> Iterator[SocketMode]:
    """A Slack with Socket Mode, and a process of the gateway that is connected to it."""
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)
    with socket_mode(slack) as made:
        publish_policy(channels=SOCKET, rules=rules(), people=people())
        keeper = Keeper(house)
        keeper.start()
        try:
            made.wait_until_open()
            yield made
        finally:
            keeper.stop()


def here(slack: FakeSlack, mode: SocketMode) -> SlackUser:
    user(slack)
    return SlackUser(slack, ALICE_THERE, mode.deliver)


def test_a_click_comes_over_the_connection_and_is_acknowledged_in_time(
    house: Runtime, slack: FakeSlack, mode: SocketMode
) -> None:
    request, card = asked(house, slack)
    started = time.monotonic()
    here(slack, mode).click(card, APPROVE)
    assert time.monotonic() - started < 3
    assert status(request) == "approved"
    assert Vote.objects.get(request=request).via == "slack"


def test_a_modal_is_answered_in_the_acknowledgement(house: Runtime, slack: FakeSlack, mode: SocketMode) -> None:
    request, card = asked(house, slack)
    alice = here(slack, mode)
    alice.click(card, DENY)
    assert alice.send_in(alice.modal())["response_action"] == "errors"
    assert alice.send_in(alice.modal(), comment="no") == {}
    assert status(request) == "denied"


def test_a_connection_that_is_cut_is_opened_again(house: Runtime, slack: FakeSlack, mode: SocketMode) -> None:
    request, card = asked(house, slack)
    mode.drop()
    mode.wait_until_open(times=2)
    here(slack, mode).click(card, APPROVE)
    assert status(request) == "approved"


def test_slack_asks_for_a_new_connection_and_gets_one(house: Runtime, slack: FakeSlack, mode: SocketMode) -> None:
    request, card = asked(house, slack)
    mode.say({"type": "disconnect", "reason": "refresh_requested"})
    mode.wait_until_open(times=2)
    here(slack, mode).click(card, APPROVE)
    assert status(request) == "approved"


def test_slack_that_is_away_at_the_start_is_tried_again(
    house: Runtime, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)
    slack.fail("apps.connections.open", {"ok": False, "error": "internal_error"})
    publish_policy(channels=SOCKET, rules=rules(), people=people())
    with socket_mode(slack) as made:
        keeper = Keeper(house)
        keeper.start()
        try:
            made.wait_until_open()
        finally:
            keeper.stop()


def test_clicks_over_http_are_not_taken_in_socket_mode(house: Runtime, slack: FakeSlack, mode: SocketMode) -> None:
    request, card = asked(house, slack)
    assert user(slack).click(card, APPROVE) == 404
    assert status(request) == "pending"


@pytest.mark.parametrize("error", ["invalid_auth", "token_revoked", "link_disabled"])
def test_what_slack_refuses_for_good_ends_it_with_a_message(
    house: Runtime, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-of-yesterday")
    slack.fail("apps.connections.open", {"ok": False, "error": error})
    publish_policy(channels=SOCKET, rules=rules())
    config = wanted(house)
    assert config is not None
    with pytest.raises(Hopeless, match=error) as caught:
        keep(house, config, threading.Event())
    assert "xapp" not in str(caught.value)


def test_the_line_ends_when_the_policy_says_http(house: Runtime, slack: FakeSlack, mode: SocketMode) -> None:
    publish_policy(channels=CHANNELS, rules=rules(), people=people())
    slack.wait_for(lambda: not mode.open, "the end of the connection")


def test_the_command_ends_loudly_without_socket_mode_and_without_a_valid_token(
    tmp_path: Path, postgresql_url: str, slack: FakeSlack
) -> None:
    there = {"HOLDGATE_SLACK_API_URL": slack.url, "SLACK_BOT_TOKEN": "x", "SLACK_APP_TOKEN": "xapp-wrong"}
    with installation(tmp_path, postgresql_url, **there) as gateway:
        gateway.configure(policy_text())
        gateway.prepare()
        ended = gateway.manage("slack_socket", check=False)
        assert (ended.returncode, "mode: socket" in ended.stderr) == (1, True)
        gateway.configure(policy_text(channels=SOCKET))
        gateway.manage("policy", "apply", str(tmp_path / "holdgate.yaml"))
        ended = gateway.manage("slack_socket", check=False)
        assert (ended.returncode, "invalid_auth" in ended.stderr) == (1, True)
        assert "xapp-wrong" not in ended.stderr
