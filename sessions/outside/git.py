"""Checkpoints as commits of a Git repository, by the program git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from sessions.anchors import EACH_MINUTE, AnchorBroken, FileAnchor

FILE: Final = "checkpoints.txt"
_SECONDS: Final = 60
_WHO: Final = ("-c", "user.name=Holdgate", "-c", "user.email=holdgate@localhost", "-c", "commit.gpgsign=false")


class Repository:
    """A working copy at a path; with `push` each commit goes on to that remote as well."""

    every = EACH_MINUTE

    def __init__(self, path: str, push: str = "") -> None:
        if push.startswith("-"):
            raise ValueError("a remote has no such name")
        self.name = f"git://{path}"
        self._path, self._push = Path(path), push

    def put(self, note: str, size: int) -> None:
        """Append the checkpoint to checkpoints.txt, commit and push. Raises AnchorBroken."""
        # The file may hold it already, when only the commit or the push failed the last time.
        FileAnchor(self._path / FILE).publish(note)
        self._git("add", "--", FILE)
        if self._git("status", "--porcelain", "--", FILE):
            self._git(*_WHO, "commit", "--quiet", "--no-verify", "-m", f"checkpoint of {size} entries", "--", FILE)
        if self._push:
            self._git("push", "--quiet", self._push, "HEAD")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._path), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - words of ours
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AnchorBroken(f"{self.name}: git did not run: {type(error).__name__}") from error
        if done.returncode:
            told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise AnchorBroken(f"{self.name}: git {arguments[0]}: {told[:200]}")
        return done.stdout
