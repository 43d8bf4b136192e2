"""deploy/compose.yaml, with every command, environment, secret and health check in it, as processes of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests import people, services
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.composed import DEPLOY, GUARD, Composition, document, make_secrets
from tests.gateway import Gateway
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.servers import PostgreSQL, free_port, postgresql
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, until

LASTING = ("redis", "sequencer", "gateway", "worker", "beat", "retention")


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    """A server of this module alone: roles belong to a whole server. It is set up by the script of the image."""
    if shutil.which("psql") is None:
        services.missing("the program psql", "HOLDGATE_REQUIRE_SERVICES")
    with postgresql() as server:
        server.run("CREATE DATABASE holdgate")
        yield server


@pytest.fixture(scope="module")
def up(
    tmp_path_factory: pytest.TempPathFactory, issuer: FakeIssuer, upstream: FakeUpstream, database: PostgreSQL
) -> Iterator[World]:
    if shutil.which("redis-server") is None:
        services.missing("the program redis-server", "HOLDGATE_REQUIRE_SERVICES")
    folder = tmp_path_factory.mktemp("compose")
    make_secrets(folder / "secrets")
    port, redis = free_port(), free_port()
    held = [
        word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba()),
        word_rule("hasty", "hold", r"\bhasty\b", approval=one_dba(expires_after="1s")),
    ]
    blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=held)
    (folder / "holdgate.yaml").write_text(people.config_yaml(issuer.url, "", **blocks), encoding="utf-8")
    swaps = {
        "postgres:5432": f"127.0.0.1:{database.port}",
        "@redis:6379": f"@127.0.0.1:{redis}",
        "exec redis-server": f"exec redis-server --port {redis} --bind 127.0.0.1",
        "redis-cli ping": f"redis-cli -p {redis} ping",
        "/var/lib/holdgate-log": str(folder / "log"),
        "/var/lib/holdgate": str(folder / "state"),
        "/etc/holdgate/holdgate.yaml": str(folder / "holdgate.yaml"),
        ":8000/": f":{port}/",
    }
    words = {"0.0.0.0": "127.0.0.1", "8000": str(port)}  # noqa: S104 - what a container listens on
    variables = {"HOLDGATE_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    made = Composition(folder, document("compose.yaml")["services"], swaps, words, variables)
    _make_roles(made, database)
    try:
        assert made.run("migrate") == 0, made.log("migrate")
        for name in LASTING:
            made.start(name)
            if "test" in made.services[name].get("healthcheck", {}):
                made.until_healthy(name)
        yield World(Gateway(folder, port=port), issuer, {CONNECTION: upstream})
    finally:
        made.stop()


def _make_roles(made: Composition, database: PostgreSQL) -> None:
    """As PostgreSQL's image does with a new database: by the environment and the secrets of that service."""
    own = {"PGHOST": "127.0.0.1", "PGPORT": str(database.port), "POSTGRES_USER": "postgres"}
    environment = {**made.environment("postgres"), **own, "SECRETS": str(made.secrets("postgres"))}
    for script in sorted((DEPLOY / "roles").iterdir()):
        assert os.access(script, os.X_OK)
        done = subprocess.run(
            [str(script)], env=environment, capture_output=True, text=True, timeout=GUARD, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.promise("provable")
def test_what_compose_starts_holds_a_call_and_runs_it_once_it_is_approved(up: World, upstream: FakeUpstream) -> None:
    caller = up.caller(DAVE)
    assert not caller.call("query", {"sql": "select 1", "marker": marker()}).is_error
    mark = marker()
    held = caller.begin("query", {"sql": "delete from x", "marker": mark})

    up.approve(held.approval_id)

    assert not held.answer().is_error
    assert sum(mark in str(one) for one in upstream.calls) == 1


def test_the_worker_and_beat_of_compose_expire_what_nobody_decides(up: World) -> None:
    held = up.caller(DAVE).begin("query", {"sql": "hasty", "marker": marker()})

    until(lambda: up.approval(held.approval_id)["status"] == "expired", "beat and worker", 60)
