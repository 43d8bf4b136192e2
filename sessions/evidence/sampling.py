"""A sample of every table that anybody can draw again from the log: no one chose what is in it. Pure but for its file.

The seed is SHA-256 over "holdgate-sample-v1", a line feed, the root (hex) of the bundle's last checkpoint, and a line
feed. Of each table those entries are taken for which SHA-256(seed, the table's name, a zero byte, the leaf's hash) is
smallest: at most 25. Until the checkpoint was signed nobody knew the seed; what is in the log was there by then.
"""

from __future__ import annotations

import hashlib
import heapq
from pathlib import Path
from typing import Any, Final

from sessions.evidence.tables import Read, Table

SIZE: Final = 25
_HASH: Final = 32
_BEYOND: Final = b"\xff" * (_HASH + 1)
_COLUMNS: Final = ("table", "log_index", "leaf_hash", "kind", "call", "ts", "order")


class Samples:
    """`samples/selection.csv`. Memory does not grow with the log. `root` is hex."""

    def __init__(self, folder: Path, root: str) -> None:
        self._folder = folder
        self._seed = hashlib.sha256(f"holdgate-sample-v1\n{root}\n".encode()).digest()
        # A heap has its smallest in front, so the order is turned round: the largest of those taken leaves first.
        self._taken: dict[str, list[tuple[int, int, Read]]] = {}
        self._begun: dict[str, Any] = {}  # the hash over seed and name of a table
        self._largest: dict[str, bytes] = {}  # of the orders that were taken, once there are enough

    def take(self, table: str, read: Read) -> None:
        """Look whether an entry that has a row in a table belongs to the table's sample."""
        if table not in self._begun:
            self._begun[table] = hashlib.sha256(self._seed + table.encode() + b"\0")
            self._taken[table] = []
        hashed = self._begun[table].copy()
        hashed.update(bytes.fromhex(read.digest))
        order = hashed.digest()
        if order < self._largest.get(table, _BEYOND):
            self._take(table, -int.from_bytes(order), read)

    def _take(self, table: str, order: int, read: Read) -> None:
        taken, one = self._taken[table], (order, read.place, read)
        if len(taken) < SIZE:
            heapq.heappush(taken, one)
        else:
            heapq.heapreplace(taken, one)
        if len(taken) == SIZE:
            self._largest[table] = (-taken[0][0]).to_bytes(_HASH)

    def close(self) -> None:
        """Write the samples, table by table in the order in which they were drawn."""
        table = Table(self._folder / "samples" / "selection.csv", _COLUMNS)
        for name, taken in sorted(self._taken.items()):
            for order, place, read in sorted(taken, reverse=True):
                leaf = read.leaf
                table.add(
                    {"table": name, "log_index": place, "leaf_hash": read.digest, "kind": leaf.kind, "call": leaf.call,
                     "ts": leaf.ts, "order": f"{-order:064x}"}
                )  # fmt: skip
        table.close()
