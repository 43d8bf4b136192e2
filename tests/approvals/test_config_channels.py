"""Channels and routes: what may be written, what leads nowhere, and what a route is no part of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from approvals.config.document import document, dump
from approvals.config.loader import ConfigError, load
from approvals.policy import Policy
from approvals.verdicts import Call, Caller, Hold

CHANNELS = """
  slack: {bot_token: env:SLACK_BOT_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET}
  email: {from: holdgate@example.com}
  webhooks: {ops: {url: https://ops.example.com/hooks, secret: file:/run/secrets/ops_hook}}
  teams: {dba: {url: exec:teams-address}}
  fallback: [{email: operations@example.com}]
"""


def text(*, notify: Any = (), channels: str = CHANNELS, decide_in: str = "[slack, dashboard]") -> str:
    rule = f"""
  - name: all
    action: hold
    match: {{tools: ["*"]}}
    approval: {{require: {{any_of: [{{groups: [dba]}}]}}, decide_in: {decide_in}}}
    notify: {yaml.safe_dump(list(notify), default_flow_style=True)}"""
    connection = """
  orders:
    url: https://orders.example.com/mcp
    access: [{groups: [dba]}]
    default: hold
    default_approval: {require: {any_of: [{groups: [dba]}]}}
    notify: [{email: dba@example.com}]"""
    head = "groups: {dba: {members: [alice@example.com]}}\n"
    return head + (f"channels: {channels}" if channels else "") + f"\nconnections:{connection}\nrules:{rule}\n"


def problems(written: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(written)
    return {problem.key: problem.reason for problem in caught.value.problems}


def test_channels_and_routes_are_written_back_as_they_were_read() -> None:
    config = load(text(notify=[{"slack": "#db"}, {"slack": "C012AB3CD"}, {"webhook": "ops"}, {"teams": "dba"}]))
    assert [route.target for route in config.rules[0].notify] == ["#db", "C012AB3CD", "ops", "dba"]
    assert [route.channel for route in config.channels.fallback] == ["email"]
    assert load(dump(config)) == load(document(config)) == config
    assert "from: holdgate@example.com" in dump(config)


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        ({"slack": "db"}, "must be a channel"),
        ({"slack": "#db <!channel>"}, "must be a channel"),
        ({"email": "dba@example.com, eve@example.com"}, "must be one plain e-mail address"),
        ({"webhook": "nobody"}, "has no `nobody`"),
        ({"teams": "nobody"}, "has no `nobody`"),
        ({"slack": "#db", "email": "dba@example.com"}, "needs exactly one of"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(route: dict[str, str], reason: str) -> None:
    assert any(reason in found for found in problems(text(notify=[route])).values())


def test_a_route_into_a_channel_that_is_not_configured_is_refused() -> None:
    found = problems(text(notify=[{"slack": "#db"}], channels="{email: {from: a@example.com}}"))
    assert found == {"rules.all.notify[0].slack": "channels.slack is not configured"}


def test_slack_alone_decides_only_where_slack_is_configured() -> None:
    load(text(decide_in="[slack]"))
    found = problems(text(decide_in="[slack]", channels="{email: {from: a@example.com}}"))
    assert found == {"rules.all.approval.decide_in": "slack alone needs channels.slack, which is not configured"}


@pytest.mark.parametrize(
    ("slack", "key"),
    [
        ("{bot_token: xoxb-secret, signing_secret: env:S}", "bot_token"),
        ("{bot_token: env:B, signing_secret: 8f742231b10e}", "signing_secret"),
        ("{bot_token: env:B}", "signing_secret"),
        ("{bot_token: env:B, mode: socket}", "app_token"),
        ("{bot_token: env:B, signing_secret: env:S, team: acme}", "team"),
    ],
)
def test_a_secret_stands_as_a_reference_and_is_never_quoted(slack: str, key: str) -> None:
    found = problems(text(channels=f"{{slack: {slack}, email: {{from: a@example.com}}}}"))
    assert list(found) == [f"channels.slack.{key}"]
    assert "xoxb" not in str(found)
    assert "8f74" not in str(found)


def test_routes_belong_to_rules_that_hold() -> None:
    deny = "rules: [{name: no, action: deny, match: {tools: [a]}, notify: [{email: a@example.com}]}]\n"
    found = problems("channels: {email: {from: a@example.com}}\n" + deny)
    assert found == {"rules.no.notify": "belongs to rules whose action is hold"}


def test_another_route_does_not_change_what_was_asked() -> None:
    caller = Caller(iss="https://id.example.com", sub="henry", kind="person", groups=frozenset({"dba"}))
    call = Call(caller=caller, connection="orders", method="tools/call", name="query", arguments={})
    one, other = (
        Policy.compile(load(text(notify=[route]))).judge(call) for route in ({"slack": "#db"}, {"webhook": "ops"})
    )
    assert isinstance(one, Hold)
    assert isinstance(other, Hold)
    assert one.terms.fingerprint == other.terms.fingerprint
    assert one.terms.as_json()["notify"] == [{"slack": "#db"}]


def test_several_rules_that_hold_tell_everybody_once() -> None:
    second = """
  - name: second
    action: hold
    match: {tools: [query]}
    approval: {require: {any_of: [{groups: [dba]}]}}
    notify: [{webhook: ops}, {slack: "#security"}]
"""
    policy = Policy.compile(load(text(notify=[{"slack": "#db"}, {"webhook": "ops"}]) + second))
    caller = Caller(iss="https://id.example.com", sub="henry", kind="person", groups=frozenset({"dba"}))
    verdict = policy.judge(Call(caller=caller, connection="orders", method="tools/call", name="query", arguments={}))
    assert isinstance(verdict, Hold)
    told = [route.document() for route in verdict.terms.notify]
    assert told == [{"slack": "#db"}, {"webhook": "ops"}, {"slack": "#security"}]


@pytest.mark.parametrize(
    ("webhook", "key", "reason"),
    [
        ("{url: http://ops.example.com/, secret: env:A}", "url", "must be https"),
        ("{url: https://ops.example.com/, secret: whsec_plain}", "secret[0]", "must be a reference"),
        ("{url: https://ops.example.com/, secret: [env:A, env:A]}", "secret", "two different ones"),
        ("{url: https://ops.example.com/, secret: [env:A, env:B, env:C]}", "secret", "two different ones"),
        ("{url: https://ops.example.com/, secret: env:A, arguments: all}", "arguments", "must be none or masked"),
    ],
)
def test_a_webhook_is_encrypted_and_signed_and_says_so_or_is_refused(webhook: str, key: str, reason: str) -> None:
    found = problems(text(channels=f"{{webhooks: {{ops: {webhook}}}, email: {{from: a@example.com}}}}"))
    assert reason in found[f"channels.webhooks.ops.{key}"]


def test_a_webhook_of_this_machine_may_be_in_the_clear_and_has_up_to_two_secrets() -> None:
    webhook = "{url: http://127.0.0.1:9/hook, secret: [env:A, env:B], arguments: masked}"
    config = load(text(channels=f"{{webhooks: {{ops: {webhook}}}, email: {{from: a@example.com}}}}"))
    assert config.channels.webhooks["ops"].secret == ("env:A", "env:B")
    assert load(dump(config)) == config
