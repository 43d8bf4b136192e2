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


@pytest.mark.parametrize("transport", ["agent"])
def test_other_transports_are_refused_without_asking_for_an_address(transport: str) -> None:
    text = f"connections:\n  tools:\n    default: allow\n    transport: {transport}\n"
    with pytest.raises(ConfigError) as caught:
        load(text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (4, "connections.tools.transport")
