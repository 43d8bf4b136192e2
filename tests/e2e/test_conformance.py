"""The official conformance suite against the everything server: nothing that passes directly is lost at the gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import suite
from tests.people import DAVE
from tests.world import World

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.promise("unchanged-clients"),
    # What the newest revision has dropped is served to the older ones.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


@pytest.mark.parametrize("name", suite.SETS)
def test_nothing_that_passes_directly_is_lost(
    name: str, everything_upstream: str, everything_gateway: World, record_property: Callable[[str, object], None]
) -> None:
    line = everything_gateway.caller(DAVE, "everything")

    direct = suite.run(name, everything_upstream)
    through = suite.run(name, line.url, line.token)

    record_property("checks passed directly and through the gateway", (direct.passed, through.passed))
    assert direct.passed >= suite.AT_LEAST[name], direct.said
    lost = suite.lost(direct, through)
    assert not lost, "\n".join(lost)
