"""A real agent as a process of its own: started with a file, stopped, killed; and its token from the gateway."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.gateway import GUARD, ROOT, Gateway
from tests.world import until

NAME = "far-away"
# Its own imports must not need what a gateway needs: these cannot be imported in its process.
WITHOUT = ("django", "rest_framework", "channels", "celery", "asgiref", "uvicorn", "psycopg", "cryptography", "sqlglot")
BARE = f"""
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {WITHOUT!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
sys.argv[0] = "proxy.agent"
runpy.run_module("proxy.agent", run_name="__main__")
"""


def made(gateway: Gateway, *connections: str, name: str = NAME) -> str:
    """Make an agent at a gateway and return its token."""
    return gateway.manage("agents", "make", name, "--connections", ",".join(connections)).stdout.strip()


@dataclass
class Agent:
    """One agent and its file, of which `more` are further keys; it may use no package of `WITHOUT`."""

    folder: Path
    token: str
    gateway_url: str
    connections: dict[str, dict[str, Any]]
    environment: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)
    _reader: threading.Thread | None = None

    @property
    def ready(self) -> Path:
        """The file that is there while it is connected."""
        return self.folder / "ready"

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is connected."""
        self.folder.mkdir(exist_ok=True)
        file = self.folder / "agent.yaml"
        shown = {"version": "1", "gateway": self.gateway_url, "token": "env:AGENT_TOKEN", **self.more}
        file.write_text(json.dumps({**shown, "connections": self.connections}), encoding="utf-8")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-c", BARE, "--config", str(file), "--ready-file", str(self.ready)],
            cwd=ROOT,
            env={**kept, "AGENT_TOKEN": self.token, "HOLDGATE_BUILD": "9.9", **self.environment},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.connected()

    def connected(self) -> None:
        """Wait until it is connected."""
        assert self.process is not None
        try:
            until(lambda: self.ready.exists() or self.process is None or self.process.poll(), "the agent", 60)
        finally:
            assert self.ready.exists(), "the agent is not connected:\n" + "".join(self.log[-20:])

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            self.log.extend(lines)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        code = process.wait(GUARD + 15)
        if self._reader is not None:
            self._reader.join(GUARD)
        self.ready.unlink(missing_ok=True)  # a killed one leaves it behind
        return code

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)


@contextlib.contextmanager
def running(agent: Agent) -> Iterator[Agent]:
    """Run an agent for the length of a `with` block."""
    try:
        agent.start()
        yield agent
    finally:
        agent.kill()
