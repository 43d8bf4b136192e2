"""The small house of `tests.held` with a Slack beside it, and what its policy says where Slack is told.

Import the fixture into a test module: `from tests.slack_house import slack as slack`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from approvals import outbox
from approvals.models import ApprovalRequest, OutboundMessage
from approvals.runtime import Runtime
from approvals.senders import SENDERS
from tests.held import HENRY, ISS, RULES, anonymous, held, publish_policy, signed_in
from tests.people import ALICE, BOB, CAROL
from tests.slack import BOT_TOKEN, SIGNING_SECRET, FakeSlack, Posted, fake_slack
from tests.slack_people import SlackUser

CHANNELS: dict[str, Any] = {"slack": {"bot_token": "env:SLACK_BOT_TOKEN", "signing_secret": "env:SLACK_SIGNING_SECRET"}}
GRID_TOKEN = "xoxb-token-of-the-organisation"
PATH = "/slack/interactions/"
ALICE_THERE, BOB_THERE, CAROL_THERE, HENRY_THERE = "U0ALICE", "U0BOB", "U0CAROL", "U0HENRY"


def rules(**approval: Any) -> list[dict[str, Any]]:
    """Return the rules of the small house, each telling the channel; further terms hold for all of them."""
    found = copy.deepcopy(RULES)
    for rule in found:
        rule["approval"] |= copy.deepcopy(approval)
        rule["notify"] = [{"slack": "#db-approvals"}]
    return found


def people(home: str = "T0ACME") -> list[dict[str, Any]]:
    """Return who is who: the accounts of the cast at the issuer and in Slack."""
    known = {ALICE.sub: ALICE_THERE, BOB.sub: BOB_THERE, CAROL.sub: CAROL_THERE, "henry": HENRY_THERE}
    return [
        {"name": sub.capitalize(), "accounts": [f"{ISS}|{sub}", f"slack:{home}/{there}"]}
        for sub, there in known.items()
    ]


@pytest.fixture
def slack(house: Runtime, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    """A workspace, and a policy in force that tells its channel and knows its users."""
    with fake_slack() as there:
        settings.SLACK_API_URL = there.url
        settings.PUBLIC_URL = "http://localhost"
        for name, value in (("BOT_TOKEN", BOT_TOKEN), ("SIGNING_SECRET", SIGNING_SECRET), ("GRID_TOKEN", GRID_TOKEN)):
            monkeypatch.setenv(f"SLACK_{name}", value)
        publish_policy(channels=CHANNELS, rules=rules(), people=people())
        yield there


def join_an_organisation(there: FakeSlack, **channel: Any) -> None:
    """Let the workspace be part of an Enterprise Grid organisation; the token is the organisation's."""
    there.enterprise = "E0ACME"
    there.tokens.add(GRID_TOKEN)
    grid = {**CHANNELS["slack"], "bot_token": "env:SLACK_GRID_TOKEN", **channel}
    publish_policy(channels={"slack": grid}, rules=rules(), people=people("E0ACME"))


def send(house: Runtime) -> list[OutboundMessage]:
    """Send everything that is due, and what becomes due by that; return all messages."""
    while due := outbox.due():
        for message in due:
            outbox.deliver(house, message, SENDERS)
    return list(OutboundMessage.objects.order_by("id"))


def deliver(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Give the gateway a request, as Slack would."""
    content_type = headers["Content-Type"]
    rest = {name: value for name, value in headers.items() if name != "Content-Type"}
    answer = anonymous(enforce_csrf_checks=True).post(PATH, body, content_type=content_type, headers=rest)
    return answer.status_code, answer.content


def user(slack: FakeSlack, name: str = ALICE_THERE) -> SlackUser:
    """Return somebody in front of Slack; the cast has signed in to the gateway once."""
    for human in (ALICE, BOB, CAROL, HENRY):
        signed_in(human)
    return SlackUser(slack, name, deliver)


def asked(house: Runtime, slack: FakeSlack, **more: Any) -> tuple[ApprovalRequest, Posted]:
    """Hold a call, and return it with its card."""
    request = held(**more)
    send(house)
    return request, slack.cards()[-1]


def status(request: ApprovalRequest) -> str:
    """Return where the request stands in the database."""
    request.refresh_from_db()
    return request.status
