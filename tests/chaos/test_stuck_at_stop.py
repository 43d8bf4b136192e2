"""The gateway is told to stop while an upstream does not answer: it stops all the same, and its record says so."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.history import ENDS
from tests.hostile import Hostile, Turn
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.upstream import FakeUpstream
from tests.world import marker, until, world


async def _hangs(turn: Turn) -> None:
    await turn.stall()


@pytest.mark.chaos
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("timeout", ["3s", "300s"])
def test_a_stop_while_an_upstream_hangs(issuer: FakeIssuer, tmp_path: Path, timeout: str) -> None:
    mark = marker()
    with Hostile() as upstream:
        groups = {"dba": {"members": [people.ALICE.email]}, "platform": {"members": ["root@example.com"]}}
        blocks = {"connections": {"stuck": connection(upstream.url, timeout=timeout)}, "groups": groups}
        text = people.config_yaml(issuer.url, "", **spelled_out(**blocks))
        with world(tmp_path, issuer, {}, text) as here:
            here.start()
            assert here.witness is not None
            here.witness.watch("stuck", cast("FakeUpstream", upstream))
            caller = here.caller(DAVE, "stuck")
            upstream.script = _hangs
            answer = here.aside(lambda: caller.call("echo", {"marker": mark}))
            until(lambda: upstream.times(mark) == 1, "the call at the upstream")

            code = here.gateway.stop()

            assert code == 0, "".join(here.gateway.log[-20:])
            until(lambda: upstream.open == 0, "the connections to the upstream to be closed")
            reason = "upstream_timeout" if timeout == "3s" else "outcome_unknown"  # told before it is cut off
            assert answer.result(20).outcome == (reason, "unknown")
            upstream.script = None
            here.start()
            here.assert_history()
            ends = {kind for (kind,) in here.stored.rows("SELECT kind FROM mcp_sessions_entry")} & ENDS
            assert ends & {"call.unknown", "call.abandoned", "call.cancelled"}
            assert upstream.times(mark) == 1
            here.gateway.stop()
