"""kill -9 of retention around its entry: it goes on, and nothing is ever gone without the entry that says so."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.gateway import Gateway, launch
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = [pytest.mark.promise("nothing-lost"), pytest.mark.promise("provable")]

ERASED = "SELECT COUNT(*) FROM mcp_sessions_entry WHERE kind = 'payload.erased'"
LEFT = """SELECT COUNT(*) FROM mcp_sessions_payload p JOIN mcp_sessions_entry e ON e.leaf_hash = p.leaf_hash
          WHERE e.connection = ?"""


@pytest.fixture
def here(issuer: FakeIssuer, tmp_path: Path) -> Iterator[World]:
    """A gateway with one server and no rules."""
    with running() as upstream:
        usual = {**connection(upstream.url), "keep_payloads": "1d"}
        blocks = spelled_out(connections={CONNECTION: usual}, rules=[])
        text = people.config_yaml(issuer.url, "", **blocks)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text) as made:
            made.start()
            yield made


def ask(here: World, times: int) -> None:
    for _ in range(times):
        assert not here.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error


def erase(gateway: Gateway, failpoint: str = "") -> int:
    """Run retention once, and return its exit code: -9 when it killed itself."""
    process = launch(["manage.py", "run_retention", "--once"], gateway.env, failpoint, gateway.root)
    with process:
        process.communicate(timeout=120)
    return process.returncode


def test_retention_that_is_killed_goes_on_and_never_erases_without_its_entry(here: World) -> None:
    ask(here, 3)
    here.gateway.stop()
    file = here.gateway.folder / "holdgate.yaml"
    file.write_text(re.sub(r"keep_payloads: \S+", "keep_payloads: 1s", file.read_text()))
    here.gateway.manage("policy", "apply", str(file))
    time.sleep(1.1)  # the payloads' time is over
    before, entries = here.stored.value(LEFT, CONNECTION), here.stored.value(ERASED)
    assert before >= 6

    assert erase(here.gateway, "kill before payload.erased") == -9
    assert (here.stored.value(LEFT, CONNECTION), here.stored.value(ERASED)) == (before, entries)
    assert erase(here.gateway, "kill after payload.erased") == -9
    now = here.stored.value(LEFT, CONNECTION), here.stored.value(ERASED)
    assert now == (before, entries + 1), "the entry comes first"
    assert erase(here.gateway) == 0
    assert here.stored.value(LEFT, CONNECTION) == 0

    here.start()  # who signs gives the new entries their places
    until(lambda: here.gateway.manage("verify", check=False).returncode == 0, "a record that is sound", 120)
