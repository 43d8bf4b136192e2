"""A policy that another process publishes governs the very next call here, whether it gives or takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.issuer import FakeIssuer
from tests.people import CAROL, CONNECTION, DAVE, config_yaml
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("rule-at-once")


@pytest.fixture
def alone(issuer: FakeIssuer, tmp_path: Path) -> Iterator[World]:
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text) as made:
            made.start()
            yield made


def publish(alone: World, **blocks: Any) -> None:
    """Apply another file with a command, which is a process of its own."""
    alone.gateway.configure(config_yaml(alone.issuer.url, alone.upstream.url, **blocks))
    alone.gateway.manage("policy", "apply", str(alone.gateway.folder / "holdgate.yaml"))


def ask(alone: World, who: Any) -> Any:
    return alone.caller(who).call("query", {"sql": "select 1", "marker": marker()})


def test_who_was_given_access_has_it_at_once(alone: World) -> None:
    assert ask(alone, CAROL).status == 403

    publish(alone, orders={"access": [{"groups": ["corp/engineering", "security"]}]})

    assert ask(alone, CAROL).is_error is False


def test_a_token_that_the_issuers_new_entry_refuses_is_refused_at_once(alone: World) -> None:
    assert ask(alone, DAVE).is_error is False
    seen = len(alone.upstream.calls)
    document = yaml.safe_load((alone.gateway.folder / "holdgate.yaml").read_text(encoding="utf-8"))
    document["issuers"][0]["audiences"] = ["another-gateway"]

    publish(alone, issuers=document["issuers"])

    # Let in by the policy before and judged by the new one; or refused at the door, where it was heard of by then.
    assert ask(alone, DAVE).status in {401, 403}
    assert ask(alone, DAVE).status == 401
    assert len(alone.upstream.calls) == seen


def test_what_a_token_says_of_its_caller_is_read_by_the_new_entry_at_once(alone: World) -> None:
    assert ask(alone, DAVE).is_error is False
    document = yaml.safe_load((alone.gateway.folder / "holdgate.yaml").read_text(encoding="utf-8"))
    document["issuers"][0]["kind"] = {"default": "agent"}

    publish(
        alone,
        issuers=document["issuers"],
        orders={"access": [{"groups": ["corp/engineering"], "kinds": ["person"]}]},
    )

    assert ask(alone, DAVE).status == 403


@pytest.mark.promise("masked-everywhere")
@pytest.mark.parametrize("word", ["held", "allowed"])
def test_a_kept_answer_is_masked_by_the_rules_of_the_moment_it_is_given(alone: World, word: str) -> None:
    rule = {
        "name": "held-words",
        "action": "hold",
        "match": {"tools": ["echo"], "arguments": [{"path": "text", "contains_text": "held"}]},
        "approval": {"require": {"any_of": [{"groups": ["dba"], "count": 1}]}},
    }
    publish(alone, rules=[rule], masking=[])
    arguments = {"text": f"{word}: ada@example.com", "marker": marker()}
    if word == "held":
        dave = alone.caller(DAVE).begin("echo", arguments, idempotency_key="k-1")
        alone.approve(dave.approval_id)
        first = dave.answer()
    else:
        first = alone.caller(DAVE).call("echo", arguments, idempotency_key="k-1")
    assert "ada@example.com" in first.said

    publish(alone, rules=[rule], masking=[{"name": "people", "detectors": ["email"], "replace": "label"}])
    again = alone.caller(DAVE).call("echo", arguments, idempotency_key="k-1")

    assert again.said == f"{word}: [email]"
    assert alone.upstream.executions["echo"] == 1
