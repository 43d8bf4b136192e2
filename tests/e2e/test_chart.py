"""What the chart starts, as processes of this machine, with the commands, settings and secrets of its pods alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sessions import logkey
from tests import charted, people, services
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.charted import NEEDED
from tests.composed import GUARD, Composition
from tests.gateway import ROOT, Gateway
from tests.house import pages
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.servers import PostgreSQL, free_port, postgresql, redis_server
from tests.upstream import FakeUpstream, running
from tests.world import World, marker, until

LASTING = ("sequencer", "web", "worker", "beat", "retention")
TOKEN = "the-token-of-the-scrape"


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    """A server of this module alone, with database and roles as the guide has them made."""
    if shutil.which("psql") is None:
        services.missing("the program psql", "HOLDGATE_REQUIRE_SERVICES")
    [statements] = pages.blocks_of(pages.text_of("kubernetes.md"), "sql")
    with postgresql() as server:
        for statement in statements.replace("…", "x").split(";"):
            if statement.strip():
                server.run(statement)
        yield server


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, database: PostgreSQL) -> Iterator[Composition]:
    """The pods, none of them started, each with its own files: what a Secret would hold lies where it is mounted."""
    folder, port = tmp_path_factory.mktemp("chart"), free_port()
    url = f"http://127.0.0.1:{port}"
    values = {**NEEDED, "publicUrl": url, "monitoring": {"enabled": True}}
    manifests = charted.rendered(values)
    with redis_server() as redis:
        secrets = {"secretKey": "k" * 50, "metricsToken": TOKEN, "broker": f"redis://127.0.0.1:{redis.port}/0"}
        for role in ("owner", "web", "sequencer", "retention"):
            address = f"postgresql://holdgate_{role}:x@127.0.0.1:{database.port}/holdgate"
            secrets[f"database{role.capitalize()}"] = address
        (folder / "secrets").mkdir()
        for name, secret in secrets.items():
            (folder / "secrets" / name).write_text(secret, encoding="utf-8")
        _give_keys(manifests, folder)
        words = {"0.0.0.0": "127.0.0.1", "8000": str(port)}  # noqa: S104 - what a container listens on
        made = Composition(folder, charted.services(manifests, folder), {":8000/": f":{port}/"}, words, {})
        try:
            yield made
        finally:
            made.stop()


def _give_keys(manifests: list[charted.Manifest], folder: Path) -> None:
    keys = folder / "log-key"
    signer = logkey.ensure(keys / "log.key")
    for component, pod in charted.pods(manifests).items():
        for path in charted.FOLDERS:
            charted.place(folder, component, path).mkdir(parents=True, exist_ok=True)
        if public := charted.files(pod, "keys"):
            assert list(public) == ["log.pub"]
            state = charted.place(folder, component, "/var/lib/holdgate")
            logkey.keep_public(signer, state / "keys" / "log.pub")
        if list(charted.files(pod, "seed")) == ["log.key"]:
            shutil.copy(keys / "log.key", charted.place(folder, component, "/run/seed"))


@pytest.fixture(scope="module")
def up(release: Composition, issuer: FakeIssuer, upstream: FakeUpstream) -> World:
    held = [
        word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba()),
        word_rule("hasty", "hold", r"\bhasty\b", approval=one_dba(expires_after="1s")),
    ]
    blocks = spelled_out(connections={CONNECTION: connection(upstream.url)}, rules=held)
    config = charted.place(release.folder, "web", "/etc/holdgate") / "holdgate.yaml"
    config.write_text(people.config_yaml(issuer.url, "", **blocks), encoding="utf-8")
    for once in ("migrate", "log-key"):
        assert release.run(once) == 0, release.log(once)
    for name in LASTING:
        release.start(name)
        if "healthcheck" in release.services[name]:
            release.until_healthy(name)
    port = int(release.words["8000"])
    return World(Gateway(release.folder, port=port), issuer, {CONNECTION: upstream})


def manage(release: Composition, component: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as `kubectl exec` would in a pod."""
    own = release.environment(component)
    command = ["python", "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=GUARD, check=False)


@pytest.mark.promise("provable")
def test_what_the_chart_starts_holds_a_call_runs_it_once_and_proves_it(
    up: World, upstream: FakeUpstream, release: Composition
) -> None:
    caller = up.caller(DAVE)
    assert not caller.call("query", {"sql": "select 1", "marker": marker()}).is_error
    mark = marker()
    held = caller.begin("query", {"sql": "delete from x", "marker": mark})

    up.approve(held.approval_id)

    assert not held.answer().is_error
    assert sum(mark in str(one) for one in upstream.calls) == 1
    verified = until(lambda: _sound(release), "every entry to be signed", GUARD)
    assert verified.splitlines()[-1].startswith("verified ")


def _sound(release: Composition) -> str:
    done = manage(release, "sequencer", "verify")
    assert done.returncode != 1, done.stdout
    return done.stdout if done.returncode == 0 else ""


def test_worker_and_beat_of_the_chart_expire_what_nobody_decides(up: World) -> None:
    held = up.caller(DAVE).begin("query", {"sql": "hasty", "marker": marker()})

    until(lambda: up.approval(held.approval_id)["status"] == "expired", "beat and worker", 60)


def test_the_scrape_shows_its_token_and_gets_what_web_pods_scale_on(up: World) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"{up.gateway.url}/metrics", headers=headers, timeout=20, trust_env=False)
    told = {family.name for family in text_string_to_metric_families(answer.text)}

    assert answer.status_code == 200
    assert {"holdgate_held_calls", "holdgate_calls", "holdgate_log_unsigned_seconds"} <= told
    assert httpx.get(f"{up.gateway.url}/metrics", timeout=20, trust_env=False).status_code == 401


def test_an_upgrade_migrates_while_the_release_before_serves(up: World, release: Composition) -> None:
    assert release.run("migrate") == 0, release.log("migrate")

    assert not up.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error
    assert httpx.get(f"{up.gateway.url}/readyz", timeout=20, trust_env=False).json()["ready"] is True


def test_no_pod_writes_where_its_volume_is_read_only(up: World, release: Composition) -> None:
    for component in ("web", "worker", "beat", "retention"):
        keys = charted.place(release.folder, component, "/var/lib/holdgate") / "keys"
        assert [path.name for path in keys.iterdir()] == ["log.pub"], component


def test_a_seed_does_not_take_the_place_of_a_key_that_was_rotated(up: World, release: Composition) -> None:
    key = charted.place(release.folder, "sequencer", "/var/lib/holdgate-log") / "log.key"
    before = key.read_bytes()
    key.write_bytes(b"rotated")
    try:
        assert release.run("log-key") == 0, release.log("log-key")
        assert key.read_bytes() == b"rotated"
    finally:
        key.write_bytes(before)
    assert key.stat().st_mode & 0o077 == 0
