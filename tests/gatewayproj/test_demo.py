"""`manage.py demo` as a newcomer meets it: one command, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gatewayproj.demo import world
from tests.house import sources

# The target is 30 s; a machine that is busy with the rest of the suite gets more.
LONGEST = 120


def demo(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in an empty folder, with a temporary folder of its own to leave things in."""
    (folder / "tmp").mkdir()
    (folder / "here").mkdir()
    base = {name: value for name, value in os.environ.items() if not name.startswith("HOLDGATE_")}
    return subprocess.run(
        [sys.executable, sources.ROOT / "manage.py", "demo", *arguments],
        cwd=folder / "here",
        env={**base, "TMPDIR": str(folder / "tmp"), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


@pytest.mark.promise("intent-first")
@pytest.mark.promise("bound-decision")
@pytest.mark.promise("masked-everywhere")
@pytest.mark.promise("fail-closed")
@pytest.mark.promise("no-self-approval")
@pytest.mark.promise("secrets-stay")
@pytest.mark.promise("rule-at-once")
@pytest.mark.promise("provable")
@pytest.mark.promise("unchanged-clients")
def test_the_demo_decides_by_itself_sees_the_promises_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(tmp_path, "--auto")

    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("held", "approved", "masked", "blocked", "verified"):
        assert word in done.stdout
    assert "BROKEN" not in done.stdout
    assert done.stderr == ""
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == []
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    "setting",
    [
        {"HOLDGATE_PUBLIC_URL": "https://holdgate.example.com"},
        {"HOLDGATE_SECRET_KEY": "of-production"},
        {"HOLDGATE_SECRET_KEY_FILE": "/run/secrets/key"},
    ],
)
def test_the_demo_refuses_the_environment_of_a_real_gateway(setting: dict[str, str]) -> None:
    with pytest.raises(world.Refused, match=next(iter(setting)).removesuffix("_FILE")):
        world.prepare(dict(setting))


def test_the_demo_takes_no_setting_of_the_shell_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environ = {
        "HOLDGATE_EXTRA_HOSTS": "evil.example",
        "HOLDGATE_PUBLIC_URL": "http://localhost:8080",
        "DATABASE_URL": "sqlite:////srv/production.sqlite3",
        "REDIS_URL": "redis://production",
        "PATH": "/bin",
    }

    made = world.prepare(environ)

    assert environ == {
        "PATH": "/bin",
        "HOLDGATE_DEMO": "1",
        "HOLDGATE_STATE_DIR": str(made.folder),
        "ORDERS_MCP_TOKEN": made.orders_token,
    }


def test_on_postgresql_the_demo_has_a_database_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environ = {"DATABASE_URL": "postgresql://u:p@db.example:5433/production?sslmode=require"}

    made = world.prepare(environ)

    assert made.database == f"holdgate_demo_{os.getpid()}"
    assert environ["DATABASE_URL"] == f"postgresql://u:p@db.example:5433/{made.database}?sslmode=require"
