"""The official conformance suite against the everything server over stdio: lost is only what pipes do not have."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import spelled_out
from tests.conformance import over_stdio, suite
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.world import World, world

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

COMMAND = [sys.executable, str(Path(over_stdio.__file__).resolve())]
# A server over pipes cannot end the stream of its answer, and one message alone comes as JSON.
OF_STREAMS = frozenset({"server-sse-polling", "server-sse-multiple-streams"})


@pytest.fixture(scope="module")
def piped(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that starts the everything server."""
    made = {
        "transport": "stdio",
        "command": COMMAND,
        "access": [{"groups": ["corp/engineering"]}],
        "default": "allow",
        "server_requests": ["sampling", "elicitation", "roots"],
    }
    text = people.config_yaml(issuer.url, "", **spelled_out(connections={"piped": made}))
    folder = tmp_path_factory.mktemp("piped")
    with world(folder, issuer, {}, text, HOLDGATE_STDIO_COMMANDS=shlex.join(COMMAND)) as found:
        found.start()
        yield found
        found.gateway.stop()


@pytest.mark.parametrize("name", list(suite.SETS))
def test_over_stdio_nothing_is_lost_but_streams(
    name: str, everything_upstream: str, piped: World, record_property: Callable[[str, object], None]
) -> None:
    line = piped.caller(DAVE, "piped")

    direct = suite.run(name, everything_upstream)
    through = suite.run(name, line.url, line.token)

    record_property("checks passed directly over HTTP and through the gateway", (direct.passed, through.passed))
    assert direct.passed >= suite.AT_LEAST[name], direct.said
    lost = [one for one in suite.lost(direct, through) if one.split()[0].removeprefix("server-") not in OF_STREAMS]
    assert not lost, "\n".join(lost)
