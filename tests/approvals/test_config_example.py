"""The language as a whole: what a document may say in this version, and what a later one brings."""

from __future__ import annotations

import pytest

from approvals.config.loader import ConfigError, load
from tests.whole_language import FULL

# Where each feature of a later version stands: what is put in, after which line, and the key that is named.
LATER = [
    ("    timeout: 60s", "    rounds: true", "connections.orders-db.rounds"),
    ("    timeout: 60s", "    blobs: deny", "connections.orders-db.blobs"),
]


def test_a_document_that_uses_the_whole_language_loads() -> None:
    config = load(FULL)
    assert set(config.connections) == {"orders-db", "tickets", "reports", "mail", "calendar"}
    assert [rule.name for rule in config.rules] == [
        "never-drop",
        "writes-need-a-dba",
        "change-freeze",
        "payment-cards-in-arguments",
        "letters",
    ]
    assert config.connections["orders-db"].default_approval is not None
    assert config.issuers[0].kind.agent == {"client_id": ("agent-*",)}
    assert config.issuers[1].groups["deployers"] == {"repository": ("acme/*",), "ref": ("refs/heads/main",)}


@pytest.mark.parametrize(("after", "added", "key"), LATER)
def test_what_a_later_version_brings_is_refused_by_name_and_line(after: str, added: str, key: str) -> None:
    text = FULL.replace(after, f"{after}\n{added}", 1)
    with pytest.raises(ConfigError) as caught:
        load(text)
    problem = next(problem for problem in caught.value.problems if problem.key == key)
    assert problem.reason == "not available in this version"
    assert text.splitlines()[problem.line - 1] == added
    assert len(caught.value.problems) == 1


_BEHIND = "connections:\n  tools:\n    default: allow\n    transport: agent\n"


def test_a_connection_with_an_agent_says_its_name_and_no_address() -> None:
    assert load(f"{_BEHIND}    agent: far-away\n").connections["tools"].is_told_callers


@pytest.mark.parametrize(
    ("more", "key", "reason"),
    [
        ("", "agent", "is required"),
        ("    agent: Far Away\n", "agent", "is not a name"),
        ("    agent: far-away\n    url: http://a.example/mcp\n", "url", "it is said in the agent's own file"),
        (
            "    agent: far-away\n    credential: {header: X-Key, value: 'env:A'}\n",
            "credential",
            "the agent's own file",
        ),
        ("    agent: far-away\n    command: [x]\n", "command", "the agent's own file"),
        ("    agent: far-away\n    protocol: '2024-11-05'\n", "protocol", "the agent's own file"),
    ],
)
def test_what_the_agent_knows_is_not_said_of_its_connection(more: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_BEHIND + more)
    (problem,) = caught.value.problems
    assert problem.key == f"connections.tools.{key}"
    assert reason in problem.reason
