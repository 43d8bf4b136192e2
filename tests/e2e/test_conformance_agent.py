"""The official conformance suite through an agent: nothing that passes directly is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import agent as agents
from tests import people
from tests.agent import Agent
from tests.blocks import spelled_out
from tests.conformance import suite
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.world import World, world

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


@pytest.fixture(scope="module")
def behind(everything_upstream: str, issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway, and an agent that serves the everything server to it."""
    made = {
        "transport": "agent",
        "agent": agents.NAME,
        "access": [{"groups": ["corp/engineering"]}],
        "default": "allow",
        "server_requests": ["sampling", "elicitation", "roots"],
    }
    folder = tmp_path_factory.mktemp("behind")
    text = people.config_yaml(issuer.url, "", **spelled_out(connections={"everything": made}))
    with world(folder, issuer, {}, text) as found:
        found.start()
        served = {"everything": {"url": everything_upstream}}
        agent = Agent(folder / "agent", agents.made(found.gateway, "everything"), found.gateway.url, served)
        with agents.running(agent):
            yield found
        found.gateway.stop()


# The classic set asks what that of 2025-11-25 asks.
@pytest.mark.parametrize("name", ["2026-07-28", "2025-11-25"])
def test_nothing_that_passes_directly_is_lost_through_an_agent(
    name: str, everything_upstream: str, behind: World, record_property: Callable[[str, object], None]
) -> None:
    line = behind.caller(DAVE, "everything")

    direct = suite.run(name, everything_upstream)
    through = suite.run(name, line.url, line.token)

    record_property("checks passed directly and through the agent", (direct.passed, through.passed))
    assert direct.passed >= suite.AT_LEAST[name], direct.said
    lost = suite.lost(direct, through)
    assert not lost, "\n".join(lost)
