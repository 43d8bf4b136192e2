"""Separate database roles: a stolen credential of the web cannot change the record, and the gateway serves as ever.

The commands are those of docs/operating.md and docs/operate/upgrade.md.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import ROOT, Gateway, installation
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.roles import Roles, owned
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("provable")

RECORD = ("entry", "payload", "logindex", "checkpoint")
COLUMN = {"entry": "tool", "payload": "name", "logindex": "entry_id", "checkpoint": "note"}
FORBIDDEN = [
    *(f"UPDATE mcp_sessions_{table} SET {COLUMN[table]} = {COLUMN[table]}" for table in RECORD),
    *(f"DELETE FROM mcp_sessions_{table}" for table in RECORD),
    *(f"TRUNCATE mcp_sessions_{table}" for table in RECORD),
    *(f"ALTER TABLE mcp_sessions_{table} DISABLE TRIGGER ALL" for table in RECORD),
    *(f"DROP TRIGGER mcp_sessions_{table}_no_change ON mcp_sessions_{table}" for table in RECORD),
    *(f"DROP TABLE mcp_sessions_{table} CASCADE" for table in RECORD),
    "DROP FUNCTION mcp_sessions_refuse() CASCADE",
    "CREATE OR REPLACE FUNCTION mcp_sessions_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER forge BEFORE INSERT ON mcp_sessions_entry EXECUTE FUNCTION mcp_sessions_refuse()",
    "CREATE RULE forge AS ON INSERT TO mcp_sessions_entry DO INSTEAD NOTHING",
    "INSERT INTO mcp_sessions_checkpoint SELECT size + 1, root, note FROM mcp_sessions_checkpoint",
    "INSERT INTO mcp_sessions_logindex SELECT log_index + 9999, entry_id + 9999 FROM mcp_sessions_logindex LIMIT 1",
    "INSERT INTO mcp_sessions_entry SELECT * FROM mcp_sessions_entry LIMIT 1",
    "INSERT INTO mcp_sessions_entry (id, leaf, leaf_hash, kind, ts, call_id, session, connection, tool, actor) "
    "SELECT 9999999, leaf, sha256(leaf), kind, ts, call_id, session, connection, tool, actor FROM mcp_sessions_entry "
    "LIMIT 1",
    "INSERT INTO mcp_sessions_payload SELECT * FROM mcp_sessions_payload "
    "ON CONFLICT (commitment) DO UPDATE SET name = 'x'",
    "UPDATE mcp_sessions_sequencerstate SET size = 0",
    "DELETE FROM mcp_sessions_sequencerstate",
    "SELECT mcp_sessions_erase((SELECT leaf_hash FROM mcp_sessions_entry LIMIT 1))",
    "SET session_replication_role = replica",
    "COPY mcp_sessions_entry TO PROGRAM 'cat'",
    "CREATE TABLE mine (a int)",
    "DELETE FROM django_migrations",
]  # fmt: skip
COUNTS = "SELECT (SELECT count(*) FROM mcp_sessions_entry), (SELECT count(*) FROM mcp_sessions_checkpoint)"


@dataclass
class Hardened:
    """A world whose web process holds a role that may only add to the record, and the process that signs."""

    world: World
    roles: Roles
    sequencer: Gateway

    def manage(self, role: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command under a role."""
        other = self.world.gateway.sibling("web", DATABASE_URL=self.roles.address(role), **environment)
        return other.manage(*arguments, check=False)


@pytest.fixture(scope="module")
def hardened(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str) -> Iterator[Hardened]:
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        held = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=held)
        text = people.config_yaml(issuer.url, "", **blocks)
        folder = tmp_path_factory.mktemp("hardened")
        here = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, postgresql_url))
        roles = stack.enter_context(owned(here.gateway))
        gateway = here.gateway
        gateway.form = "web"
        gateway.environment = {"DATABASE_URL": roles.address(roles.web), "HOLDGATE_HARDENED": "1"}
        subprocess.run(["git", "init", "--quiet", str(folder / "anchors")], check=True)
        key = {"HOLDGATE_LOG_KEY": str(folder / "apart" / "log.key"), "HOLDGATE_ANCHORS": f"git://{folder / 'anchors'}"}
        made = Hardened(here, roles, gateway.sibling("sequencer", DATABASE_URL=roles.address(roles.sequencer), **key))
        for command in (("migrate", "--verbosity", "0"), ("harden", *roles.options, "--apply")):
            done = made.manage(roles.owner, *command)
            assert done.returncode == 0, done.stderr
        made.sequencer.start()
        stack.callback(made.sequencer.kill)
        public = folder / "state" / "keys" / "log.pub"
        until(public.exists, "the sequencer to publish its key", 60)
        gateway.manage("policy", "apply", str(folder / "holdgate.yaml"))
        here.start()
        yield made


def test_the_gateway_serves_under_roles_that_cannot_change_its_record(hardened: Hardened) -> None:
    here = hardened.world
    answer = here.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()})
    assert not answer.is_error
    receipt = answer.result["_meta"]["holdgate/receipt"]
    kept = "SELECT count(*) FROM mcp_sessions_entry WHERE leaf_hash = decode(?, 'hex') AND kind = 'call.result'"
    assert here.stored.value(kept, receipt["entry"]) == 1
    held = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": marker()})
    here.approve(held.approval_id)
    assert not held.answer().is_error
    assert not list((here.gateway.folder / "state").rglob("log.key")), "the web has no key"
    until(
        lambda: (
            here.stored.value("SELECT max(size) FROM mcp_sessions_checkpoint")
            == here.stored.value("SELECT count(*) FROM mcp_sessions_entry")
        ),
        "the sequencer to sign everything",
    )
    anchored = "SELECT count(*) FROM mcp_sessions_anchorstate WHERE size > 0 AND error = ''"
    until(lambda: here.stored.value(anchored), "a checkpoint in the repository", 60)
    here.assert_history()


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_role_of_the_web_can_change_nothing_of_the_record(hardened: Hardened, statement: str) -> None:
    before = hardened.world.stored.rows(COUNTS)[0][1]
    address = hardened.roles.address(hardened.roles.web)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(address) as thief:
        thief.execute(statement)
    assert hardened.world.stored.rows(COUNTS)[0][1] >= before


def test_the_role_of_the_web_can_become_none_that_may_more(hardened: Hardened) -> None:
    roles = hardened.roles
    with psycopg.connect(roles.address(roles.web), autocommit=True) as thief:
        for other in (roles.owner, roles.sequencer, roles.retention, "postgres", "pg_write_all_data"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                thief.execute(f"SET ROLE {other}")
        with contextlib.suppress(psycopg.Error):  # PostgreSQL only warns that it granted nothing
            thief.execute(f"GRANT ALL ON mcp_sessions_entry TO {roles.web}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            thief.execute("UPDATE mcp_sessions_entry SET tool = 'x'")


@pytest.mark.parametrize("role", ["sequencer", "retention"])
def test_neither_can_who_signs_nor_who_erases(hardened: Hardened, role: str) -> None:
    forbidden = [
        one for one in FORBIDDEN if "TRIGGER" in one or one.startswith(("UPDATE mcp_sessions_e", "DELETE FROM mcp"))
    ]
    address = hardened.roles.address(getattr(hardened.roles, role))
    with psycopg.connect(address, autocommit=True) as thief:
        for statement in forbidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                thief.execute(statement)


ERASE = """
from approvals.runtime import runtime, shut_down
from django.db import DatabaseError
from sessions import erasing
from sessions.events import Event
from sessions.models import Entry, Payload
body = Payload.objects.order_by("commitment").first()
house = runtime()
facts = {"commitments": [bytes(body.commitment).hex()], "reason": "asked"}
house.journal.append_now(Event(kind="payload.erased", facts=facts))
shut_down()
before = Payload.objects.count()
try:
    erasing.erase(bytes(Entry.objects.exclude(kind="payload.erased").first().leaf_hash))
except DatabaseError as error:
    print("refused", error)
hash = bytes(Entry.objects.get(kind="payload.erased").leaf_hash)
print("erased", erasing.erase(hash), erasing.erase(hash), before - Payload.objects.count())
"""


@pytest.mark.promise("nothing-lost")
def test_retention_erases_what_an_entry_says_is_erased_and_nothing_else(hardened: Hardened) -> None:
    done = hardened.manage(hardened.roles.retention, "shell", "-c", ERASE)

    assert "refused no erasure is recorded under this hash" in done.stdout, done.stderr
    assert "erased 1 0 1" in done.stdout, done.stderr
    verified = hardened.world.gateway.manage("verify", check=False)
    assert verified.returncode == 0, verified.stdout


def refusal(gateway: Gateway, **environment: str) -> str:
    """Start a web process that must refuse to; return what it says."""
    command = [sys.executable, "manage.py", "rungateway", "--web", "--port", "0"]
    env = {**gateway.env, **environment}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0, done.stderr
    return done.stderr


@pytest.mark.promise("fail-closed")
def test_a_web_process_that_could_change_the_record_refuses_to_start(hardened: Hardened, tmp_path: Path) -> None:
    gateway, roles = hardened.world.gateway, hardened.roles
    key = tmp_path / "log.key"
    key.touch()

    assert "owns the database" in refusal(gateway, DATABASE_URL=roles.address(roles.owner))
    assert "may INSERT on mcp_sessions_checkpoint" in refusal(gateway, DATABASE_URL=roles.address(roles.sequencer))
    assert "can read the log's key" in refusal(gateway, HOLDGATE_LOG_KEY=str(key))
    checked = hardened.manage(roles.owner, "check", "--deploy")
    assert (checked.returncode, "holdgate.E003" in checked.stderr) == (1, True)
    assert "holdgate.E003" not in hardened.manage(roles.web, "check", "--deploy").stderr


def test_hardening_again_puts_right_what_was_loosened_and_what_it_prints_is_what_it_does(hardened: Hardened) -> None:
    roles, stored = hardened.roles, hardened.world.stored
    loosened = [
        "ALTER TABLE mcp_sessions_entry DISABLE TRIGGER mcp_sessions_entry_no_change",
        "DROP TRIGGER mcp_sessions_payload_no_truncate ON mcp_sessions_payload",
        f"GRANT UPDATE (tool), DELETE ON mcp_sessions_entry TO {roles.web}",
        f"GRANT EXECUTE ON FUNCTION mcp_sessions_erase(bytea) TO {roles.web}",
    ]
    for statement in loosened:
        stored.rows(statement)
    told = hardened.manage(roles.web, "check", "--deploy").stderr
    assert all(word in told for word in ("DELETE, UPDATE on", "mcp_sessions_erase", "entry_no_change", "payload_no_t"))

    printed = hardened.manage(roles.owner, "harden", *roles.options).stdout
    with psycopg.connect(roles.address(roles.owner), autocommit=True) as owner:
        owner.execute(printed)

    assert "holdgate.E003" not in hardened.manage(roles.web, "check", "--deploy").stderr


def test_sqlite_has_no_roles_and_all_in_one_cannot_be_hardened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with installation(tmp_path) as lone:
        assert "PostgreSQL only" in lone.manage("harden", check=False).stderr
        assert "needs PostgreSQL" in lone.manage("run_sequencer", check=False).stderr


def test_a_process_of_its_own_erases_what_two_people_decided(hardened: Hardened) -> None:
    here = hardened.world
    word = marker()
    assert not here.caller(DAVE).call("query", {"sql": f"select '{word}'"}).is_error
    session = here.api(people.GRACE, "GET", "sessions/").json()["results"][0]["id"]
    asked = here.api(people.GRACE, "POST", "erasures/", json={"session": session, "reason": "Article 17"}).json()
    here.api(DAVE, "POST", f"erasures/{asked['id']}/confirm/")
    assert word in here.api(people.GRACE, "GET", f"sessions/{session}/").text

    done = hardened.manage(hardened.roles.retention, "run_retention", "--once")
    assert done.returncode == 0, done.stderr
    assert word not in here.api(people.GRACE, "GET", f"sessions/{session}/").text
    assert here.api(people.GRACE, "GET", "erasures/").json()["results"][0]["status"] == "done"
    verified = here.gateway.manage("verify", check=False)
    assert verified.returncode == 0, verified.stdout
