"""The lock of a process that takes itself for the only one: all-in-one mode, and whatever runs on SQLite."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class AnotherGateway(Exception):
    """Another gateway runs on the same state folder; each would take the other's running calls for interrupted."""


class Alone:
    """Held from start to end of the process; the system lets it go when the process dies, however it dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "gateway.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock. Raises AnotherGateway when somebody holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            where = self._path.parent
            msg = f"another gateway runs on {where}; stop it, or give this one a HOLDGATE_STATE_DIR of its own"
            raise AnotherGateway(msg) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
