"""Packs: what each blocks and lets pass, how one is switched on, and how a rule of one is put out of force."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.config.document import diff, document, dump, parse_document
from approvals.config.loader import ConfigError, load
from approvals.config.packs import NAMES, pack
from approvals.drafts import config_from_drafts, replace_drafts
from approvals.policy import Block, Call, Caller, Policy
from approvals.publication import compile_snapshot
from approvals.verdicts import Verdict

KEY = "RSA PRIVATE KEY"
ME = Caller(iss="https://id", sub="me", kind="agent", groups=frozenset({"corp/all"}), issuer="corp")
BASE = """
version: 1
issuers: [{name: corp, issuer: "https://id.example.com", login: true}]
connections:
  c: {url: "http://c", access: [{groups: [corp/all]}], default: allow, sql_dialect: postgres}
"""


def judged(packs: str, tool: str, arguments: dict[str, Any], more: str = "") -> Verdict:
    """Return the verdict of a policy with these packs."""
    policy = Policy.compile(load(f"{BASE}packs: [{packs}]\n{more}"))
    return policy.judge(Call(caller=ME, connection="c", method="tools/call", name=tool, arguments=arguments))


def test_every_pack_loads_and_its_names_begin_with_its_own() -> None:
    for name in NAMES:
        found = pack(name)
        names = [rule.name for rule in found.rules] + [rule.name for rule in found.masking]
        assert names
        assert all(entry.startswith(f"{name}-") for entry in names)
        assert all(rule.message for rule in found.rules)


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("name", "tool", "arguments"),
    [
        ("destructive-sql", "query", {"sql": "DROP TABLE customers"}),
        ("destructive-sql", "query", {"sql": "drop/**/table customers"}),
        ("destructive-sql", "query", {"SQL": "TRUNCATE customers"}),
        ("destructive-sql", "query", {"sql": "DELETE FROM customers"}),
        ("destructive-sql", "query", {"sql": "UPDATE customers SET a = 1"}),
        ("destructive-sql", "query", {"sql": "DO $$ BEGIN DROP TABLE customers; END $$"}),
        ("destructive-sql", "query", {"sql": "SELECT 1; DROP TABLE customers"}),
        ("destructive-sql", "query", {"query": "ALTER SYSTEM SET fsync = off"}),
        ("destructive-sql", "run", {"deep": [{"statement": "GRANT ALL ON x TO bob"}]}),
        ("destructive-sql", "run", {"whatever": "; DROP   TABLE customers"}),
        ("destructive-sql", "run", {"whatever": "delete from customers;"}),
        ("destructive-sql", "run", {"whatever": "ＤＲＯＰ ＴＡＢＬＥ customers"}),
        ("filesystem-writes", "shell", {"command": "rm -rf /"}),
        ("filesystem-writes", "shell", {"command": "sudo rm --recursive --force x"}),
        ("filesystem-writes", "bash_exec", {"argv": ["sh", "-c", "mkfs.ext4 /dev/sda"]}),
        ("filesystem-writes", "run_command", {"command": "dd if=/dev/zero of=/dev/sda"}),
        ("filesystem-writes", "run_command", {"command": "echo x > /etc/passwd"}),
        ("filesystem-writes", "run_command", {"command": "find . -name x -delete"}),
        ("filesystem-writes", "execute", {"command": "git push --force origin main"}),
        ("filesystem-writes", "write_file", {"path": "/etc/cron.d/x", "content": "y"}),
        ("filesystem-writes", "write_file", {"path": "//etc/passwd"}),
        ("filesystem-writes", "edit_file", {"path": "/opt/me/.ssh/authorized_keys"}),
        ("filesystem-writes", "move_file", {"from": "a", "to": "../../../etc/x"}),
        ("filesystem-writes", "create_directory", {"uri": "file:///usr/lib/x"}),
        ("secrets", "ask", {"text": "use AKIAIOSFODNN7EXAMPLE please"}),
        (
            "secrets",
            "ask",
            {"text": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"},
        ),
        ("payment-cards", "ask", {"text": "charge 4111 1111 1111 1111"}),
        ("payment-cards", "ask", {"number": 4111111111111111}),
    ],
)
def test_a_pack_blocks_what_it_is_for(name: str, tool: str, arguments: dict[str, Any]) -> None:
    verdict = judged(name, tool, arguments)

    assert isinstance(verdict, Block)
    assert verdict.rule.startswith(f"{name}-")


@pytest.mark.parametrize(
    ("name", "tool", "arguments"),
    [
        ("destructive-sql", "query", {"sql": "SELECT * FROM customers"}),
        ("destructive-sql", "query", {"sql": "DELETE FROM customers WHERE id = 3"}),
        ("destructive-sql", "query", {"sql": "INSERT INTO log VALUES ('dropped the ball')"}),
        ("destructive-sql", "search", {"text": "how do I delete from a list in Python?"}),
        ("destructive-sql", "mail", {"body": "The table will drop in price; alter your plans."}),
        ("filesystem-writes", "shell", {"command": "ls -la /etc"}),
        ("filesystem-writes", "shell", {"command": "grep -rf patterns src"}),
        ("filesystem-writes", "run_tests", {"command": "pytest -k 'rm and not slow'"}),
        ("filesystem-writes", "write_file", {"path": "src/etc/settings.py", "content": "x = 1"}),
        ("filesystem-writes", "write_file", {"path": "/srv/app/usr/x"}),
        ("filesystem-writes", "read_file", {"path": "/etc/hosts"}),
        ("secrets", "ask", {"text": "where do we keep the api key?"}),
        ("payment-cards", "ask", {"text": "order 4111 1111 1111 1112"}),
    ],
)
def test_a_pack_lets_pass_what_only_looks_like_it(name: str, tool: str, arguments: dict[str, Any]) -> None:
    assert not isinstance(judged(name, tool, arguments), Block)


def test_without_the_line_a_pack_says_nothing() -> None:
    assert not isinstance(judged("", "query", {"sql": "DROP TABLE x"}), Block)


def test_masking_of_a_pack_hides() -> None:
    snapshot = compile_snapshot(load(f"{BASE}packs: [payment-cards, secrets]\n"), revision=1, digest="")
    masked = snapshot.outlet("c").text("4111 1111 1111 1111 and password=hunter2")

    assert masked.endswith("and password=[password_assignment]")
    assert "1111 1111" not in masked


def test_an_own_rule_takes_the_place_of_one_of_a_pack_knowingly() -> None:
    mine = "rules: [{name: payment-cards-in-arguments, action: allow, match: {tools: [charge]}%s}]\n"
    card = {"number": "4111 1111 1111 1111"}

    with pytest.raises(ConfigError, match="overrides: payment-cards"):
        load(f"{BASE}packs: [payment-cards]\n{mine % ''}")
    more = mine % ", overrides: payment-cards"
    assert not isinstance(judged("payment-cards", "other", card, more), Block)
    assert "overrides: payment-cards" in dump(load(f"{BASE}packs: [payment-cards]\n{more}"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("packs: [destructive]", "is no pack; there are destructive-sql"),
        ("packs: [secrets, secrets]", "the same pack twice"),
        ("rules: [{name: x, action: deny, overrides: secrets, match: {tools: [a]}}]", "no pack that is switched on"),
        ("packs: [secrets]\nmasking: [{name: x, detectors: [email], overrides: secrets}]", "no pack that is switched"),
    ],
)
def test_a_wrong_name_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(f"{BASE}{text}\n")


@pytest.mark.django_db(transaction=True)
def test_packs_survive_the_way_through_drafts_and_documents() -> None:
    config = load(f"{BASE}packs: [secrets, payment-cards]\n")
    replace_drafts(config)

    assert config_from_drafts().packs == ("secrets", "payment-cards")
    assert parse_document(document(config)) == config
    assert json.loads(document(config))["packs"] == ["secrets", "payment-cards"]


def test_switching_a_pack_on_or_off_is_a_change_of_its_own() -> None:
    without, with_it = load(BASE), load(f"{BASE}packs: [secrets]\n")

    assert [str(change) for change in diff(without, with_it)] == ["pack secrets added"]
    assert [str(change) for change in diff(with_it, without)] == ["pack secrets removed"]
