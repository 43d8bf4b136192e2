"""The way into the record: one writer thread per process, natural group commit, result only after COMMIT.

Whatever queued while the last commit ran becomes one transaction; there is no timer. Callers wait in any
number of event loops and threads.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from sessions import store
from sessions.events import ABANDONED, PROCESS_STARTED, PROCESS_STOPPED, Event
from sessions.ids import uuid7
from sessions.receipt import Receipts
from sessions.sealing import Sealer
from sessions.writer import HEARTBEAT_SECONDS, Job, RecordUnavailable, RecordUncertain, RevisionMoved, Work, Writer

__all__ = ["Journal", "RecordUnavailable", "RecordUncertain", "RevisionMoved"]

logger = logging.getLogger(__name__)
T = TypeVar("T")

_BATCH_EVENTS: Final = 500
_BATCH_BYTES: Final = 4 * 1024 * 1024


@dataclass(eq=False, slots=True, kw_only=True)
class _Waiting(Job):
    """A job and the caller who waits for it: in an event loop, or in a thread."""

    finished: bool = False
    future: asyncio.Future[object] | None = None
    alarm: asyncio.TimerHandle | None = None
    done: threading.Event | None = None


def abandoned(intents: Sequence[Event]) -> Sequence[Event]:
    """Return the entries that end calls whose intent was committed after their callers had been refused."""
    return [
        dataclasses.replace(intent, kind=ABANDONED, facts={"executed": "false"}, payloads={}, recover_after=None)
        for intent in intents
    ]


class Journal:
    """One process's writer of the record.

    `origin` names the installation's log (the name of its key), `build` the running version. `timeout` is in
    seconds, for each append. `revision` is the query of the policy's current revision, asked at most once per batch,
    in the writer's transaction. `capacity` bounds the jobs that wait.
    `on_late` is told of intents that were committed after their callers had got RecordUnavailable, so that
    nothing was forwarded. It runs as a transact of its own and returns the events that end those calls.
    """

    def __init__(
        self,
        *,
        origin: str,
        build: str,
        timeout: float,
        revision: str = "",
        capacity: int = 10_000,
        on_late: Callable[[Sequence[Event]], Sequence[Event]] = abandoned,
    ) -> None:
        self.process_id = uuid7()
        self._writer = Writer(Sealer(origin=origin, build=build, writer=self.process_id), self.process_id, revision)
        self._receipts = Receipts(origin, self.process_id)
        self._timeout = timeout
        self._capacity = capacity
        self._on_late = on_late
        self.observe: Callable[[Sequence[Job]], None] | None = None  # told of each batch that was tried, in the writer
        self.given_up = 0  # callers who were told no because the record was too slow
        self._late: list[Event] = []
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._accepting = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="holdgate-journal", daemon=True)

    def start(self) -> None:
        """Start the writer thread and commit process.started. Raises RecordUnavailable when that fails."""
        self._accepting = True
        self._thread.start()
        started = Event(kind=PROCESS_STARTED, facts={"pid": os.getpid(), "receipts": self._receipts.public})

        def announce() -> tuple[None, list[Event]]:
            store.insert_process(store.current(), self.process_id, datetime.now(UTC))
            return None, [started]

        try:
            self._now(_Waiting(work=announce))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Commit what is queued and then process.stopped; further appends raise RecordUnavailable.

        Waits for twice the timeout at most: a database that hangs does not keep the process from ending.
        """
        with self._changed:
            self._accepting = False
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(2 * self._timeout)

    def receipt(self, call_id: str) -> dict[str, Any] | None:
        """Return, once, the receipt of the entry with which this process answered a call; None without one.

        To be asked after that entry is committed.
        """
        found = self._writer.ends.pop(call_id, None)
        return None if found is None else self._receipts.of(*found)

    def last_commit_age(self) -> float:
        """Return the seconds since the last commit of this process; infinite before the first."""
        return time.monotonic() - self._writer.last_commit

    async def append(self, *events: Event, revision: int | None = None) -> None:
        """Commit the events as one; return after COMMIT.

        Raises RevisionMoved when `revision` is given and no longer the current one, RecordUnavailable when
        the record did not take them in time (RecordUncertain, a kind of it, when it may yet do so), LeafInvalid
        when an event holds what a leaf cannot.
        Cancelling the awaiting task does not cancel the write.
        """
        if events:
            await self._begin(_Waiting(events=events, revision=revision))

    def begin(self, *events: Event, revision: int | None = None) -> asyncio.Future[object]:
        """Queue the events and return the future of what `append` returns or raises.

        For callers who must learn the outcome even when they are cancelled: they shield it.
        """
        return self._begin(_Waiting(events=events, revision=revision))

    async def transact(
        self,
        work: Callable[[], tuple[T, Sequence[Event]]],
        *,
        revision: int | None = None,
        exclusive: bool = False,
    ) -> T:
        """Run `work` in the writer's transaction, commit its changes and its events as one, return its value.

        `work` may use the ORM and may run again when its batch failed, so it must not touch anything outside
        the database. What it raises rolls back only itself and is raised here. `exclusive` runs it alone,
        under the exclusive lock. Raises otherwise what `append` raises.
        """
        return cast(T, await self._begin(_Waiting(work=work, revision=revision, exclusive=exclusive)))

    def append_now(self, *events: Event, revision: int | None = None) -> None:
        """Do what `append` does, blocking. Raises RuntimeError inside a transaction of the caller's own."""
        if events:
            self._from_thread(_Waiting(events=events, revision=revision))

    def transact_now(
        self,
        work: Callable[[], tuple[T, Sequence[Event]]],
        *,
        revision: int | None = None,
        exclusive: bool = False,
    ) -> T:
        """Do what `transact` does, blocking. Raises RuntimeError inside a transaction of the caller's own."""
        return cast(T, self._from_thread(_Waiting(work=work, revision=revision, exclusive=exclusive)))

    def _begin(self, job: _Waiting) -> asyncio.Future[object]:
        loop = asyncio.get_running_loop()
        job.future = future = loop.create_future()
        try:
            self._put(job)
        except RecordUnavailable as error:
            future.set_exception(error)
            return future
        job.alarm = loop.call_later(self._timeout, self._expire, job)
        return future

    def _from_thread(self, job: _Waiting) -> object:
        # The writer has its own connection: it would wait for the caller's row locks, and the caller for it.
        if store.current().in_atomic_block:
            msg = "the record is written outside the caller's own transaction: use transact_now for both"
            raise RuntimeError(msg)
        return self._now(job)

    def _now(self, job: _Waiting) -> object:
        if threading.current_thread() is self._thread:
            msg = "work inside the writer returns its events; it cannot append any itself"
            raise RuntimeError(msg)
        job.done = threading.Event()
        self._put(job)
        if not job.done.wait(self._timeout) and self._give_up(job):
            raise _too_late(job)
        return _outcome(job)

    def _put(self, job: _Waiting) -> None:
        with self._changed:
            if not self._accepting:
                msg = "the record's writer is not running"
                raise RecordUnavailable(msg)
            if len(self._queue) >= self._capacity:
                msg = "too much waits to be recorded"
                raise RecordUnavailable(msg)
            job.queued = time.monotonic()
            self._queue.append(job)
            self._changed.notify()

    def _give_up(self, job: _Waiting) -> bool:
        """Withdraw a job; false when its outcome is there already and counts."""
        with self._changed:
            if not job.finished and not job.given_up:
                job.given_up = True
                self.given_up += 1
            return job.given_up

    def _expire(self, job: _Waiting) -> None:
        # Who was cancelled does not wait; what they began goes on.
        if job.future is not None and not job.future.done() and self._give_up(job):
            job.future.set_exception(_too_late(job))

    # What follows runs in the writer thread.

    def _run(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._process(batch)
            self._say_goodbye()
        finally:
            self._writer.close()
            with self._changed:
                self._accepting = False
                left = [job for job in self._queue if not job.given_up]
                self._queue.clear()
            for job in left:
                job.error = RecordUnavailable("the record's writer has ended")
            self._release(left)

    def _take(self) -> list[_Waiting] | None:
        """Return what queued, nothing when a heartbeat is due, or None when everything is done."""
        with self._changed:
            if not self._queue and not self._stopping:
                self._changed.wait(HEARTBEAT_SECONDS)
            batch: list[_Waiting] = []
            events = size = 0
            while self._queue and events < _BATCH_EVENTS and size < _BATCH_BYTES:
                if self._queue[0].exclusive and batch:
                    break
                job = self._queue.popleft()
                if job.given_up:
                    continue
                batch.append(job)
                events, size = events + max(1, len(job.events)), size + job.size
                if job.exclusive:
                    break
            return None if self._stopping and not batch and not self._queue else batch

    def _process(self, batch: list[_Waiting]) -> None:
        self._writer.commit(list(batch))
        self._release(batch)
        if self.observe is not None:
            try:
                self.observe(batch)
            except Exception:
                logger.exception("a batch of the record could not be counted")
        self._late.extend(self._writer.late)
        self._writer.late.clear()
        if self._late:
            self._end_late_calls(self._late)

    def _release(self, batch: list[_Waiting]) -> None:
        """Wake the callers: those of an event loop all together."""
        waiting: dict[asyncio.AbstractEventLoop, list[_Waiting]] = defaultdict(list)
        with self._changed:
            for job in batch:
                job.finished = True
                if job.given_up:
                    if job.error is None:
                        self._late.extend(job.open_intents())
                elif job.future is not None:
                    waiting[job.future.get_loop()].append(job)
                elif job.done is not None:
                    job.done.set()
        for loop, jobs in waiting.items():
            try:
                loop.call_soon_threadsafe(_resolve, jobs)
            except RuntimeError:
                logger.warning("%d callers of the record are gone with their event loop", len(jobs))

    def _end_late_calls(self, intents: list[Event]) -> None:
        job = Job(work=lambda: (None, self._on_late(tuple(intents))))
        self._writer.commit([job])
        if job.error is None:
            self._late = []
        else:
            # They stay open, are tried again with the next batch, and are recovered if this process dies.
            logger.error("calls committed too late could not be ended: %s", job.error)

    def _say_goodbye(self) -> None:
        def goodbye() -> tuple[None, list[Event]]:
            store.beat(store.current(), self.process_id, datetime.now(UTC), stopped=True)
            return None, [Event(kind=PROCESS_STOPPED, facts={"pid": os.getpid()})]

        work: Work = goodbye
        self._writer.commit([Job(work=work)])


def _outcome(job: Job) -> object:
    if job.error is not None:
        raise job.error
    return job.value


def _resolve(jobs: list[_Waiting]) -> None:
    for job in jobs:
        if job.alarm is not None:
            job.alarm.cancel()
        if job.future is None or job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.value)
        else:
            job.future.set_exception(job.error)


def _too_late(job: Job) -> RecordUnavailable:
    if job.begun:
        return RecordUncertain("the record did not answer in time; it may yet take the entry")
    return RecordUnavailable("the record did not answer in time")
