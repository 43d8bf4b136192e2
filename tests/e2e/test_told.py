"""A gateway as people run it tells by mail, webhook and Teams of a held call, soon, and of what became of it."""

from __future__ import annotations

from pathlib import Path

import httpx
from standardwebhooks.webhooks import Webhook

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.mail_server import mail_server
from tests.people import CONNECTION, DAVE
from tests.receiver import receiver, teams
from tests.upstream import running
from tests.ways import NOTIFY, SECRET
from tests.world import marker, world

SOON = 30.0  # on a machine that does nothing else it is one or two


def configuration(issuer: FakeIssuer, upstream: str, ops: str) -> str:
    rule = word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba(), notify=NOTIFY)
    channels = {
        "email": {"from": "holdgate@example.com"},
        "webhooks": {"ops": {"url": ops, "secret": "env:OPS_HOOK"}},
        "teams": {"dba": {"url": "env:TEAMS_DBA"}},
    }
    blocks = {"connections": {CONNECTION: connection(upstream)}, "rules": [rule], "channels": channels}
    return people.config_yaml(issuer.url, "", **spelled_out(**blocks))


def test_people_and_programs_hear_of_a_held_call_and_of_its_end(issuer: FakeIssuer, tmp_path: Path) -> None:
    with running() as upstream, mail_server() as mail, receiver() as ops, teams() as workflow:
        text = configuration(issuer, upstream.url, ops.url)
        env = {
            "OPS_HOOK": SECRET,
            "TEAMS_DBA": workflow.url,
            "HOLDGATE_EMAIL_URL": f"smtp://127.0.0.1:{mail.port}",
        }
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, "sqlite", **env) as here:
            here.start()
            arguments = {"sql": "delete from orders", "marker": marker()}
            held = here.caller(DAVE).call("query", arguments, prefer="wait=0").approval

            letter = mail.mails.get(timeout=SOON)
            event = ops.wait(SOON)
            card = workflow.wait(SOON).json["attachments"][0]["content"]

            url = f"{here.gateway.url}/approvals/{held['id']}/"
            assert letter["Subject"] == f"Approval needed: query on {CONNECTION}"
            assert Webhook(SECRET).verify(event.body, event.headers)["data"]["url"] == url
            assert card["actions"][0]["url"] == url
            followed = httpx.get(url, follow_redirects=True, trust_env=False)
            assert followed.url.path == "/sign-in/"
            assert here.approval(held["id"])["status"] == "pending"

            here.approve(held["id"])
            assert mail.mails.get(timeout=SOON)["References"] == letter["Message-ID"]
            kinds = [ops.wait(SOON).json["type"] for _ in range(2)]
            assert kinds == ["approval.voted", "approval.approved"]
