"""What a process refuses to start with, each with a text that says what to change; and how many calls may wait."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.gateway import ROOT, Gateway, installation
from tests.issuer import FakeIssuer
from tests.people import AGENT, CONNECTION, DAVE
from tests.servers import postgresql
from tests.upstream import running
from tests.world import World, marker, world

CELERY = ("-m", "celery", "-A", "gatewayproj")
UVICORN = ("-m", "uvicorn", "gatewayproj.asgi:application", "--port", "0")
ALONE = ("manage.py", "rungateway", "--port", "0")
GUARD = 40.0


def refusal(gateway: Gateway, *command: str, limit: str = "", **environment: str) -> str:
    """Start a process of this installation that must refuse to; return what it says."""
    shell = ["bash", "-c", f'{limit}\nexec "$@"', "-", sys.executable, *command]
    env = {**gateway.env, **environment}
    done = subprocess.run(shell, cwd=ROOT, env=env, capture_output=True, text=True, timeout=GUARD, check=False)
    assert done.returncode != 0, done.stderr
    return done.stderr


def rules(issuer: FakeIssuer, url: str) -> str:
    """Return a configuration in which a deletion waits for a DBA."""
    held = [word_rule("writes-need-a-dba", "hold", r"\bdelete\b", approval=one_dba())]
    return people.config_yaml(issuer.url, "", **spelled_out(connections={CONNECTION: connection(url)}, rules=held))


@pytest.fixture
def lone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """An installation on SQLite, nothing of it running."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with installation(tmp_path) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def several(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory, postgresql_url: str) -> Iterator[World]:
    """A migrated installation on PostgreSQL, nothing of it running."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(running())
        text = rules(issuer, upstream.url)
        folder = tmp_path_factory.mktemp("soundness")
        made = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, postgresql_url))
        made.gateway.form = "web"
        made.gateway.prepare()
        yield made


def test_all_in_one_takes_no_broker(lone: Gateway) -> None:
    assert "--web" in refusal(lone, *ALONE, REDIS_URL="redis://127.0.0.1:1/0")


@pytest.mark.parametrize("command", [UVICORN, (*ALONE, "--web")], ids=["uvicorn", "web"])
def test_one_of_several_processes_does_not_serve_on_sqlite(lone: Gateway, command: tuple[str, ...]) -> None:
    lone.manage("migrate", "--verbosity", "0")

    assert "need PostgreSQL" in refusal(lone, *command)


@pytest.mark.parametrize("part", ["worker", "beat"])
def test_worker_and_beat_need_a_broker_and_postgresql(lone: Gateway, part: str, tmp_path: Path) -> None:
    options = ["--schedule", str(tmp_path / "schedule")] if part == "beat" else ["--concurrency", "1"]

    said = refusal(lone, *CELERY, part, *options)

    assert "need PostgreSQL" in said
    assert "set REDIS_URL or BROKER_URL" in said


def test_the_two_modes_never_meet_on_one_database(several: World, tmp_path: Path) -> None:
    other_folder = {"HOLDGATE_STATE_DIR": str(tmp_path)}
    several.start()
    try:
        said = refusal(several.gateway, *ALONE, **other_folder)
        assert "another gateway works on this database" in said
    finally:
        several.gateway.stop()

    with several.beside("alone"):
        assert "an all-in-one `rungateway` works" in refusal(several.gateway, *UVICORN, **other_folder)
        assert "another gateway works" in refusal(several.gateway, *ALONE, **other_folder)


@pytest.mark.promise("fail-closed")
def test_commits_that_are_answered_too_early_are_refused(several: World) -> None:
    lax = f"{several.gateway.database_url}?options=-csynchronous_commit%3Doff"

    for command in (UVICORN, ALONE):
        assert "synchronous_commit=off" in refusal(several.gateway, *command, DATABASE_URL=lax)
    told = refusal(several.gateway, "manage.py", "check", "--database", "default", DATABASE_URL=lax)
    assert "holdgate.E001" in told


@pytest.mark.promise("fail-closed")
def test_a_server_that_forgets_when_its_machine_fails_is_refused(tmp_path: Path) -> None:
    with postgresql() as server:
        server.settings["fsync"] = "off"
        server.restart()
        gateway = Gateway(tmp_path, server.url())

        assert "fsync=off" in refusal(gateway, *ALONE)
        assert "holdgate.E001" in refusal(gateway, "manage.py", "check", "--database", "default")


def test_too_few_descriptors_for_the_held_calls_are_refused(several: World) -> None:
    said = refusal(several.gateway, *ALONE, "--web", limit="ulimit -n 1000", HOLDGATE_MAX_HELD="600")

    assert "600 held calls need 1112" in said
    assert "ulimit" in said
    assert "LimitNOFILE" in said


def test_the_soft_limit_is_raised(several: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        several.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    process = several.gateway.process
    assert process is not None
    allowed, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    several.gateway.stop()

    assert allowed > 256


@pytest.mark.promise("fail-closed")
def test_who_is_one_too_many_is_refused_and_may_come_again(several: World) -> None:
    with several.beside(HOLDGATE_MAX_HELD="1") as here:
        first = here.caller(DAVE).begin("query", {"sql": "delete from x", "marker": marker()})
        approval = first.approval_id
        arguments = {"sql": "delete from x", "marker": marker()}

        second = here.caller(DAVE).call("query", arguments)

        assert second.outcome == ("rate_limited", "false")
        assert second.decision["verdict"] == "hold"
        assert int(second.headers["retry-after"]) > 0
        assert here.asked(arguments["marker"]) == [], "nobody was asked"
        assert not here.caller(DAVE).call("query", {"sql": "select 1"}).is_error, "what need not wait is not refused"
        here.approve(approval)
        assert not first.answer().is_error
        assert here.caller(DAVE).call("query", arguments, prefer="wait=0").outcome == ("pending", "false")


def test_who_was_denied_a_tool_again_and_again_is_refused_without_asking(several: World) -> None:
    with several.beside(HOLDGATE_MAX_DENIALS="2") as here:
        asked = [{"sql": "delete from y", "marker": marker()} for _ in range(3)]
        for arguments in asked[:2]:
            pending = here.caller(DAVE).call("query", arguments, prefer="wait=0")
            assert here.decide(pending.approval["id"], "deny", comment="no").status_code == 200

        refused = here.caller(DAVE).call("query", asked[2], prefer="wait=0")

        assert refused.outcome == ("denied", "false")
        assert "holdgate/approval" not in refused.result["_meta"]
        assert "denied you this tool 2 times within 10 minutes" in refused.said
        assert 0 < refused.decision["retry_after"] <= 600
        assert here.asked(asked[2]["marker"]) == [], "nobody was asked"
        assert here.upstream.markers[asked[2]["marker"]] == 0
        document = here.call_document(refused.decision["call_id"])
        assert (document["executed"], document["reason"]) == ("false", "denied")
        other = here.caller(AGENT).call("query", asked[2], prefer="wait=0")
        assert other.outcome[0] == "pending", "only of this caller"
        here.approve(other.approval["id"])


def test_one_caller_alone_cannot_flood_the_inbox(several: World) -> None:
    with several.beside(HOLDGATE_MAX_HELD_PER_CALLER="3") as here:
        asked = [{"sql": "delete from x", "marker": marker()} for _ in range(4)]
        answers = [here.caller(AGENT).call("query", arguments, prefer="wait=0") for arguments in asked]

        assert [answer.outcome[0] for answer in answers] == ["pending", "pending", "pending", "rate_limited"]
        again = here.caller(AGENT).call("query", asked[0], prefer="wait=0")
        assert again.approval["id"] == answers[0].approval["id"], "what is asked already may be joined"
        other = here.caller(DAVE).call("query", {"sql": "delete from x", "marker": marker()}, prefer="wait=0")
        assert other.outcome[0] == "pending"
        here.approve(answers[0].approval["id"])
        assert here.caller(AGENT).call("query", asked[3], prefer="wait=0").outcome[0] == "pending"
