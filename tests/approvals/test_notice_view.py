"""What leaves as a message is the stricter view: what any rule hides from anybody, and what `channels.hide` names."""

from __future__ import annotations

import base64
import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from approvals import services
from approvals.config.loader import ConfigError, load
from approvals.database import database_now
from approvals.models import ApprovalRequest
from approvals.notices import push
from approvals.runtime import Runtime
from approvals.slack.card import card
from approvals.slack.facts import facts_of
from approvals.standing import caller_of
from tests.held import held, house, policy_text, publish_policy, signed_in
from tests.mail_server import MailServer, mail_server
from tests.people import ALICE
from tests.receiver import Receiver, receiver, teams
from tests.slack import FakeSlack
from tests.slack_house import CHANNELS, people, rules, send, slack

__all__ = ["house", "slack"]
pytestmark = pytest.mark.promise("masked-everywhere")

CANARIES = {
    "by a field of a rule for another connection": "canary-elsewhere",
    "by a detector that some groups are excepted from": "canary@planted.example.net",
    "in code under a masked name": "echo 'canary-in-code'; ls | wc",
    "by a field that no message shows": "canary-memo 1",
    "by a detector that no message shows": "EMP-424242",
}
ARGUMENTS: dict[str, Any] = {
    "sql": "DELETE FROM orders",
    "note": CANARIES["by a field of a rule for another connection"],
    "to": CANARIES["by a detector that some groups are excepted from"],
    "script": CANARIES["in code under a masked name"],
    "memo": CANARIES["by a field that no message shows"],
    "who": f"for {CANARIES['by a detector that no message shows']}",
}
MASKING = [
    {"name": "elsewhere", "connections": ["another-connection"], "fields": ["note"], "replace": "partial"},
    {"name": "people", "detectors": ["email"], "except_groups": ["corp/engineering"]},
    {"name": "code", "fields": ["script"], "replace": "remove"},
]
HIDE = {"detectors": ["employee"], "fields": ["memo"]}
DETECTORS = [{"name": "employee", "pattern": "EMP-[0-9]{6}"}]
TOLD = [{"slack": "#db-approvals"}, {"email": "dba@example.com"}, {"webhook": "ops"}, {"teams": "room"}]


@pytest.fixture
def told(house: Runtime, slack: FakeSlack, settings: Any) -> Iterator[tuple[FakeSlack, MailServer, Receiver, Receiver]]:
    """Every channel, with a policy in force that tells all of them."""
    with mail_server() as mails, receiver() as ops, teams() as room:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mails.port
        os.environ |= {"NV_KEY": "whsec_" + base64.b64encode(b"k" * 32).decode(), "NV_ROOM": room.url}
        channels = CHANNELS | {
            "email": {"from": "holdgate@example.com"},
            "webhooks": {"ops": {"url": ops.url, "secret": "env:NV_KEY", "arguments": "masked"}},
            "teams": {"room": {"url": "env:NV_ROOM"}},
            "hide": HIDE,
        }
        every = [{**rule, "notify": copy.deepcopy(TOLD)} for rule in rules(comment="optional")]
        publish_policy(channels=channels, rules=every, people=people(), masking=MASKING, detectors=DETECTORS)
        yield slack, mails, ops, room


def test_no_channel_carries_what_any_rule_hides_from_anybody(
    told: tuple[FakeSlack, MailServer, Receiver, Receiver], house: Runtime
) -> None:
    there, mails, ops, room = told
    request = held(**ARGUMENTS, reason=f"{ARGUMENTS['who']}, ask {ARGUMENTS['to']}")
    sent = send(house)
    alice = caller_of(signed_in(ALICE), house.policies.current.policy)
    said = f"as {ARGUMENTS['to']} and {ARGUMENTS['who']} say"
    services.decide(house, approval_id=request.pk, approver=alice, decision="deny", comment=said, via="dashboard")
    send(house)

    assert {one.channel for one in sent} == {"slack", "email", "webhook", "teams"}
    channels = {
        "slack": there.seen(),
        "mail": "".join(str(mails.wait().get_body(("plain",))) + str(mails.mails.qsize()) for _ in range(2)),
        "webhook": b"".join(ops.wait().body for _ in range(2)).decode(),
        "teams": b"".join(room.wait().body for _ in range(2)).decode(),
        "push": push._content(request)[0].decode(),
    }
    for channel, text in channels.items():
        leaked = [how for how, canary in CANARIES.items() if canary in text or "canary" in text]
        assert not leaked, f"{channel} carries what is hidden {leaked}"
        assert channel == "push" or "DELETE FROM orders" in text or "Denied" in text, channel
    assert "DELETE FROM orders" in channels["slack"]


def test_what_a_card_hides_beyond_the_page_cannot_be_approved_from_it(
    told: tuple[FakeSlack, MailServer, Receiver, Receiver], house: Runtime
) -> None:
    shown, withheld = held(sql="DELETE FROM orders", to="a@planted.example.net"), held(**ARGUMENTS)
    send(house)
    here, there = told[0].cards()[-2:]

    assert _labels(here.buttons) >= {"Approve", "Deny…"}
    assert _labels(there.buttons) & {"Approve", "Deny…"} == {"Deny…"}
    assert "so it cannot be approved here. Open it to see them." in json.dumps(there.blocks)
    assert shown.pk != withheld.pk


def _labels(buttons: dict[str, dict[str, Any]]) -> set[str]:
    return {button["text"]["text"] for button in buttons.values()}


def test_what_the_page_hides_as_well_can_be_approved_in_slack(slack: FakeSlack, house: Runtime) -> None:
    masking = [{"name": "all", "detectors": ["email", "password_assignment"], "fields": ["ssn"], "replace": "remove"}]
    publish_policy(channels=CHANNELS, rules=rules(), people=people(), masking=masking)
    request = held(sql="DELETE", password="hunter2hunter2", ssn="123-45-6789", to="a@planted.example.net", n=4711)
    facts = facts_of(request, house.policies.current, database_now())
    assert not facts.hides_more
    ApprovalRequest.objects.filter(pk=request.pk).update(arguments=facts.arguments)
    request.refresh_from_db()
    again = facts_of(request, house.policies.current, database_now())
    assert (again.hides_more, again.arguments) == (False, facts.arguments), "a mask is not masked again"
    assert "hunter2" not in json.dumps(card(again).blocks)


@pytest.mark.parametrize(
    ("hide", "reason"),
    [
        ("{}", "needs detectors or fields"),
        ("{detectors: [nose]}", "unknown detector `nose`"),
        ("{fields: [a..b]}", "channels.hide.fields[0]"),
    ],
)
def test_what_messages_hide_is_checked_like_masking(hide: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason.replace("[", r"\[")):
        load(policy_text() + f"\nchannels: {{hide: {hide}}}\n")
