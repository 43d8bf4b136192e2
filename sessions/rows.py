"""The record's tables as the verifier sees them, and what it finds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol


class EntryRow(NamedTuple):  # rows are made by the million: a frozen dataclass takes three times as long to fill
    """A row of Entry. `ts` is None when the column holds no moment."""

    id: int
    leaf: bytes
    leaf_hash: bytes
    kind: str
    ts: datetime | None
    call_id: str
    session: str
    connection: str
    tool: str
    actor: str


class Place(NamedTuple):
    """A row of LogIndex and the entry it names; None when that is gone."""

    log_index: int
    entry_id: int
    entry: EntryRow | None


class CheckpointRow(NamedTuple):
    """A row of Checkpoint."""

    size: int
    root: bytes
    note: str


class PayloadRow(NamedTuple):
    """A row of Payload."""

    commitment: bytes
    leaf_hash: bytes
    name: str
    call_id: str
    salt: bytes
    body: bytes


class Source(Protocol):
    """One consistent view of the record."""

    def places(self) -> Iterable[Place]:
        """Yield LogIndex with its entries, in order of the log index."""

    def unplaced(self) -> Iterable[EntryRow]:
        """Yield the entries without LogIndex, in order of id."""

    def checkpoints(self) -> Iterable[CheckpointRow]:
        """Yield the checkpoints in order of size."""

    def payloads(self, commitments: list[bytes]) -> dict[bytes, PayloadRow]:
        """Return those of the payloads that exist, by commitment."""

    def payload_count(self) -> int:
        """Return the number of payloads."""

    def payload_owners(self) -> Iterable[tuple[bytes, bytes | None]]:
        """Yield each payload's commitment with the leaf it belongs to by its leaf hash; None without one."""

    def low_water(self) -> int:
        """Return the entry id up to which the sequencer gave everything its place."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: what kind of change, where, and how it shows."""

    kind: str
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.detail}"
