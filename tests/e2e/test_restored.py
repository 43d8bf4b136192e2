"""A database that was set back to an older copy: found by the anchor, and not served until somebody owns up to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway import NotReady
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE, config_yaml
from tests.stored import copied
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("provable")

REASON = "The disk of db-1 died; this is the copy of last night."


@pytest.fixture
def alone(issuer: FakeIssuer, tmp_path: Path) -> Iterator[World]:
    with running() as upstream, world(tmp_path, issuer, {CONNECTION: upstream}, "") as made:
        made.gateway.configure(config_yaml(issuer.url, upstream.url))
        yield made


def some_calls(alone: World) -> None:
    """Let the gateway serve for a while."""
    alone.start()
    for _ in range(2):
        assert not alone.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error
    assert alone.gateway.stop() == 0
    alone.stored.close()  # PostgreSQL copies no database that somebody looks into
    alone.witness = None


def test_an_older_copy_is_found_by_the_anchor_and_served_only_when_somebody_owned_up_to_it(alone: World) -> None:
    some_calls(alone)
    with copied(alone.gateway) as (older, stored):
        some_calls(alone)
        anchor = older.folder / "state" / "anchor" / "checkpoints.txt"
        anchored, entries = anchor.read_text(), stored.value("SELECT count(*) FROM mcp_sessions_entry")

        found = older.manage("verify", check=False)
        assert (found.returncode, "truncated: anchor ahead of database" in found.stdout) == (1, True), found.stdout

        with pytest.raises(NotReady, match=r"older copy.*acknowledge_restore"):
            older.start()
        assert stored.value("SELECT count(*) FROM mcp_sessions_entry") == entries, "nothing is written on it"

        older.manage("acknowledge_restore", "--reason", REASON)
        older.process = None
        older.start()
        assert older.stop() == 0
        ((leaf, body),) = stored.rows(
            "SELECT e.leaf, p.body FROM mcp_sessions_entry e JOIN mcp_sessions_payload p ON p.leaf_hash = e.leaf_hash "
            "WHERE e.kind = 'log.restored'"
        )
        assert (b"anchored_size" in leaf, REASON.encode() in body) == (True, True)
        sound = older.manage("verify", check=False)
        assert sound.returncode == 0, sound.stdout
        (aside,) = anchor.parent.glob("checkpoints.until-*.txt")
        assert aside.read_text() == anchored, "what was anchored before is kept for the auditors"
        again = older.manage("acknowledge_restore", "--reason", REASON, check=False)
        assert (again.returncode != 0, "nothing was set back" in again.stderr) == (True, True)
        against = older.manage("verify", "--anchor", str(aside), check=False)
        assert (against.returncode, "truncated" in against.stdout or "deleted" in against.stdout) == (1, True)
