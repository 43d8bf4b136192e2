"""The disk is full under the database: calls are refused before they are forwarded, and all goes on once there is room.

On a file system of some megabytes in memory, which takes root to mount; without it these tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers, services
from tests.chaos.house import CUT, House, Waiting, pair, single
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.servers import PostgreSQL
from tests.world import World, marker, until

pytestmark = [pytest.mark.promise("fail-closed"), pytest.mark.promise("nothing-lost"), pytest.mark.chaos]

SMALL = {"min_wal_size": "32MB", "max_wal_size": "64MB"}


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Give a folder on a file system of this size; skip where this machine lets us mount none."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        services.missing("the right to mount a small file system", "HOLDGATE_REQUIRE_MOUNT")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    assert shutil.disk_usage(disk).free < 65536
    return ballast


def test_postgresql(issuer: FakeIssuer, tmp_path: Path) -> None:
    with (
        small_disk(Path("/tmp") / f"holdgate-small-{os.getpid()}", 400) as disk,  # noqa: S108 - PostgreSQL must get there
        servers.postgresql(disk, **SMALL) as server,
        pair(tmp_path, issuer, server) as house,
    ):
        _story(house, disk, server)


def test_sqlite(issuer: FakeIssuer, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 24) as disk, single(disk, issuer) as house:
        _story(house, disk, None)


def _story(house: House, disk: Path, server: PostgreSQL | None) -> None:
    here = house.here
    beside = house.beside or here
    waiting = [Waiting.begin(here), Waiting.begin(beside)]
    ballast = fill(disk)

    outcomes = [_outcome(here if turn % 2 else beside) for turn in range(120)]
    assert any(outcome != "done" for outcome in outcomes), "there was still room"

    ballast.unlink()
    if server is not None and server.process is not None and server.process.poll() is not None:
        server.start()  # it ends itself when it cannot write its own log
    until(lambda: _outcome(here) == "done" and _outcome(beside) == "done", "calls to pass again", 60)
    for one in waiting:
        one.assert_waits_and_runs_once(beside)
    house.assert_history()


def _outcome(at: World) -> str:
    """Call a tool with something long to write down, and say how that ended."""
    arguments = {"sql": "select " + "x" * 20_000, "marker": marker()}
    with contextlib.suppress(*CUT):
        answer = at.caller(DAVE).call("query", arguments)
        body = answer.body or {}
        ran = "result" in body and not body["result"].get("isError")
        return "done" if ran else str(answer.outcome[0])
    return "no answer"
