"""The windows of access that are open, as one process knows them: looked at for every call, never asked for.

Read anew on every hint that a request changed, and once a second whatever happens; the transaction that commits a
call's intent looks at the row itself (`access.require_open`). So a stale view lets nothing through that must not pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error

from approvals import access
from approvals.database import in_database
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.access import Owner
    from approvals.publication import Policies
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller, Window

log = logging.getLogger("holdgate.windows")

LOOK_SECONDS = 1.0


class Windows:
    """The open windows of one process, bound to the loop that starts it."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._house: Runtime | None = None
        self._open: Mapping[Owner, tuple[Window, ...]] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._running: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def start(self, house: Runtime) -> None:
        """Hear the hints that reach this process, from now on, on the running loop."""
        self._house = house
        house.waiting.listen(self._heard)

    async def look(self) -> None:
        """Read the open windows, if there can be any; to be done once a second."""
        if self._concerned:
            await self.refreshed()

    def attach(self, caller: Caller) -> Caller:
        """Return the caller with the windows that are open to them now."""
        found = self._open.get((caller.key, tuple(sorted(caller.run))), ()) if self._open else ()
        return caller if found == caller.windows else replace(caller, windows=found)

    def end_of(self, window_id: str) -> asyncio.Event:
        """Return the event that is set when the window ends; it is set already where none of that id is open."""
        known = self._ends.get(window_id)
        if known is None:
            known = asyncio.Event()
            known.set()
        return known

    async def refreshed(self) -> None:
        """Read the open windows by a question that begins after this call; on an error they stay as they are."""
        if self._following is None:
            self._following = asyncio.ensure_future(self._ask(self._running))
        await asyncio.shield(self._following)

    async def _ask(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._following = self._following, None
        try:
            if self._take(await in_database(self._load)) and self._house is not None:
                await in_database(partial(access.run_due, self._house))
        except (Error, RecordUnavailable) as error:
            log.warning("cannot look for open windows: %s", type(error).__name__)

    def _load(self) -> Mapping[Owner, tuple[Window, ...]]:
        return access.load(self._policies.reload().policy)

    def _take(self, found: Mapping[Owner, tuple[Window, ...]]) -> bool:
        """Know these windows from now on, cut off the running calls of those that are gone, say if there are any."""
        self._open = found
        ids = {window.id for windows in found.values() for window in windows}
        gone = self._ends.keys() - ids
        for window in gone:
            self._ends.pop(window).set()
        for new in ids - self._ends.keys():
            self._ends[new] = asyncio.Event()
        return bool(gone)

    @property
    def _concerned(self) -> bool:
        return bool(self._open) or self._policies.current.policy.gives_access

    def _heard(self, ids: Iterable[str] | None) -> None:
        if self._following is None and self._concerned:
            self._following = asyncio.ensure_future(self._ask(self._running))
