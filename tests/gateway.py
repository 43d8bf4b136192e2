"""The real gateway as a process of its own: started, killed, restarted, on the database that the run was given."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

ROOT = Path(__file__).resolve().parent.parent
GUARD = 30.0


@dataclass
class Gateway:
    """One installation: its state folder, database and configuration file, and the process while it runs."""

    folder: Path
    database_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)
    _reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which every command of this installation runs."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"HOLDGATE_STATE_DIR": str(self.folder / "state"), "HOLDGATE_LOG_LEVEL": "INFO"}
        if self.database_url:
            own["DATABASE_URL"] = self.database_url
        return {**kept, **own, **self.environment}

    def configure(self, text: str) -> None:
        """Write holdgate.yaml; it is applied at the next start, or by `manage("policy", "apply", ...)`."""
        (self.folder / "holdgate.yaml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start `manage.py rungateway` and wait until it is ready."""
        self.port = self.port or _free_port()
        command = [sys.executable, "manage.py", "rungateway", "--port", str(self.port)]
        command += ["--config", str(self.folder / "holdgate.yaml")]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
        self._reader.start()
        deadline = time.monotonic() + GUARD
        while True:
            assert self.process.poll() is None, "the gateway ended:\n" + "".join(self.log[-40:])
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

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(number)
        code = process.wait(GUARD + 15)
        if self._reader is not None:
            self._reader.join(GUARD)
        return code

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command of this installation."""
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=GUARD * 2, check=check
        )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def installation(folder: Path, **environment: str) -> Iterator[Gateway]:
    """Give a fresh installation on the database of this test run, and leave nothing of it behind."""
    base = os.environ.get("DATABASE_URL", "")
    with _database(base) as url:
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
    with psycopg.connect(base, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield re.sub(r"/[^/?]*(\?|$)", rf"/{name}\1", base, count=1)
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
