"""Slack where every part of the gateway is a process of its own: web, worker, beat, and the line to Slack."""

from __future__ import annotations

import contextlib
import signal

import pytest

from approvals.slack.card import APPROVE, OPEN
from tests.gateway import GUARD, launch
from tests.issuer import FakeIssuer
from tests.people import ALICE
from tests.servers import redis_server
from tests.slack import fake_slack
from tests.slack_people import SlackUser
from tests.slack_socket import socket_mode
from tests.slack_world import SOCKET, THERE, asked, said_on, slack_world


def test_a_worker_sends_the_card_and_the_line_takes_the_click_for_a_call_that_waits_in_the_web_process(
    issuer: FakeIssuer, postgresql_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("apart")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        slack = stack.enter_context(fake_slack())
        mode = stack.enter_context(socket_mode(slack))
        own = stack.enter_context(slack_world(folder, issuer, slack, SOCKET, base=postgresql_url, REDIS_URL=redis.url))
        for form in ("worker", "beat"):
            helper = own.gateway.sibling(form)
            stack.callback(helper.kill)
            helper.start()
        line = launch(["manage.py", "slack_socket"], own.gateway.env)
        stack.callback(line.kill)
        mode.wait_until_open()

        held, mark, card = asked(own, slack)
        assert OPEN not in card.buttons, "a worker that does not know the gateway's address sends no half a link"
        SlackUser(slack, THERE[ALICE], mode.deliver).click(card, APPROVE)

        assert not held.answer().is_error
        assert own.upstream.markers[mark] == 1
        slack.wait_for(lambda: "Approved and run" in said_on(card), "the outcome on the card")
        line.send_signal(signal.SIGTERM)
        _, said = line.communicate(timeout=GUARD)
        assert line.returncode == 0, said
        own.assert_history()
