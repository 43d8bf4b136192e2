"""Stdio servers and the processes around them: killed, started again, and shared by several web processes."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import spelled_out
from tests.gateway import Gateway, launch
from tests.issuer import FakeIssuer
from tests.line import Line
from tests.people import DAVE
from tests.running_stdio import COMMANDS, connection, is_alive
from tests.world import World, until, world

pytestmark = pytest.mark.promise("nothing-lost")


def _text(issuer: FakeIssuer) -> str:
    access = [{"groups": ["corp/engineering"], "tools": ["*"]}]
    tools = connection("stubborn", access=access, pin_tools=False)
    return people.config_yaml(issuer.url, "", **spelled_out(connections={"tools": tools}, rules=[]))


def _pids(line: Line) -> list[int]:
    """Return the server's process, and two that it leaves behind."""
    return [json.loads(line.call("where", {}).said)["pid"], *json.loads(line.call("orphans", {}).said)]


def _gone(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


def test_nothing_is_left_of_the_servers_of_a_gateway_that_is_killed(issuer: FakeIssuer, tmp_path: Path) -> None:
    allowed = shlex.join(COMMANDS[0])
    with world(tmp_path, issuer, {}, _text(issuer), HOLDGATE_STDIO_COMMANDS=allowed) as here:
        here.start()
        pids = _pids(here.caller(DAVE, "tools").initialize())
        assert all(map(is_alive, pids))
        here.gateway.kill()
        until(lambda: _gone(pids), "the end of the servers")
        here.start()
        again = _pids(here.caller(DAVE, "tools").initialize())
        assert here.gateway.stop() == 0
        assert _gone(again)


def _serves(path: str) -> bool:
    """Say whether somebody takes connections there: who was killed leaves the file behind."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(path) == 0


@contextlib.contextmanager
def _runner(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    """Start `manage.py run_stdio` of this installation; it serves when its socket can be reached."""
    process = launch(["manage.py", "run_stdio"], gateway.env)
    assert process.stderr is not None
    reading = threading.Thread(target=process.stderr.read, daemon=True)
    reading.start()
    try:
        until(lambda: _serves(gateway.env["HOLDGATE_STDIO_SOCKET"]), "the runner's socket", 30)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        reading.join(5)
        process.stderr.close()


def test_web_processes_share_a_runner_which_may_be_killed_and_started_again(
    issuer: FakeIssuer, tmp_path: Path, postgresql_url: str
) -> None:
    path = tmp_path / "s"
    settings = {"HOLDGATE_STDIO_COMMANDS": shlex.join(COMMANDS[0]), "HOLDGATE_STDIO_SOCKET": str(path)}
    with world(tmp_path, issuer, {}, _text(issuer), postgresql_url, **settings) as first:
        first.gateway.form = "web"
        first.gateway.prepare()
        first.start()
        with first.beside() as second:
            with _runner(first.gateway) as process:
                line = first.caller(DAVE, "tools").initialize()
                assert line.call("count", {}).said == "1"
                elsewhere = _elsewhere(second, line)
                assert elsewhere.call("count", {}).said == "2"
                rival = first.gateway.manage("run_stdio", check=False)
                assert rival.returncode == 1
                assert "another runner serves it" in rival.stderr
                pids = _pids(elsewhere)
                process.kill()
                until(lambda: _gone(pids), "the end of the servers")
                assert line.call("count", {}).outcome == ("upstream_unavailable", "false")
            with _runner(first.gateway) as process:
                assert line.ask("tools/list").status == 404
                again = first.caller(DAVE, "tools").initialize()
                assert again.call("count", {}).said == "1"
                pids = _pids(again)
            assert process.returncode == 0
            assert _gone(pids)
            assert not path.exists()


def _elsewhere(other: World, line: Line) -> Line:
    """Return the same session at another process."""
    return Line(other.gateway.url, line.connection, line.token, line.era, line.session)
