"""Who may write the log: one holder of the office, found out by the database, fenced by an epoch.

PostgreSQL: an advisory lock of the holder's session ends with it, so that a successor is at once possible.
SQLite: a lease. On both, every write of the log also checks the epoch in its own transaction, which is what
makes two holders harmless; lock and lease only make them rare.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions.models import SequencerState

_OFFICE_LOCK: Final = 0x484F4C44_00000002
_LEASE: Final = timedelta(seconds=10)


class Leadership:
    """One candidate. Use from one thread; `holder` is a text that names it."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._epoch: int | None = None
        self._session: Any = None
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    def hold(self, connection: BaseDatabaseWrapper) -> int | None:
        """Return our epoch while the office is ours, taking it when free; None while another holds it."""
        if connection.vendor == "postgresql":
            return self._hold_lock(connection)
        return self._hold_lease()

    def lose(self) -> None:
        """Note that the fence turned us away."""
        self._epoch = None
        self._session = None

    def resign(self, connection: BaseDatabaseWrapper) -> None:
        """Give the office up, so that a successor need not wait."""
        if self._epoch is None:
            return
        if connection.vendor != "postgresql":
            SequencerState.objects.filter(id=1, epoch=self._epoch).update(lease_until=None)
        elif connection.connection is self._session:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_OFFICE_LOCK])
        self.lose()

    def _hold_lock(self, connection: BaseDatabaseWrapper) -> int | None:
        connection.ensure_connection()
        if self._epoch is not None and connection.connection is self._session:
            return self._epoch
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_OFFICE_LOCK])
            if not cursor.fetchone()[0]:
                return None
        self._session = connection.connection
        with transaction.atomic(durable=True):
            self._epoch = self._enter(_row(), None)
        return self._epoch

    def _hold_lease(self) -> int | None:
        now = datetime.now(UTC)
        if self._epoch is not None and now < self._renew_at:
            return self._epoch
        with transaction.atomic(durable=True):
            row = _row()
            if row.epoch != self._epoch and row.lease_until is not None and row.lease_until > now:
                self._epoch = None
                return None
            if row.epoch == self._epoch:
                row.lease_until = now + _LEASE
                row.save(update_fields=["lease_until"])
            else:
                self._epoch = self._enter(row, now + _LEASE)
        self._renew_at = now + _LEASE / 2
        return self._epoch

    def _enter(self, row: SequencerState, lease_until: datetime | None) -> int:
        row.epoch += 1
        row.holder = self._holder
        row.lease_until = lease_until
        row.save(update_fields=["epoch", "holder", "lease_until"])
        return row.epoch


def _row() -> SequencerState:
    SequencerState.objects.bulk_create([SequencerState(id=1)], ignore_conflicts=True)
    return SequencerState.objects.get(id=1)
