"""A database that is older than what was anchored, or of another history: seen before anything is written on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sessions import logstore, store

if TYPE_CHECKING:
    from sessions.anchors import FileAnchor
    from sessions.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class SetBack:
    """The newest checkpoint of the anchor, which the database does not hold, and how many entries that has."""

    anchored: Checkpoint
    size: int

    def __str__(self) -> str:
        """Return what happened, for whoever must act on it."""
        what = "is an older copy" if self.size < self.anchored.size else "has another history"
        return (
            f"the database {what}: the anchor holds a checkpoint of {self.anchored.size} entries, and the database has "
            f"{self.size} under other checkpoints"
        )


def set_back(anchor: FileAnchor) -> SetBack | None:
    """Return how the database contradicts the anchor's newest checkpoint; None when it holds it.

    Raises AnchorBroken when the anchor cannot be read, django.db.Error when the database does not answer.
    """
    # The anchor first: what it holds was committed before.
    anchored = anchor.newest()
    if anchored is None:
        return None
    connection = store.current()
    if logstore.root_of(connection, anchored.size) == anchored.root:
        return None
    return SetBack(anchored, logstore.signed_size(connection))
