"""Who runs beside whom. All in one: one process on its state folder and on its database. Several: no such one there."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Any, Final

import psycopg

from sessions import direct

log = logging.getLogger("holdgate.process")

_PRESENCE_LOCK: Final = 0x484F4C44_00000003
_CONNECT_SECONDS: Final = 10
# A server notices a little later than the system that a process is gone: who starts again at once waits for it.
_PATIENCE_SECONDS: Final = 2


class AnotherGateway(Exception):
    """Another gateway runs here, and one of the two takes itself for the only one: it would end the other's calls."""


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


class Presence:
    """A session of PostgreSQL that says for as long as it lives that this process works on the database.

    Whoever is the only one (`alone`) holds the lock for itself, web processes of several share it, so that the two
    modes never meet. Used from one thread at a time.
    """

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._session: psycopg.Connection[Any] | None = None

    def take(self) -> None:
        """Take the lock. Raises AnotherGateway when it is not to be had, psycopg.Error without a database."""
        parameters = {**direct.parameters(), "application_name": "holdgate presence", "autocommit": True}
        session = psycopg.connect(**{"connect_timeout": _CONNECT_SECONDS, **parameters})
        session.execute(direct.KEEPALIVES)
        try:
            session.execute(f"SET lock_timeout = '{_PATIENCE_SECONDS}s'")
            lock = "pg_advisory_lock" if self._alone else "pg_advisory_lock_shared"
            session.execute(f"SELECT {lock}(%s)", [_PRESENCE_LOCK])
        except psycopg.errors.LockNotAvailable as error:
            session.close()
            others = "another gateway works" if self._alone else "an all-in-one `rungateway` works"
            msg = f"{others} on this database; stop it, or start every gateway with --web"
            raise AnotherGateway(msg) from error
        self._session = session

    def renew(self) -> None:
        """Take the lock again if its session is gone, as after a restart of the database; a rival is reported."""
        try:
            if self._session is not None:
                self._session.execute("SELECT 1")
                return
        except psycopg.Error:
            self.release()
        try:
            self.take()
        except AnotherGateway as error:
            log.error("%s", error)

    def release(self) -> None:
        """End the session, and the lock with it."""
        if self._session is not None:
            self._session.close()
            self._session = None
