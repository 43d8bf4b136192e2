"""How a waiting call learns of a decision: a hint when all goes well, one batched query a second whatever happens.

The row is the truth. A waiter registers first, then reads the row, then sleeps; so no decision falls in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import Error

from approvals.database import in_database
from approvals.models import ApprovalRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("holdgate.waiting")

SWEEP_SECONDS = 1.0
# So many ids are named one by one in a query; of more waiters, what moved since the oldest of them is read instead.
NAMED_AT_MOST = 200


class Waiting:
    """The waiters of one process, by approval id. Made in any thread, bound to the loop that starts it."""

    def __init__(self) -> None:
        self.stopping = False  # nobody should wait any longer
        self._events: dict[str, set[asyncio.Event]] = {}
        self._versions: dict[str, int] = {}
        self._callers: Counter[str] = Counter()
        self._leaving: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Iterable[str] | None], None]] = []

    def start(self) -> None:
        """Begin the sweep on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._sweep_forever())

    async def stop(self) -> None:
        """End the sweep. Who still waits is not woken."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._loop = None

    def listen(self, listener: Callable[[Iterable[str] | None], None]) -> None:
        """Call the listener on the loop with the ids of every hint, for live pages; None stands for any of them."""
        self._listeners.append(listener)

    def attend(self, approval_id: str) -> None:
        """Note that one more caller of this process is on the line for this request."""
        self._callers[approval_id] += 1

    def unattend(self, approval_id: str) -> bool:
        """Note that one caller is gone; say whether none is left."""
        self._callers[approval_id] -= 1
        if self._callers[approval_id] > 0:
            return False
        del self._callers[approval_id]
        return True

    async def leave(self, approval_id: str, commit: Callable[[], None]) -> None:
        """Commit what it means that a caller is gone. Until then `is_left` says so: they may come back at once."""
        self._leaving.add(approval_id)
        try:
            await in_database(commit)
        finally:
            self._leaving.discard(approval_id)

    def is_attended(self, approval_id: str) -> bool:
        """Say from any thread whether a caller of this process is on the line for this request."""
        return self._callers[approval_id] > 0

    def is_left(self, approval_id: str) -> bool:
        """Say from any thread whether the last caller of this process is gone, and the row does not say so yet."""
        return approval_id in self._leaving

    @contextmanager
    def watch(self, approval_id: str, version: int = 0) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the request may have moved beyond `version`; the waiter clears it."""
        event = asyncio.Event()
        self._events.setdefault(approval_id, set()).add(event)
        # Of several who wait, the one who knows least: nobody is left asleep because somebody else has read more.
        self._versions[approval_id] = min(version, self._versions.get(approval_id, version))
        try:
            yield event
        finally:
            remaining = self._events[approval_id]
            remaining.discard(event)
            if not remaining:
                del self._events[approval_id]
                del self._versions[approval_id]

    def hint(self, ids: Iterable[str]) -> None:
        """Say from any thread that these requests changed. Losing a hint costs a second, nothing else."""
        loop, changed = self._loop, tuple(ids)
        if loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(self.heard, changed)

    def heard(self, ids: Iterable[str]) -> None:
        """Wake who waits for these requests. On the loop; ids that nobody waits for, or that are none, do no harm."""
        for approval_id in ids:
            for event in self._events.get(approval_id, ()):
                event.set()
        self._tell(ids)

    def missed(self) -> None:
        """Say on the loop that hints may have been lost: pages look now, and the sweep sees to the waiters anyway."""
        self._tell(None)

    def dismiss(self) -> None:
        """Wake every waiter of this loop for the last time: the process is about to stop."""
        self.stopping = True
        self.heard(tuple(self._events))

    def _tell(self, ids: Iterable[str] | None) -> None:
        for listener in self._listeners:
            listener(ids)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if not self._events:
                continue
            try:
                moved = await in_database(self._moved)
            except Error as error:
                # Nothing is decided on an error: the waiters go on waiting, and their own deadline still ends it.
                log.warning("cannot look for decisions: %s", type(error).__name__)
                continue
            self._versions.update({key: version for key, version in moved.items() if key in self._versions})
            if moved:
                self.heard(tuple(moved))

    def _moved(self) -> dict[str, int]:
        """Return the newer versions of the waited-for requests that moved beyond what their waiters know."""
        known = dict(self._versions)
        rows = ApprovalRequest.objects.order_by().values_list("id", "version")
        if len(known) <= NAMED_AT_MOST:
            rows = rows.filter(id__in=list(known))
        else:
            rows = rows.filter(id__gte=min(known), version__gt=min(known.values()))
        return {approval_id: version for approval_id, version in rows if version > known.get(approval_id, version)}


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, so many seconds at most; say whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
