"""Backing up and restoring by the very commands of docs/operate/backup.md, on PostgreSQL and on SQLite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import people, services
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import ROOT, Gateway
from tests.house import pages
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.stored import opened
from tests.upstream import running
from tests.world import World, marker, world

pytestmark = pytest.mark.promise("provable")

PAGE = pages.DOCS / "operate" / "backup.md"
GUARD = 300.0


def block(beginning: str) -> str:
    """Return the block of the page that begins so."""
    return next(text for text in pages.blocks(PAGE, "sh") if text.startswith(beginning))


def run(text: str, gateway: Gateway, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a block of the page beside an installation."""
    env = {**gateway.env, **environment, "PATH": f"{os.environ['PATH']}"}
    text = text.replace(".venv/bin/python manage.py", f'"{sys.executable}" "{ROOT / "manage.py"}"')
    return subprocess.run(
        ["bash", "-euc", text], cwd=folder, env=env, capture_output=True, text=True, timeout=GUARD, check=False
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def here(
    request: pytest.FixtureRequest, issuer: FakeIssuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """One gateway on either database."""
    base = ""
    for program in ("sqlite3",) if request.param == "sqlite" else ("pg_dump", "pg_restore", "createdb"):
        shutil.which(program) or services.missing(program, "HOLDGATE_REQUIRE_SERVICES")
    if request.param == "postgresql":
        base = request.getfixturevalue("postgresql_url")
    else:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    with running() as upstream:
        rules = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
        blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=rules)
        text = people.config_yaml(issuer.url, "", **blocks)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, base) as made:
            made.gateway.start()  # nobody watches from beside: there will be another database
            yield made


def backed_up(here: World) -> None:
    gateway, folder = here.gateway, here.gateway.folder
    done = run(block("pg_dump" if gateway.database_url else "sqlite3"), gateway, folder)
    assert done.returncode == 0, done.stderr


def restored(gateway: Gateway) -> Gateway:
    """Put the copy in place, as the page says for either database; the gateway is stopped."""
    folder = gateway.folder
    if not gateway.database_url:
        state = folder / "state"
        for name in ("holdgate.sqlite3-wal", "holdgate.sqlite3-shm"):
            (state / name).unlink(missing_ok=True)
        shutil.copy(folder / "holdgate.sqlite3", state / "holdgate.sqlite3")
        return replace(gateway, process=None)
    name = f"test_restored_{uuid.uuid4().hex[:12]}"
    server = urlsplit(gateway.database_url)
    url = server._replace(path=f"/{name}").geturl()
    done = run(
        block("createdb").replace("holdgate_restored", name),
        gateway,
        folder,
        MAINTENANCE_URL=server._replace(path="/postgres").geturl(),
        RESTORED_URL=url,
    )
    assert done.returncode == 0, done.stderr
    return replace(gateway, process=None, database_url=url)


def test_a_backup_is_restored_found_to_be_old_owned_up_to_and_served(here: World) -> None:
    mark = marker()
    arguments = {"sql": "delete from x", "marker": mark}
    asked = here.caller(DAVE).call("query", arguments, prefer="wait=0").approval["id"]
    backed_up(here)
    lost = marker()
    assert not here.caller(DAVE).call("query", {"sql": "select 1", "marker": lost}).is_error
    assert here.gateway.stop() == 0

    gateway = restored(here.gateway)
    found = run(block(".venv/bin/python manage.py verify"), gateway, gateway.folder)
    assert (found.returncode, "truncated: anchor ahead of database" in found.stdout) == (1, True), found.stdout

    owned_up = run(block(".venv/bin/python manage.py acknowledge_restore"), gateway, gateway.folder)
    assert owned_up.returncode == 0, owned_up.stderr
    again = World(gateway, here.issuer, here.upstreams)
    try:
        gateway.start()
        assert again.approval(asked)["status"] == "pending", "what waited when the copy was made waits again"
        held = again.caller(DAVE).begin("query", arguments)
        assert held.approval_id == asked
        again.approve(asked)
        assert not held.answer().is_error
        assert again.upstream.markers[mark] == 1
        assert gateway.stop() == 0
        sound = run(block(".venv/bin/python manage.py verify"), gateway, gateway.folder)
        assert sound.returncode == 0, sound.stdout
        with opened(gateway) as stored:
            kinds = dict(stored.rows("SELECT kind, count(*) FROM mcp_sessions_entry GROUP BY kind"))
            assert kinds.get("log.restored") == 1, kinds
            if gateway.database_url:  # the question of docs/operate/capacity.md
                ((_, _, calls),) = stored.rows(next(pages.blocks(pages.DOCS / "operate" / "capacity.md", "sql")))
                assert calls > 0
    finally:
        gateway.kill()
        if gateway.database_url:
            _dropped(gateway.database_url)


def _dropped(url: str) -> None:
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{server.path[1:]}" WITH (FORCE)')
