"""Proofs out of the live log: that an entry is in it, and that a newer tree goes on from an older one.

Each reads all leaf hashes up to the newest checkpoint: 32 bytes an entry.
"""

from __future__ import annotations

from typing import NamedTuple

from sessions import ledger, logstore, store, tlogproof
from sessions.checkpoint import parse
from sessions.evidence.period import Log
from sessions.models import LogIndex
from sessions.tree import ProofInvalid, Subtrees


class NotProvable(Exception):
    """Nothing signed covers what is to be proved, or there is no such thing."""


class Consistency(NamedTuple):
    """Sizes of two trees, the proof that the first is the beginning of the second, and the note of the second."""

    old: int
    new: int
    hashes: list[bytes]
    note: str


def newest() -> str:
    """Return the newest signed checkpoint, a note. Raises NotProvable."""
    note = logstore.last_note(store.current())
    if note is None:
        raise NotProvable("nothing is signed yet")
    return note


def entry(leaf_hash: bytes) -> str:
    """Return the proof (C2SP tlog-proof) that the entry with this leaf hash is in the log. Raises NotProvable."""
    with ledger.snapshot() as view:
        note = newest()
        size = parse(note)[0].size
        place = LogIndex.objects.filter(entry__leaf_hash=leaf_hash).values_list("log_index", flat=True).first()
        if place is None or place >= size:
            raise NotProvable("no entry has this hash, or it waits for its place in the log")
        tree = Subtrees(Log(view).leaf_hashes(size))
        return tlogproof.write(place, tree.inclusion_proof(place), note)


def consistency(old: int) -> Consistency:
    """Return the proof that the newest signed tree begins with that of `old` entries. Raises NotProvable."""
    with ledger.snapshot() as view:
        note = newest()
        size = parse(note)[0].size
        try:
            hashes = Subtrees(Log(view).leaf_hashes(size)).consistency_proof(old)
        except ProofInvalid as error:
            raise NotProvable(f"no tree of {old} entries is the beginning of one of {size}") from error
        return Consistency(old, size, hashes, note)
