"""A real gateway that tells a Slack, with people who are known in both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import CLIENT_ID, CLIENT_SECRET, FakeIssuer
from tests.line import Held
from tests.people import ALICE, BOB, CONNECTION, DAVE
from tests.slack import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, FakeSlack, Posted
from tests.slack_limits import texts
from tests.slack_people import SlackUser
from tests.upstream import running
from tests.world import World, marker, world

THERE = {ALICE: "U0ALICE", BOB: "U0BOB", DAVE: "U0DAVE"}
HTTP = {"bot_token": "env:SLACK_BOT_TOKEN", "signing_secret": "env:SLACK_SIGNING_SECRET"}
SOCKET = {"bot_token": "env:SLACK_BOT_TOKEN", "mode": "socket", "app_token": "env:SLACK_APP_TOKEN"}


@contextlib.contextmanager
def slack_world(
    folder: Path, issuer: FakeIssuer, slack: FakeSlack, channel: dict[str, Any], base: str = "", **more: str
) -> Iterator[World]:
    """Give a running gateway; Alice and Bob, who decide, have signed in once.

    With `base`, the address of a PostgreSQL server, it is a web process alone; others are started beside it.
    """
    with running() as upstream:
        rule = word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())
        rule["notify"] = [{"slack": "#db-approvals"}]
        known = [
            {"name": human.name, "accounts": [human.account(issuer), f"slack:{slack.team}/{there}"]}
            for human, there in THERE.items()
        ]
        blocks = spelled_out(
            connections={CONNECTION: connection(upstream.url)},
            rules=[rule],
            people=known,
            channels={"slack": channel},
        )
        secrets = {"BOT_TOKEN": BOT_TOKEN, "SIGNING_SECRET": SIGNING_SECRET, "APP_TOKEN": APP_TOKEN}
        environment = {f"SLACK_{name}": value for name, value in secrets.items()}
        environment |= {"HOLDGATE_LOGIN_CORP_CLIENT_ID": CLIENT_ID, "HOLDGATE_LOGIN_CORP_CLIENT_SECRET": CLIENT_SECRET}
        environment |= {"HOLDGATE_SLACK_API_URL": slack.url, **more}
        text = people.config_yaml(issuer.url, "", **blocks)
        with world(folder, issuer, {CONNECTION: upstream}, text, base, **environment) as made:
            if base:
                made.gateway.form = "web"
                made.gateway.prepare()
            made.start()
            made.told.secrets |= secrets
            for human in (ALICE, BOB):
                with made.browser(human):
                    pass
            yield made


def user(own: World, slack: FakeSlack, human: people.Human) -> SlackUser:
    """Return one of the cast in front of Slack."""

    def deliver(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        url = f"{own.gateway.url}/slack/interactions/"
        answer = httpx.post(url, content=body, headers=dict(headers), timeout=10, trust_env=False)
        return answer.status_code, answer.content

    return SlackUser(slack, THERE[human], deliver)


def asked(own: World, slack: FakeSlack, **more: str) -> tuple[Held, str, Posted]:
    """Make a call that is held; return it with its marker and its card."""
    mark = marker()
    held = own.caller(DAVE).begin("query", {"sql": "delete from x", "marker": mark, **more})
    return held, mark, slack.wait_for(lambda: card_with(slack, mark), "the card")


def card_with(slack: FakeSlack, word: str) -> Posted | None:
    """Return the newest card in which a word stands."""
    return next((card for card in reversed(slack.cards()) if word in said_on(card)), None)


def said_on(card: Posted) -> str:
    """Return everything that stands on a card."""
    return "".join(texts(card.blocks))
