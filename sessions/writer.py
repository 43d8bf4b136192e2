"""The transactions of the record's writer thread: one per batch, each job alone when a batch fails."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from sessions import store
from sessions.events import INTENT, TERMINAL_KINDS, Event, with_late_ends
from sessions.sealing import Sealed, Sealer

logger = logging.getLogger(__name__)

_ENDS_KEPT = 20_000
HEARTBEAT_SECONDS = 2.5
"""A process beats this often while it lives, idle or not; open_calls() takes 15 s of silence for death."""

Work = Callable[[], tuple[Any, Sequence[Event]]]


class RecordUnavailable(Exception):
    """The record did not take the entry in time, or at all. Nothing may be done that relies on it."""


class RecordUncertain(RecordUnavailable):
    """It is not known whether the entry will be in the record: it was being written when the time was up."""


class RevisionMoved(Exception):
    """The policy moved since the verdict: `current` is its revision now. Nothing was written."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the policy is at revision {current} now")
        self.current = current


class Unreachable(Exception):
    """The transaction could not even begin."""


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """Events, or work that yields them, to be committed whole or not at all.

    `given_up` is set by the journal when the caller has been told no: the job must not be written any more. `begun` is
    set here before `given_up` is looked at: who gives up a job that was begun cannot know what will come of it.
    The writer leaves `value` or `error`, and in `written` the events that are committed.
    """

    events: tuple[Event, ...] = ()
    work: Work | None = None
    revision: int | None = None
    exclusive: bool = False
    given_up: bool = False
    queued: float = 0.0  # monotonic seconds
    begun: bool = False
    value: Any = None
    error: Exception | None = None
    written: tuple[Event, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of payload, for the cap of a batch."""
        return sum(len(body) for event in self.events for body in event.payloads.values())

    def open_intents(self) -> list[Event]:
        """Return the intents that this job wrote and did not also end."""
        ended = {event.call_id for event in self.written if event.ends_call}
        return [event for event in self.written if event.kind == INTENT and event.call_id not in ended]


@dataclass(slots=True)
class _Doubt:
    """A commit of which we do not know whether it happened."""

    leaf_hash: bytes | None
    first: int
    jobs: list[Job]


@dataclass(slots=True)
class Writer:
    """Commits jobs on this thread's own connection. To be used by one thread; survives database errors.

    `late` collects intents that turned out to be committed after their callers were told no.
    """

    sealer: Sealer
    process_id: str
    revision: str = ""
    late: list[Event] = field(default_factory=list)
    ends: dict[str, tuple[str, int]] = field(default_factory=dict)  # call -> leaf hash and number of its last entry
    last_commit: float = float("-inf")
    _last_beat: float = float("-inf")
    _doubt: _Doubt | None = None

    def commit(self, jobs: list[Job]) -> None:
        """Commit the jobs as one transaction and leave each one's outcome on it. Raises nothing.

        A failed batch is retried job by job, so that a bad one fails alone; a database that cannot be reached
        is tried once more with a new connection and then fails them all.
        """
        error = self._try(jobs)
        if isinstance(error, Unreachable) and not self._doubts(jobs):
            error = self._try(jobs)
        if error is None:
            return
        if len(jobs) < 2 or isinstance(error, Unreachable):
            _fail(jobs, error, uncertain=self._doubts(jobs))
            return
        for at, job in enumerate(jobs):
            alone = [job]
            error = self._try(alone)
            if error is not None:
                _fail(alone, error, uncertain=self._doubts(alone))
            if isinstance(error, Unreachable):
                _fail(jobs[at + 1 :], error)
                return

    def close(self) -> None:
        """Close the thread's connection; the next commit opens a new one."""
        # A connection that is broken may fail to close; it is dropped either way.
        with contextlib.suppress(Exception):
            store.current().close()

    def _try(self, jobs: list[Job]) -> Exception | None:
        try:
            self._resolve_doubt()
            self._transaction(jobs)
        except Exception as error:  # noqa: BLE001 - whatever it was, the callers hear of it
            logger.warning("the record refused a batch of %d: %s", len(jobs), error)
            self._drop_broken_connection()
            return self._after(jobs, error)
        self.last_commit = time.monotonic()
        return None

    def _after(self, jobs: list[Job], error: Exception) -> Exception | None:
        if not self._doubts(jobs):
            return error
        try:
            committed = self._settle()
        except Exception as unsettled:  # noqa: BLE001 - the next transaction asks again before all else
            logger.warning("it is not known whether a batch was committed: %s", unsettled)
            self._drop_broken_connection()
            return Unreachable(str(error))
        return None if committed else error

    def _doubts(self, jobs: list[Job]) -> bool:
        return self._doubt is not None and self._doubt.jobs is jobs

    def _resolve_doubt(self) -> None:
        try:
            self._settle()
        except Exception as error:
            msg = f"it is still not known whether an earlier batch was committed: {error}"
            raise Unreachable(msg) from error

    def _drop_broken_connection(self) -> None:
        # What cannot be closed properly is dropped by the failure itself.
        with contextlib.suppress(Exception):
            store.current().close_if_unusable_or_obsolete()

    def _settle(self) -> bool:
        """Return whether a doubtful commit happened, and forget the doubt. Raises when that stays unknown."""
        doubt = self._doubt
        if doubt is None:
            return True
        connection = store.current()
        with transaction.atomic(durable=True):
            # Exclusive: the lost backend held it shared, so that once we have it, its transaction has ended.
            store.lock(connection, exclusive=True)
            committed = doubt.leaf_hash is not None and store.has_entry(connection, doubt.leaf_hash)
        self._doubt = None
        if not committed:
            self.sealer.n = doubt.first
            return False
        self.late.extend(intent for job in doubt.jobs if job.error for intent in job.open_intents())
        return True

    def _transaction(self, jobs: list[Job]) -> None:
        connection, rows, first = store.current(), store.Rows(), self.sealer.n
        beat = time.monotonic()
        is_due = beat - self._last_beat >= HEARTBEAT_SECONDS
        work = store.Transaction(connection, orm=is_due or any(job.work is not None for job in jobs))
        try:
            with contextlib.ExitStack() as stack:
                begun = self._begin(stack, work, jobs)
                for job in jobs:
                    self._prepare(job, rows, begun)
                # In one order everywhere, against deadlocks; of one session the row that names the run first.
                rows.sessions.sort(key=lambda row: (row[0], not row[3]))
                rows.closed.sort()
                work.write(rows)
                if is_due:
                    store.beat(connection, self.process_id, begun.now)
                # From here on only the database knows, until it has answered the COMMIT.
                self._doubt = _Doubt(rows.entries[-1][1] if rows.entries else None, first, jobs)
                work.commit()
            self._doubt = None
        except BaseException:
            if self._doubt is None:
                self.sealer.n = first
            raise
        if is_due:
            self._last_beat = beat
        self.sealer.remember(rows)

    def _begin(self, stack: contextlib.ExitStack[bool | None], work: store.Transaction, jobs: list[Job]) -> store.Begun:
        try:
            stack.enter_context(work)
            return work.begin(
                exclusive=any(job.exclusive for job in jobs),
                revision=self.revision if any(job.revision is not None for job in jobs) else "",
                calls=_ended_by(event for job in jobs for event in job.events),
            )
        except Exception as error:
            msg = f"no transaction could begin: {error}"
            raise Unreachable(msg) from error

    def _prepare(self, job: Job, rows: store.Rows, begun: store.Begun) -> None:
        job.value, job.error, job.written, job.begun = None, None, (), True
        if job.given_up:
            job.error = RecordUnavailable("given up before it was begun")
            return
        if job.revision is not None and begun.revision is not None and job.revision != begun.revision:
            job.error = RevisionMoved(begun.revision)
            return
        open_calls = begun.open_calls
        try:
            if job.work is None:
                events = with_late_ends(job.events, open_calls)
                sealed = self.sealer.seal(events)
            else:
                with transaction.atomic():
                    job.value, events = job.work()
                    open_calls |= store.open_among(store.current(), _ended_by(events)).difference(rows.closed)
                    events = with_late_ends(events, open_calls)
                    sealed = self.sealer.seal(events)
        except (OperationalError, InterfaceError):
            # The database, not the work: the whole transaction is lost, and each job gets another try.
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller, who gets it
            job.value, job.error = None, error
            return
        job.written = tuple(events)
        self._note_ends(sealed)
        self.sealer.add(sealed, rows, begun.now)
        for event in events:
            if event.kind == INTENT:
                open_calls.add(event.call_id)
            elif event.ends_call:
                open_calls.discard(event.call_id)

    def _note_ends(self, sealed: Sequence[Sealed]) -> None:
        """Keep of each answered call which entry says so, for its receipt; a batch tried again writes it anew."""
        first = self.sealer.n - len(sealed)
        for number, one in enumerate(sealed):
            if one.event.call_id and one.event.kind in TERMINAL_KINDS:
                self.ends[one.event.call_id] = (one.entry[1].hex(), first + number)
        while len(self.ends) > _ENDS_KEPT:
            del self.ends[next(iter(self.ends))]


def _ended_by(events: Iterable[Event]) -> list[str]:
    return [event.call_id for event in events if event.ends_call]


def _fail(jobs: list[Job], error: Exception, *, uncertain: bool = False) -> None:
    for job in jobs:
        failure = RecordUnavailable("the record could not be written")
        if uncertain:
            failure = RecordUncertain("the database was lost while it committed")
        failure.__cause__ = error
        job.value, job.error = None, failure
