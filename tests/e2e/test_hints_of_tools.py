"""What a tool says of itself decides on a real gateway, unless an admin says else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE, config_yaml
from tests.upstream import running
from tests.world import marker, world


def test_tools_that_do_not_say_they_only_read_are_stopped(tmp_path: Path, issuer: FakeIssuer) -> None:
    rule = {"name": "readers-only", "action": "deny", "match": {"hints": {"read_only": ["false", "unknown"]}}}
    told: Any = [{"tools": ["fail"], "read_only": "true"}]
    with running() as upstream:
        text = config_yaml(issuer.url, upstream.url, orders={"tool_hints": told}, rules=[rule])
        with world(tmp_path, issuer, {CONNECTION: upstream}, text) as here:
            here.start()
            dave = here.caller(DAVE)

            stopped = dave.call("query", {"sql": "select 1", "marker": marker()})
            assert stopped.decision["rules"] == ["readers-only"]
            assert dave.call("echo", {"text": "hello"}).said == "hello"
            assert "no such table" in dave.call("fail", {"marker": marker()}).said
            names = {tool["name"] for tool in dave.ask("tools/list").result["tools"]}
            assert names == {"query", "echo", "slow", "fail"}
            assert len(upstream.calls) == 2
            here.assert_history()
