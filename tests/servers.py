"""PostgreSQL and Redis of a test's own, which may be stopped, killed, filled up and cut: never those of the machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests import services

GUARD = 30.0
# As in production, where a commit is one: nothing here is faster than it may be. Few connections can be used up.
_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "127.0.0.1", "max_connections": "40"}


@dataclass
class PostgreSQL:
    """One server in a folder of its own. Its superuser is `postgres`; nobody is asked for a password."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=lambda: dict(_SETTINGS))

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        program = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*program, *options], stdout=log, stderr=log, **_as_postgres())
        deadline = time.monotonic() + GUARD
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is `fast`, SIGQUIT `immediate`, after which it recovers as after a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(GUARD)
            self.process = None

    def restart(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop and start it."""
        self.stop(number)
        self.start()

    def run(self, sql: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(sql, values or None)
            return list(cursor.fetchall()) if cursor.description else []


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        services.missing(f"PostgreSQL's program {name}", "HOLDGATE_REQUIRE_SERVICES")
    return found


def _as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; there it runs as the user that its package has made."""
    if os.getuid() != 0:
        return {}
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        services.missing("the user postgres, for a run as root,", "HOLDGATE_REQUIRE_SERVICES")
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


@contextlib.contextmanager
def postgresql(folder: Path | None = None, **settings: str) -> Iterator[PostgreSQL]:
    """Give a running server in this folder, or in one of its own; skip where PostgreSQL is not installed."""
    made = folder or Path(tempfile.mkdtemp(prefix="holdgate-pg-"))
    if os.getuid() == 0:
        shutil.chown(made, **{key: value for key, value in _as_postgres().items() if key in {"user", "group"}})
    server = PostgreSQL(made, free_port(), settings={**_SETTINGS, **settings})
    try:
        # Nothing that a crash could take with it is in the new folder: only the server's own work is synced.
        initdb = [_program("initdb"), "-D", str(made / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=made, timeout=GUARD, **_as_postgres())
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(made / "data", ignore_errors=True)
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


@dataclass
class Redis:
    """One server that keeps nothing on the disk."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + GUARD
        while not services.answers(("127.0.0.1", self.port)):
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """kill -9: what was queued there is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(GUARD)
            self.process = None

    def flush(self) -> None:
        """Forget everything, as FLUSHALL does."""
        with contextlib.closing(redis.Redis(port=self.port)) as client:
            client.flushall()


@contextlib.contextmanager
def redis_server() -> Iterator[Redis]:
    """Give a running server; skip where Redis is not installed."""
    if shutil.which("redis-server") is None:
        services.missing("the program redis-server", "HOLDGATE_REQUIRE_SERVICES")
    server = Redis(free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
