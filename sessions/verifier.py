"""Verifies the record: every column from the leaves, the tree from the leaf hashes, and who signed. Pure.

Rows come from a Source, findings go out one by one. Memory grows with the number of writers and of erased
payloads, not with the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from sessions import leaf as leaves
from sessions.checkpoint import Checkpoint, CheckpointInvalid, VerifyKey, parse
from sessions.events import ERASED, PROCESS_STARTED, PROCESS_STOPPED
from sessions.keychain import KINDS, KeyChain
from sessions.rows import CheckpointRow, EntryRow, Finding, PayloadRow, Place, Source
from sessions.tree import HASH_BYTES, Frontier

T = TypeVar("T")

_PAYLOADS_AT_ONCE: Final = 200
_PAYLOAD_BYTES_AT_ONCE: Final = 8 * 1024 * 1024


@dataclass(slots=True)
class _Numbers:
    """What one writer numbered so far: its next number, and the ranges that are missing before it."""

    next: int = 0
    gaps: list[range] = field(default_factory=list)
    stopped: bool = False

    def fill(self, n: int) -> bool:
        """Take `n` out of the missing ranges; false when it was not missing."""
        for at, gap in enumerate(self.gaps):
            if n in gap:
                parts = (range(gap.start, n), range(n + 1, gap.stop))
                self.gaps[at : at + 1] = [part for part in parts if part]
                return True
        return False


class _Wanted(NamedTuple):
    """A payload that a leaf commits to."""

    name: str
    length: int
    call: str
    leaf_hash: bytes
    where: str


class Verifier:
    """One verification of one consistent view. Iterate `run()` to its end; then the counters are valid.

    `anchored` are the notes of an anchor, oldest first. `entries` counts those with a place in the log,
    `pending` those that are committed and wait for theirs.
    """

    def __init__(self, source: Source, key: VerifyKey, anchored: Iterable[str] = ()) -> None:
        self.entries = 0
        self.pending = 0
        self.checkpoints = 0
        self._source = source
        self._keys = KeyChain(key)
        self._anchored = iter(anchored)
        self._tree = Frontier()
        self._intact = True  # false once the tree cannot be recomputed any more
        self._covered = 0  # entries under the newest checkpoint that was seen
        self._writers: dict[str, _Numbers] = {}
        self._wanted: dict[bytes, _Wanted] = {}
        self._wanted_bytes = 0
        self._matched = 0
        self._missing: dict[bytes, str] = {}
        self._erased: set[bytes] = set()
        self._found: list[Finding] = []

    @property
    def head(self) -> str:
        """Return the root over all entries with a place, as hex."""
        return self._tree.root().hex()

    def run(self) -> Iterator[Finding]:
        """Check everything; yield every finding."""
        for step in (self._log, self._unplaced, self._stray_payloads, self._end):
            for _ in step():
                yield from self._found
                self._found.clear()
            yield from self._found
            self._found.clear()

    def _report(self, kind: str, where: str, detail: str) -> None:
        self._found.append(Finding(kind, where, detail))

    # The steps yield after every row, so that findings go out while they work.

    def _log(self) -> Iterator[None]:
        checkpoints, anchor = _Ahead(self._source.checkpoints()), _Ahead(self._anchor_heads())
        size = 0
        for place in self._source.places():
            if place.log_index != size:
                self._intact = False
                self._report("deleted", f"log index {size}", f"no place for {_span(size, place.log_index)}")
            size = place.log_index + 1
            self._place(place)
            while (row := checkpoints.head) is not None and row.size <= size:
                self._checkpoint(row, anchor)
                checkpoints.move()
            yield
        while (row := checkpoints.head) is not None:
            self._report("truncated", f"checkpoint {row.size}", f"the database ends after {size} entries")
            self._intact = False
            self._checkpoint(row, anchor)
            checkpoints.move()
            yield
        if self._covered < size:
            span = _span(self._covered, size)
            self._report("checkpoint missing", f"log index {self._covered}", f"nothing signed covers {span}")
        yield from self._rest_of_anchor(anchor, size)

    def _unplaced(self) -> Iterator[None]:
        low_water = self._source.low_water()
        for entry in self._source.unplaced():
            where = f"entry {entry.id}"
            leaf = self._entry(entry, where)
            waiting = leaf is None or self._number(leaf, where, placed=False)
            if entry.id <= low_water or not waiting:
                self._report("entry without index", where, "inserted, or its place in the log was deleted")
            else:
                self.pending += 1
            yield

    def _stray_payloads(self) -> Iterator[None]:
        self._check_payloads()
        if self._source.payload_count() == self._matched:
            return
        for commitment, leaf in self._source.payload_owners():
            if not _commits_to(leaf, commitment):
                self._report("inserted", f"payload {commitment.hex()}", "no entry commits to it")
            yield

    def _end(self) -> Iterator[None]:
        for commitment, where in self._missing.items():
            if commitment not in self._erased:
                self._report("payload missing", where, "gone without an entry that it was erased")
            yield
        for writer, numbers in self._writers.items():
            for gap in numbers.gaps:
                span = _span(gap.start, gap.stop)
                self._report("deleted", f"writer {writer}", f"its {span} are gone")
            yield

    # Checkpoints and anchor.

    def _anchor_heads(self) -> Iterator[_Anchored]:
        last = 0
        for note in self._anchored:
            try:
                head = parse(note)[0]
            except CheckpointInvalid as error:
                self._report("anchor", f"after its checkpoint {last}", f"a note that does not hold: {error}")
                continue
            if head.size <= last:
                self._report("anchor", f"checkpoint {head.size}", f"comes after the one of {last}")
                continue
            last = head.size
            yield _Anchored(head, note)

    def _holds(self, anchored: _Anchored) -> bool:
        """Check who signed a note of the anchor, when the entries before it told which keys sign."""
        try:
            self._keys.open(anchored.note)
        except CheckpointInvalid as error:
            self._report("anchor", f"checkpoint {anchored.head.size}", f"a note that does not hold: {error}")
            return False
        return True

    def _checkpoint(self, row: CheckpointRow, anchor: _Ahead[_Anchored]) -> None:
        where = f"checkpoint {row.size}"
        self.checkpoints += 1
        self._covered = max(self._covered, row.size)
        try:
            signed = self._keys.open(row.note)
            if (signed.size, signed.root) != (row.size, row.root):
                self._report("checkpoint altered", where, "its columns are not what its note says")
        except CheckpointInvalid as error:
            self._report("checkpoint signature", where, str(error))
        if self._intact and row.size == self._tree.size and row.root != self._tree.root():
            self._intact = False
            self._report("altered", where, "the entries before it do not give its root")
        while anchor.head is not None and anchor.head.head.size < row.size:
            if self._holds(anchor.head):
                self._not_in_database(anchor.head.head)
            anchor.move()
        if anchor.head is not None and anchor.head.head.size == row.size:
            if self._holds(anchor.head) and anchor.head.head.root != row.root:
                self._report("checkpoint altered", where, "the anchor holds another root for this size")
            anchor.move()

    def _rest_of_anchor(self, anchor: _Ahead[_Anchored], size: int) -> Iterator[None]:
        newest = None
        while anchor.head is not None:
            if anchor.head.head.size > size:
                # Its key may have been signed in by an entry that is gone: that it is there says enough.
                newest = anchor.head.head
            elif self._holds(anchor.head):
                self._not_in_database(anchor.head.head)
            anchor.move()
            yield
        if newest is not None:
            self._report(
                "truncated", f"anchor ahead of database, checkpoint {newest.size}",
                f"the database ends after {size} entries",
            )  # fmt: skip

    def _not_in_database(self, head: Checkpoint) -> None:
        self._report("deleted", f"checkpoint {head.size}", "the anchor holds it, the database does not")

    # Entries.

    def _place(self, place: Place) -> None:
        where = f"log index {place.log_index} (entry {place.entry_id})"
        entry = place.entry
        if entry is None:
            self._intact = False
            self._report("deleted", where, "the entry is gone")
            return
        self.entries += 1
        if len(entry.leaf_hash) == HASH_BYTES:
            self._tree.append(entry.leaf_hash)
        else:
            self._intact = False
        leaf = self._entry(entry, where)
        if leaf is not None:
            self._number(leaf, where, placed=True)
            if leaf.kind in KINDS and (problem := self._keys.learn(place.log_index, leaf.kind, leaf.facts)):
                self._report("inserted", where, f"it speaks of a key of the log, and {problem}")

    def _entry(self, entry: EntryRow, where: str) -> leaves.Leaf | None:
        if leaves.leaf_hash(entry.leaf) != entry.leaf_hash:
            self._report("altered", where, "the leaf does not have its hash")
        try:
            leaf = leaves.decode(entry.leaf)
        except leaves.LeafInvalid as error:
            self._report("altered", where, f"not a leaf: {error}")
            return None
        if leaf.origin != self._keys.name:
            self._report("inserted", where, f"an entry of {leaf.origin}, not of {self._keys.name}")
        self._projection(entry, leaf, where)
        self._note_payloads(entry, leaf, where)
        return leaf

    def _projection(self, entry: EntryRow, leaf: leaves.Leaf, where: str) -> None:
        columns = (
            ("kind", entry.kind, leaf.kind),
            ("ts", entry.ts, leaves.moment(leaf.ts)),
            ("call_id", entry.call_id, leaf.call),
            ("session", entry.session, leaf.session),
            ("connection", entry.connection, leaf.connection),
            ("tool", entry.tool, leaf.tool),
            ("actor", entry.actor, leaf.actor),
        )
        for name, column, proved in columns:
            if column != proved:
                self._report("projection changed", where, f"column {name} is not what the leaf says")

    def _number(self, leaf: leaves.Leaf, where: str, *, placed: bool) -> bool:
        """Check that a writer's numbers are dense and in order; return whether this one is the next."""
        numbers = self._writers.setdefault(leaf.writer, _Numbers())
        expected, n = numbers.next, leaf.n
        if n == 0 and leaf.kind != PROCESS_STARTED:
            self._report("inserted", where, f"writer {leaf.writer} did not begin with {PROCESS_STARTED}")
        if n < expected:
            if not numbers.fill(n):
                self._report("inserted", where, f"number {n} of writer {leaf.writer} for the second time")
            elif placed:
                self._report("reordered", where, f"number {n} of writer {leaf.writer} after {expected - 1}")
            return False
        if numbers.stopped:
            self._report("inserted", where, f"writer {leaf.writer} had stopped before")
        numbers.stopped = numbers.stopped or leaf.kind == PROCESS_STOPPED
        if n > expected:
            numbers.gaps.append(range(expected, n))
        numbers.next = n + 1
        return True

    # Payloads.

    def _note_payloads(self, entry: EntryRow, leaf: leaves.Leaf, where: str) -> None:
        for name, commitment in leaf.payloads.items():
            wanted = _Wanted(name, commitment.length, leaf.call, entry.leaf_hash, where)
            self._wanted[bytes.fromhex(commitment.digest)] = wanted
            self._wanted_bytes += commitment.length
        if leaf.kind == ERASED:
            commitments = leaf.facts.get("commitments")
            for digest in commitments if isinstance(commitments, list) else ():
                try:
                    self._erased.add(bytes.fromhex(digest))
                except ValueError:
                    self._report("altered", where, "names no commitment that was erased")
        if len(self._wanted) >= _PAYLOADS_AT_ONCE or self._wanted_bytes >= _PAYLOAD_BYTES_AT_ONCE:
            self._check_payloads()

    def _check_payloads(self) -> None:
        stored = self._source.payloads(list(self._wanted))
        for commitment, wanted in self._wanted.items():
            where = f"{wanted.where} payload {wanted.name}"
            row = stored.get(commitment)
            if row is None:
                self._missing[commitment] = where
            elif _holds(row, wanted):
                self._matched += 1
            else:
                self._matched += 1
                self._report("payload altered", where, "it is not what the entry commits to")
        self._wanted.clear()
        self._wanted_bytes = 0


class _Anchored(NamedTuple):
    """A checkpoint of the anchor, and the note that says so."""

    head: Checkpoint
    note: str


class _Ahead(Generic[T]):
    """Elements one by one: the next is looked at in `head`; None at the end."""

    def __init__(self, elements: Iterable[T]) -> None:
        self._elements = iter(elements)
        self.head: T | None = next(self._elements, None)

    def move(self) -> None:
        """Go on to the next element."""
        self.head = next(self._elements, None)


def _holds(row: PayloadRow, wanted: _Wanted) -> bool:
    if len(row.salt) != leaves.SALT_BYTES or len(row.body) != wanted.length:
        return False
    columns = (row.name, row.call_id, row.leaf_hash) == (wanted.name, wanted.call, wanted.leaf_hash)
    return columns and leaves.commit(row.salt, row.body) == row.commitment.hex()


def _commits_to(leaf: bytes | None, commitment: bytes) -> bool:
    if leaf is None:
        return False
    try:
        payloads = leaves.decode(leaf).payloads
    except leaves.LeafInvalid:
        return False
    return commitment.hex() in {payload.digest for payload in payloads.values()}


def _span(start: int, stop: int) -> str:
    return f"number {start}" if stop - start == 1 else f"numbers {start} to {stop - 1}"
