"""`manage.py verify` on the record of a real gateway: sound, and then tampered with by the owner of the database."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sessions.leaf import decode
from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.issuer import FakeIssuer
from tests.people import ALICE, CONNECTION, DAVE
from tests.stored import Stored, copied, opened
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("provable")

UNDER_PROOF = "SELECT count(*) FROM mcp_sessions_logindex"


@pytest.fixture(scope="module")
def left(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stopped gateway that has an allowed, a blocked and a held call behind it, and several checkpoints."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        rules = [word_rule("hold", "hold", "delete", approval=one_dba()), word_rule("deny", "deny", "drop")]
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules)
        folder = tmp_path_factory.mktemp("proof")
        text = people.config_yaml(issuer.url, "", **blocks)
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text))
        made.start()
        for sql in ("select 1", "drop table x", "delete from x"):
            held = made.caller(DAVE).begin("query", {"sql": sql, "marker": marker()})
            if sql.startswith("delete"):
                made.approve(held.approval_id)
            held.answer()
            until(lambda: _entries(made.stored) == int(made.stored.value(UNDER_PROOF)), "the sequencer to catch up")
        assert made.gateway.stop() == 0
        made.stored.close()  # PostgreSQL copies only a database that nobody uses
        yield made


def _entries(stored: Stored) -> int:
    return int(stored.value("SELECT count(*) FROM mcp_sessions_entry"))


def test_the_record_of_a_stopped_gateway_is_sound_to_the_last_entry(left: World) -> None:
    found = left.gateway.manage("verify", check=False)

    assert found.returncode == 0, found.stdout + found.stderr
    with opened(left.gateway) as stored:
        assert found.stdout.startswith(f"verified {_entries(stored)} entries"), found.stdout


def test_the_evidence_of_its_day_verifies_and_the_record_says_that_it_was_exported(left: World, tmp_path: Path) -> None:
    with copied(left.gateway) as (copy, stored):
        now = datetime.now(UTC)
        period = ("--from", (now - timedelta(hours=1)).isoformat(), "--to", now.isoformat())
        made = copy.manage("export_evidence", *period, "-o", str(tmp_path / "day.zip"), check=False)
        assert made.returncode == 0, made.stderr
        again = copy.manage("verify", str(tmp_path / "day.zip"), check=False)
        (leaf,) = stored.rows("SELECT leaf FROM mcp_sessions_entry WHERE kind = 'evidence.exported'")

    assert again.returncode == 0, again.stdout + again.stderr
    assert " 1 requests: " in made.stdout
    with zipfile.ZipFile(tmp_path / "day.zip") as bundle:
        manifest = hashlib.sha256(bundle.read("MANIFEST.json")).hexdigest()
        (request,) = csv.DictReader(bundle.read("population/approvals.csv").decode().splitlines())
        people = {
            row["pseudonym"]: row for row in csv.DictReader(bundle.read("access/people.csv").decode().splitlines())
        }
    assert decode(bytes(leaf[0])).facts["manifest"] == manifest
    assert people[request["requester"]]["name"] == "Dave Doyle"
    assert people[request["voters"]]["name"] == ALICE.name
    assert "dba" in people[request["voters"]]["groups"]


@pytest.mark.promise("bound-decision")
def test_what_was_asked_for_approved_and_run_has_one_digest_in_the_record(left: World) -> None:
    with opened(left.gateway) as stored:
        rows = stored.rows("SELECT kind, leaf FROM mcp_sessions_entry WHERE tool = 'query' ORDER BY id")
    calls = {kind: found for kind, leaf in rows if (found := decode(bytes(leaf)).facts.get("call"))}

    assert {"approval.requested", "approval.approved", "call.intent"} <= calls.keys()
    assert len(set(calls.values())) == 1


def _change_a_byte(stored: Stored) -> None:
    entry, leaf = _middle(stored)
    changed = leaf.replace(b'"tool":"query"', b'"tool":"fuery"')
    assert changed != leaf
    stored.rows("UPDATE mcp_sessions_entry SET leaf = ? WHERE id = ?", changed, entry)


def _delete_a_row(stored: Stored) -> None:
    entry, _ = _middle(stored)
    stored.rows("DELETE FROM mcp_sessions_logindex WHERE entry_id = ?", entry)
    stored.rows("DELETE FROM mcp_sessions_entry WHERE id = ?", entry)


def _cut_the_tail(stored: Stored) -> None:
    """Bring the database back to an earlier checkpoint, in every table: by itself it is whole."""
    size = stored.value("SELECT size FROM mcp_sessions_checkpoint ORDER BY size LIMIT 1 OFFSET 1")
    stored.rows("DELETE FROM mcp_sessions_checkpoint WHERE size > ?", size)
    stored.rows("DELETE FROM mcp_sessions_logindex WHERE log_index >= ?", size)
    kept = "(SELECT entry_id FROM mcp_sessions_logindex)"
    gone = f"(SELECT leaf_hash FROM mcp_sessions_entry WHERE id NOT IN {kept})"
    stored.rows(f"DELETE FROM mcp_sessions_payload WHERE leaf_hash IN {gone}")
    stored.rows(f"DELETE FROM mcp_sessions_entry WHERE id NOT IN {kept}")


def _change_a_payload(stored: Stored) -> None:
    ((commitment, body),) = stored.rows(
        "SELECT commitment, body FROM mcp_sessions_payload WHERE name = 'answer' ORDER BY commitment LIMIT 1"
    )
    stored.rows("UPDATE mcp_sessions_payload SET body = ? WHERE commitment = ?", body + b" ", commitment)


def _middle(stored: Stored) -> tuple[int, bytes]:
    """Return the first intent of a tool call: id and leaf."""
    rows = stored.rows(
        "SELECT id, leaf FROM mcp_sessions_entry WHERE kind = 'call.intent' AND tool = 'query' ORDER BY id"
    )
    return rows[0]


TAMPERINGS: dict[str, tuple[Callable[[Stored], None], str]] = {
    "a changed byte": (_change_a_byte, "altered"),
    "a deleted row": (_delete_a_row, "deleted"),
    "a cut tail": (_cut_the_tail, "truncated"),
    "a changed payload": (_change_a_payload, "payload"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_the_owner_of_the_database_changes_is_found(left: World, tampering: str) -> None:
    tamper, kind = TAMPERINGS[tampering]
    with copied(left.gateway) as (copy, stored):
        stored.drop_guards()
        tamper(stored)

        found = copy.manage("verify", check=False)

    assert found.returncode == 1, found.stdout + found.stderr
    assert any(line.startswith(kind) for line in found.stdout.splitlines()), found.stdout


def test_the_tables_refuse_to_be_changed_while_their_guards_stand(left: World) -> None:
    columns = {"entry": "kind", "logindex": "entry_id", "checkpoint": "note", "payload": "name"}
    changes = [f"UPDATE mcp_sessions_{table} SET {column} = {column}" for table, column in columns.items()]
    # Payloads may go: that is how a value is erased.
    changes += [f"DELETE FROM mcp_sessions_{table}" for table in columns if table != "payload"]

    with copied(left.gateway) as (_, stored):
        for change in changes:
            with pytest.raises(Exception, match="append-only"):
                stored.rows(change)
