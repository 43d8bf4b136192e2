"""Who may write the log: one holder of the office, found out by the database, fenced by an epoch.

PostgreSQL: an advisory lock of the holder's session ends with it, so that a successor is at once possible; of a holder
that stands still the session is ended by whoever waits for the office. SQLite: a lease. On both, every write of the log
also checks the epoch in its own transaction, which is what makes two holders harmless; lock and lease only make them
rare.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from sessions import direct
from sessions.models import SequencerState

logger = logging.getLogger(__name__)

_OFFICE_LOCK: Final = 0x484F4C44_00000002
_LEASE: Final = timedelta(seconds=10)
# A holder asks its database several times a second. Whose session is silent for so long is stopped, or its machine is.
_SILENCE_SECONDS: Final = 15
_LOOK_SECONDS: Final = 5.0
# A session that works for long, as on a first checkpoint of many entries, is active all the while.
_END_SILENT_HOLDER: Final = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.objsubid = 1
   AND a.datname = current_database() AND l.database = a.datid AND a.usename = current_user
   AND a.state <> 'active' AND a.state_change < clock_timestamp() - make_interval(secs => %s)
"""


class Leadership:
    """One candidate. Use from one thread; `holder` is a text that names it."""

    def __init__(self, holder: str) -> None:
        self._holder = holder
        self._epoch: int | None = None
        self._session: Any = None
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._look_at = float("-inf")

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
                self._end_silent_holder(cursor)
                return None
            cursor.execute(direct.KEEPALIVES)
        self._session = connection.connection
        with transaction.atomic(durable=True):
            self._epoch = self._enter(_row(), None)
        return self._epoch

    def _end_silent_holder(self, cursor: CursorWrapper) -> None:
        """End the session of a holder that stands still: nothing would be signed until its connection breaks."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_SECONDS
        cursor.execute(_END_SILENT_HOLDER, [_OFFICE_LOCK >> 32, _OFFICE_LOCK & 0xFFFFFFFF, _SILENCE_SECONDS])
        if cursor.fetchone() is not None:
            logger.warning("the sequencer in office has been silent for %d s; another takes over", _SILENCE_SECONDS)

    def _hold_lease(self) -> int | None:
        now = datetime.now(UTC)
        if self._epoch is not None and now < self._renew_at:
            return self._epoch
        with transaction.atomic(durable=True):
            row = _row()
            if row.epoch != self._epoch and _is_held(row.lease_until, now):
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


def _is_held(lease_until: datetime | None, now: datetime) -> bool:
    # Nobody takes a lease for longer: one that ends later was taken before the clock was put back.
    return lease_until is not None and now < lease_until <= now + _LEASE


def _row() -> SequencerState:
    SequencerState.objects.bulk_create([SequencerState(id=1)], ignore_conflicts=True)
    return SequencerState.objects.get(id=1)
