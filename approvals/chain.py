"""Whether what a page shows of the record is what was recorded, and how far the signed proof reaches over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessions import installation, logstore, store
from sessions.anchors import AnchorBroken

if TYPE_CHECKING:
    from sessions.selectors import RecordedEntry


@dataclass(frozen=True, slots=True)
class Chain:
    """Of so many entries: those that have their hash and commitments, a place under a checkpoint, one under the anchor.

    `anchored` is None where the anchor cannot be asked from here. `problem` says in words what is not as it should be.
    """

    entries: int
    sound: int
    signed: int
    anchored: int | None

    @property
    def problem(self) -> str:
        if self.sound < self.entries:
            return f"{self.entries - self.sound} of these entries are not what was recorded: run `manage.py verify`"
        return ""

    @property
    def is_whole(self) -> bool:
        """Say whether every entry stands under a signed checkpoint and, if it can be asked, under the anchor."""
        reach = self.signed if self.anchored is None else min(self.signed, self.anchored)
        return not self.problem and reach == self.entries


def chain(entries: Sequence[RecordedEntry]) -> Chain:
    """Return how the proof of these entries stands."""
    try:
        reach: int | None = installation.anchor().latest_size()
    except (AnchorBroken, OSError):
        reach = None
    signed = logstore.signed_size(store.current())
    places = [entry.log_index for entry in entries if entry.log_index is not None]
    return Chain(
        entries=len(entries),
        sound=sum(entry.is_sound for entry in entries),
        signed=sum(place < signed for place in places),
        anchored=None if reach is None else sum(place < reach for place in places),
    )
