"""A compose file without an engine: its commands, environments and secrets, run as processes of this machine.

What a container would see under a path of its own, a process sees in a folder: `/run/secrets` holds only what the
service names, `/var/lib/...` is the volume, and the names of other services are ports here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.gateway import ROOT

GUARD = 300.0  # migrating takes long where much else runs
DEPLOY = ROOT / "deploy"
_ASKED = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def document(name: str) -> dict[str, Any]:
    """Return a compose file with its anchors and merges resolved."""
    return dict(yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8")))


@dataclass
class Composition:
    """The services of a compose file on this machine. `swaps` are texts to replace, `words` whole words of commands."""

    folder: Path
    services: Mapping[str, Any]
    swaps: Mapping[str, str]
    words: Mapping[str, str]
    variables: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, name: str) -> int:
        """Run a service to its end and return its exit code."""
        return self.start(name).wait(GUARD)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service's command in its environment."""
        command = [self.local(name, str(word)) for word in self.services[name]["command"]]
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment(name), stdout=log, stderr=log)
        self.running[name] = process
        return process

    def until_healthy(self, name: str) -> None:
        """Wait until the service's health check succeeds."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        words = [self.local(name, str(word)) for word in words]
        command = words if kind == "CMD" else ["sh", "-c", *words]
        deadline = time.monotonic() + GUARD
        while subprocess.run(
            command, cwd=ROOT, env=self.environment(name), capture_output=True, check=False
        ).returncode:
            assert self.running[name].poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy:\n{self.log(name)}"
            time.sleep(0.2)

    def environment(self, name: str) -> dict[str, str]:
        """Return what a container of the service has in its environment, and nothing of ours."""
        asked = {key: self.local(name, str(value)) for key, value in self.services[name].get("environment", {}).items()}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {"PATH": path, "HOME": "/nonexistent", "HOSTNAME": os.uname().nodename, **asked}

    def secrets(self, name: str) -> Path:
        """Return the folder with the secrets of one service, and no others."""
        folder = self.folder / "of" / name
        folder.mkdir(parents=True, exist_ok=True)
        for secret in self.services[name].get("secrets", ()):
            text = self.local("", (self.folder / "secrets" / secret).read_text(encoding="utf-8"))
            here = folder / secret
            if not here.exists() or here.read_text(encoding="utf-8") != text:
                here.write_text(text, encoding="utf-8")  # never while a service that runs may read it
        return folder

    def local(self, name: str, text: str) -> str:
        """Return a text of the file as it stands on this machine."""
        text = self.words.get(text, text)
        text = _ASKED.sub(lambda found: self.variables.get(found[1], found[3] or ""), text).replace("$$", "$")
        places = {"/run/secrets": str(self.secrets(name))} if name else {}
        for written, here in {**places, **self.swaps}.items():
            text = text.replace(written, here)
        return text

    def log(self, name: str) -> str:
        """Return the end of what a service wrote."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def stop(self) -> None:
        """End every process that still runs, the last first."""
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def make_secrets(folder: Path) -> None:
    """Run the script that makes them."""
    shutil.rmtree(folder, ignore_errors=True)
    script, path = str(DEPLOY / "new-secrets.sh"), os.environ.get("PATH", "")
    subprocess.run([script, str(folder)], check=True, timeout=GUARD, env={"PATH": path})
