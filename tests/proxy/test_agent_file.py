"""The file of an agent: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from approvals.config.problems import ConfigError
from proxy.agent.file import load
from tests import agent as agents
from tests.gateway import ROOT
from tests.house import pages, sources

_HEAD = "version: 1\ngateway: https://gateway.example.com\ntoken: env:TOKEN\n"
_SERVERS = "connections:\n  orders: {url: 'http://orders.internal/mcp'}\n"


@pytest.mark.parametrize("block", list(pages.blocks(sources.ROOT / "docs" / "agent.md", "yml")))
def test_the_file_that_is_shown_loads(block: str) -> None:
    assert load(block).connections


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (_HEAD, "connections", "is required"),
        (f"{_HEAD}connections: {{}}\n", "connections", "at least one server"),
        (f"{_HEAD}{_SERVERS}more: 1\n", "more", "unknown key"),
        (_HEAD.replace("https", "http") + _SERVERS, "gateway", "must begin with https"),
        (_HEAD.replace("env:TOKEN", "hga_abc") + _SERVERS, "token", "must be a reference"),
        (_HEAD.replace("env:TOKEN", "vault:kv/agent#token") + _SERVERS, "token", "asks no Vault"),
        (f"{_HEAD}connections:\n  orders: {{transport: stdio}}\n", "connections.orders.command", "is required"),
        (f"{_HEAD}connections:\n  orders: {{}}\n", "connections.orders.url", "is required"),
        (
            f"{_HEAD}connections:\n  orders: {{url: 'http://169.254.169.254/mcp'}}\n",
            "connections.orders.url",
            "never dialled",
        ),
        (
            f"{_HEAD}connections:\n  orders: {{url: 'http://a.example/mcp', command: [x]}}\n",
            "connections.orders.command",
            "is not for transport http",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)

    assert [(one.key, reason in one.reason) for one in caught.value.problems] == [(key, True)]
    assert "hga_abc" not in str(caught.value)


def test_a_gateway_on_this_machine_or_one_that_is_said_to_may_be_spoken_to_in_clear() -> None:
    load(_HEAD.replace("https://gateway.example.com", "http://127.0.0.1:8080") + _SERVERS)
    load(_HEAD.replace("https", "http") + "allow_http: true\n" + _SERVERS)


@pytest.mark.parametrize(("text", "code"), [(_HEAD + _SERVERS, 0), (_HEAD, 2)], ids=["good", "bad"])
def test_the_command_needs_none_of_what_a_gateway_needs(text: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(text)

    command = [sys.executable, "-c", agents.BARE, "--config", str(file), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == code, done.stderr
    assert ("orders" in done.stdout) == (code == 0)
