"""The pins as one process knows them: looked at for every call, never asked for.

Read anew on a hint, once a second if they moved, and before anything is refused because of them. They tighten when a
listing finds a difference, which is written down before anybody is answered.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import Error

from approvals.catalogue.models import PinnedConnection, ToolPin
from approvals.catalogue.pinning import PINS, key_of
from approvals.database import in_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from approvals.waiting import Waiting

log = logging.getLogger("holdgate.pins")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one connection: of each tool (by key) the accepted digest, and the one that was listed last."""

    version: int
    accepted: Mapping[str, str]
    seen: Mapping[str, str]


class Pins:
    """The pins of one process."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._refreshing: asyncio.Task[None] | None = None

    def start(self, waiting: Waiting) -> None:
        """Hear the hints that reach this process, from now on."""
        waiting.listen(self._heard)

    def version(self, connection: str) -> int:
        """Return what moves with every change of the connection's pins; 0 while nothing is pinned."""
        known = self._known.get(connection)
        return 0 if known is None else known.version

    def holds_back(self, connection: str, tool: str, digest: str) -> bool:
        """Tell whether this definition of the tool is not the accepted one."""
        known = self._known.get(connection)
        return known is None or known.accepted.get(key_of(tool), "") != digest

    def agree(self, connection: str, digests: Mapping[str, str], *, is_whole: bool = False) -> bool:
        """Tell whether the pins know this listing (digests by name); a whole one misses no tool."""
        known = self._known.get(connection)
        if known is None:
            return False
        listed = {key_of(name): digest for name, digest in digests.items()}
        if any(known.seen.get(key) != digest for key, digest in listed.items()):
            return False
        return not is_whole or listed.keys() == known.seen.keys()

    async def look(self) -> None:
        """Read what moved; on an error everything stays as it is, and is tried again."""
        try:
            await self.refreshed()
        except Error as error:
            log.warning("cannot look for changed pins: %s", type(error).__name__)

    async def refreshed(self) -> None:
        """Read what moved by a question that begins after this call. Raises the database's Error."""
        known = {name: one.version for name, one in self._known.items()}
        for name, found in (await in_database(lambda: _moved(known))).items():
            if found.version > self.version(name):
                self._known[name] = found

    def _heard(self, words: Iterable[str] | None) -> None:
        if words is None or PINS in words:
            self._refreshing = asyncio.ensure_future(self.look())


def _moved(known: Mapping[str, int]) -> dict[str, Known]:
    """Return the connections whose pins moved beyond these versions."""
    # Versions first: pins that move in between are read again.
    moved = {
        name: version
        for name, version in PinnedConnection.objects.exclude(pinned_at=None).values_list("name", "version")
        if version > known.get(name, 0)
    }
    accepted: dict[str, dict[str, str]] = {name: {} for name in moved}
    seen: dict[str, dict[str, str]] = {name: {} for name in moved}
    for pin in ToolPin.objects.filter(connection__in=moved).defer("definition", "pending_definition") if moved else ():
        accepted[pin.connection_id][pin.key] = pin.digest
        if pin.seen:
            seen[pin.connection_id][pin.key] = pin.seen
    return {name: Known(version, accepted[name], seen[name]) for name, version in moved.items()}
