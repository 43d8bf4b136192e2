"""The real gateway as a process of its own: started, killed, restarted, on the database that the run was given."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import httpx
import psycopg

from tests import environment
from tests.servers import free_port

ROOT = Path(__file__).resolve().parent.parent
GUARD = 30.0
READY = 90.0  # to start, where much else runs
_FILE = "holdgate.sqlite3"
# The all-in-one server; one web process of our own launcher; plain uvicorn, as one process or as two workers; Celery;
# who signs the log.
Form = Literal["alone", "web", "uvicorn", "workers", "worker", "beat", "sequencer"]

_CELERY = {
    "worker": ["worker", "--pool", "threads", "--concurrency", "2", "--without-mingle", "--without-gossip"],
    "beat": ["beat", "--max-interval", "1", "--scheduler", "celery.beat:Scheduler"],
}


class NotReady(AssertionError):
    """The process ended while it was started."""


@dataclass
class Gateway:
    """One installation: its state folder, database and configuration file, and the process while it runs.

    With a `failpoint` (see tests/failpoints.py) the next process strikes itself there. `root` holds the program, which
    may be of another release.
    """

    folder: Path
    database_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    form: Form = "alone"
    failpoint: str = ""
    root: Path = ROOT
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)
    _reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which every command of this installation runs."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"HOLDGATE_STATE_DIR": str(self.folder / "state"), "HOLDGATE_LOG_LEVEL": "INFO"}
        own["HOLDGATE_MAX_DENIALS"] = own["HOLDGATE_CATALOGUE_SECONDS"] = "0"  # see tests.environment
        if self.database_url:
            own["DATABASE_URL"] = self.database_url
        return {**kept, **own, **self.environment}

    def migrated(self) -> None:
        """Put a database in place that is migrated already: most tests are not about that, and it takes seconds."""
        state = self.folder / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(_migrated_file(), state / _FILE)

    def configure(self, text: str) -> None:
        """Write holdgate.yaml; it is applied at the next start, or by `manage("policy", "apply", ...)`."""
        (self.folder / "holdgate.yaml").write_text(text, encoding="utf-8")

    def prepare(self) -> None:
        """Migrate and apply the configuration, as an operator does before the first web process is started."""
        self.manage("migrate", "--verbosity", "0")
        self.manage("policy", "apply", str(self.folder / "holdgate.yaml"))

    def sibling(self, form: Form = "web", **environment: str) -> Gateway:
        """Return another process of the same installation, not started yet."""
        more = {**self.environment, **environment}
        return replace(self, environment=more, form=form, failpoint="", port=0, process=None, log=[], _reader=None)

    def _command(self) -> list[str]:
        if self.form in {"alone", "web"}:
            command = ["manage.py", "rungateway", "--host", self.host, "--port", str(self.port)]
            return [*command, *(["--web"] if self.form == "web" else ["--config", str(self.folder / "holdgate.yaml")])]
        if self.form == "sequencer":
            return ["manage.py", "run_sequencer"]
        if self.form in {"worker", "beat"}:
            return ["-m", "celery", "-A", "gatewayproj.celery", *_CELERY[self.form]]
        command = ["-m", "uvicorn", "gatewayproj.asgi:application", "--port", str(self.port)]
        return [*command, "--no-access-log", *(["--workers", "2"] if self.form == "workers" else [])]

    def start(self) -> None:
        """Start the process in its form and wait until it is ready; what serves no pages shows it by what it does."""
        self.port = self.port or free_port()
        self.process = launch(self._command(), self.env, self.failpoint, self.root)
        self._reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + READY
        while self.form not in {"worker", "beat", "sequencer"}:
            if self.process.poll() is not None:
                raise NotReady("the gateway ended:\n" + "".join(self.log[-40:]))
            assert time.monotonic() < deadline, "the gateway is not ready:\n" + "".join(self.log[-40:])
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            self.log.extend(lines)

    def stop(self) -> int:
        """Ask it to stop, wait until it did, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def died(self) -> int:
        """Wait until it ended by itself, and return its exit code: -9 when it was killed."""
        return self._end(None)

    def pause(self) -> None:
        """SIGSTOP: it stands still, its connections stay open."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def is_paused(self) -> bool:
        """Say whether it stands still, by whatever hand."""
        assert self.process is not None
        # The state comes after the name of the program, which stands in brackets and may hold anything.
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def resume(self) -> None:
        """SIGCONT."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals | None) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if number is not None and process.poll() is None:
            process.send_signal(number)
        code = process.wait(GUARD + 15)
        if self._reader is not None:
            self._reader.join(GUARD)
        return code

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command of this installation."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=READY * 2, check=check
        )


def launch(command: list[str], env: Mapping[str, str], failpoint: str = "", root: Path = ROOT) -> subprocess.Popen[str]:
    """Start a program of the gateway, by its script or by `-m` and its module; what it logs comes from `stderr`."""
    if failpoint:
        command, env = ["-m", "tests.failpoints", *command], {**env, "HOLDGATE_FAILPOINT": failpoint}
    return subprocess.Popen(
        [sys.executable, *command], cwd=root, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


@functools.cache
def _migrated_file() -> Path:
    made = Gateway(environment.STATE_DIR / "migrated")
    made.folder.mkdir()
    made.manage("migrate", "--verbosity", "0")
    return made.folder / "state" / _FILE


@contextlib.contextmanager
def installation(folder: Path, base: str = "", **environment: str) -> Iterator[Gateway]:
    """Give a fresh installation on the database server of this test run, and leave nothing of it behind.

    `base` names another server for those that need PostgreSQL whatever the run is on.
    """
    with _database(base or os.environ.get("DATABASE_URL", "")) as url:
        gateway = Gateway(folder, url, environment)
        try:
            yield gateway
        finally:
            gateway.kill()


@contextlib.contextmanager
def _database(base: str) -> Iterator[str]:
    """Give a database of its own: a file of the installation on SQLite, a new one on PostgreSQL."""
    if not re.match("postgres", base):
        yield ""
        return
    name = f"test_holdgate_{uuid.uuid4().hex[:12]}"
    _administer(base, f'CREATE DATABASE "{name}"')
    try:
        yield re.sub(r"/[^/?]*(\?|$)", rf"/{name}\1", base, count=1)
    finally:
        _administer(base, f'DROP DATABASE "{name}" WITH (FORCE)')


def _administer(base: str, statement: str) -> None:
    # A connection for each: the server may have been restarted in between.
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(statement)
