"""Who is told when the policy becomes looser, or when a publication waits for a second admin: by real receivers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from approvals.config.loader import ConfigError, load
from approvals.four_eyes import propose, withdraw
from approvals.models import OutboundMessage, PolicyRevision
from approvals.runtime import runtime
from approvals.standing import caller_of
from sessions import leaf as leaves
from sessions.models import Entry
from tests.held import RULES, browser, policy_text, publish_policy, signed_in
from tests.people import DAVE, GRACE
from tests.receiver import Answering
from tests.ways import NOTIFY, SECRET, Ways, messages, ways

__all__ = ["ways"]
ALERTS: list[dict[str, str]] = [{"email": "security@example.com"}, {"webhook": "ops"}, {"teams": "dba"}]
LOOSER = "rules.drops-need-two: is removed"


@pytest.fixture
def told(ways: Ways) -> Ways:
    """A house in which every way of alerts is open, and nothing is due."""
    ways.publish(alerts=ALERTS)
    ways.send()
    ways.mail.wait()
    ways.ops.wait()
    ways.teams.wait()
    OutboundMessage.objects.all().delete()
    return ways


def same(told: Ways) -> dict[str, Any]:
    return {"channels": {**told.channels, "alerts": ALERTS}}


def loosen(told: Ways, **channels: Any) -> int:
    """Take a rule away; return the revision."""
    found = {key: value for key, value in {**told.channels, "alerts": ALERTS, **channels}.items() if value is not None}
    publish_policy(rules=[], channels=found)
    return told.house.policies.current.revision


def test_a_publication_that_loosens_is_told_by_every_way_with_who_and_what(told: Ways) -> None:
    number = loosen(told)

    assert told.send() == 3

    url = f"http://localhost/admin/approvals/policyrevision/{number}/change/"
    letter = told.mail.wait()
    assert letter["Subject"] == f"The policy became looser: revision {number} by tests"
    text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert url in text
    assert f"Looser: {LOOSER}" in text
    event = told.ops.wait()
    said = Webhook(SECRET).verify(event.body, event.headers)
    assert (said["type"], said["data"]["revision"], said["data"]["author"]) == ("policy.loosened", number, "tests")
    assert LOOSER in said["data"]["loosens"]
    card = told.teams.wait().json["attachments"][0]["content"]
    assert card["actions"][0]["url"] == url
    assert LOOSER in json.dumps(card)
    entries = [leaves.decode(bytes(row)) for row in Entry.objects.values_list("leaf", flat=True)]
    sent = [leaf.facts for leaf in entries if leaf.kind == "notification.sent" and leaf.facts.get("subject")]
    assert {facts["subject"] for facts in sent[-3:]} == {f"revision/{number}"}


def test_what_tightens_tells_nobody(told: Ways) -> None:
    before = PolicyRevision.objects.count()
    rules = [{**RULES[0], "notify": NOTIFY}, RULES[1], {"name": "no", "action": "deny", "match": {"tools": ["x"]}}]
    publish_policy(rules=rules, **same(told))

    assert PolicyRevision.objects.count() == before + 1
    assert messages() == []


def test_who_takes_the_alerts_away_is_told_of_by_them(told: Ways) -> None:
    number = loosen(told, alerts=None, email=None, teams=None, webhooks={"ops": {**told.channels["webhooks"]["spare"]}})

    told.send()

    assert told.mail.wait()["Subject"].startswith(f"The policy became looser: revision {number}")
    assert "channels.alerts: fewer hear of what loosens" in told.ops.wait().json["data"]["loosens"]
    assert told.teams.wait().json
    assert told.spare.posted.empty()
    assert {status for _, _, status in messages()} == {"sent"}


def test_a_proposal_is_told_and_not_once_more_than_needed(told: Ways) -> None:
    dave = caller_of(signed_in(DAVE), told.house.policies.current.policy)
    wanted = load(policy_text(rules=[], **same(told)))
    made = propose(told.house, lambda: wanted, author=dave.key, display="Dave Doyle", expected=None)

    told.send()

    letter = told.mail.wait()
    assert letter["Subject"] == "A publication of Dave Doyle waits for a second admin"
    event = told.ops.wait().json
    assert (event["type"], event["data"]["proposal"], event["data"]["status"]) == (
        "policy.proposed",
        made.pk,
        "waiting",
    )
    assert LOOSER in event["data"]["loosens"]
    withdraw(told.house, made, dave)
    assert told.send() == 0


def test_an_alert_whose_way_is_dead_goes_by_the_fallback(told: Ways) -> None:
    told.ops.answer = Answering(410)
    loosen(told, alerts=[{"webhook": "ops"}], fallback=[{"webhook": "spare"}])

    told.send()

    assert told.spare.wait().json["type"] == "policy.loosened"


def test_alerts_are_routes_like_others_on_their_page(told: Ways) -> None:
    page = browser(GRACE).get("/routes/").content.decode()
    loosen(told)

    assert "alerts" in page
    assert f"about revision/{runtime().policies.current.revision}" in browser(GRACE).get("/routes/").content.decode()
    found = browser(DAVE).get("/api/v1/deliveries/").json()["results"]
    assert {one["subject"] for one in found} == {f"revision/{runtime().policies.current.revision}"}


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        ([{"push": "approvers"}], "alerts go by another channel"),
        ([{"webhook": "nowhere"}], "channels.webhooks has no"),
    ],
)
def test_alerts_lead_somewhere(alerts: Any, said: str, told: Ways) -> None:
    with pytest.raises(ConfigError) as refused:
        load(policy_text(channels={**told.channels, "push": {"contact": "a@example.com"}, "alerts": alerts}))
    assert any("channels.alerts" in str(problem) and said in str(problem) for problem in refused.value.problems)
