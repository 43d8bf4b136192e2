"""Ways to change a finished record, each with the findings of which one at least must name it.

A `Forger` is the owner of the tables, who took the triggers away: it changes rows by SQL, inside a savepoint of the
caller's. What it draws comes from its own random numbers, so that a seed repeats it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection

from sessions import leaf as leaves
from sessions.checkpoint import Signer
from sessions.tree import Frontier

ENTRY, PLACE = "mcp_sessions_entry", "mcp_sessions_logindex"
CHECKPOINT, PAYLOAD = "mcp_sessions_checkpoint", "mcp_sessions_payload"
TEXTS = ("kind", "call_id", "session", "connection", "tool", "actor")
_COLUMNS = "leaf, leaf_hash, kind, ts, call_id, session, connection, tool, actor"

Named = set[str]


def run(sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement on the database of the test and return its rows, blobs as bytes."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        found = cursor.fetchall() if cursor.description else []
    return [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in found]


@dataclass
class Forger:
    """Draws and makes changes. `signer` is the log's key, `stranger` another; `notes` is the anchor's text."""

    rng: random.Random
    signer: Signer
    stranger: Signer
    notes: str
    told: str = ""
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        self._size = run(f"SELECT COUNT(*) FROM {PLACE}")[0][0]

    # --- drawing ---

    def index(self) -> int:
        """Draw a log index: the first and the last as often as all between."""
        return self.rng.choice([0, self._size - 1, self.rng.randrange(self._size), self.rng.randrange(self._size)])

    def entry_at(self, index: int) -> int:
        return int(run(f"SELECT entry_id FROM {PLACE} WHERE log_index = %s", index)[0][0])

    def entry(self) -> int:
        return self.entry_at(self.index())

    def two(self) -> tuple[int, int]:
        first, second = self.rng.sample(range(self._size), 2)
        return first, second

    def sizes(self) -> list[int]:
        return [row[0] for row in run(f"SELECT size FROM {CHECKPOINT} ORDER BY size")]

    def commitment(self) -> bytes:
        return bytes(self.rng.choice(run(f"SELECT commitment FROM {PAYLOAD} ORDER BY commitment"))[0])

    def flipped(self, data: bytes) -> bytes:
        """Return the bytes with one bit changed."""
        at = self.rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self.rng.randrange(8))]) + data[at + 1 :]

    def edited(self, text: str) -> str:
        """Return a text that differs: a letter changed, dropped, doubled or added."""
        at = self.rng.randrange(len(text)) if text else 0
        kept = text[at : at + 1]
        other = self.rng.choice([letter for letter in "0aZ+/ \n" if letter != kept])
        return text[:at] + self.rng.choice([other, "", kept + other, other + kept]) + text[at + 1 :] or other

    # --- entries ---

    def leaf_bit(self) -> Named:
        entry = self.entry()
        leaf = self.flipped(run(f"SELECT leaf FROM {ENTRY} WHERE id = %s", entry)[0][0])
        run(f"UPDATE {ENTRY} SET leaf = %s WHERE id = %s", leaf, entry)
        return {"altered"}

    def leaf_and_hash(self) -> Named:
        """The leaf is rewritten with its hash: only the tree tells."""
        entry = self.entry()
        leaf = self.flipped(run(f"SELECT leaf FROM {ENTRY} WHERE id = %s", entry)[0][0])
        run(f"UPDATE {ENTRY} SET leaf = %s, leaf_hash = %s WHERE id = %s", leaf, leaves.leaf_hash(leaf), entry)
        return {"altered"}

    def leaf_hash_bit(self) -> Named:
        entry = self.entry()
        wrong = self.flipped(run(f"SELECT leaf_hash FROM {ENTRY} WHERE id = %s", entry)[0][0])
        run(f"UPDATE {ENTRY} SET leaf_hash = %s WHERE id = %s", wrong, entry)
        return {"altered"}

    def column(self) -> Named:
        entry, name = self.entry(), self.rng.choice(TEXTS)
        text = run(f"SELECT {name} FROM {ENTRY} WHERE id = %s", entry)[0][0]
        run(f"UPDATE {ENTRY} SET {name} = %s WHERE id = %s", self.edited(text), entry)
        self.told = name
        return {"projection changed"}

    def time(self) -> Named:
        entry = self.entry()
        ts = leaves.moment(leaves.decode(run(f"SELECT leaf FROM {ENTRY} WHERE id = %s", entry)[0][0]).ts)
        moved = ts + timedelta(microseconds=self.rng.choice([-1, 1]) * 10 ** self.rng.randrange(10))
        run(f"UPDATE {ENTRY} SET ts = %s WHERE id = %s", connection.ops.adapt_datetimefield_value(moved), entry)
        return {"projection changed"}

    def entry_gone(self) -> Named:
        run(f"DELETE FROM {ENTRY} WHERE id = %s", self.entry())
        return {"deleted"}

    def entry_and_place_gone(self) -> Named:
        index = self.index()
        entry = self.entry_at(index)
        run(f"DELETE FROM {PLACE} WHERE log_index = %s", index)
        run(f"DELETE FROM {ENTRY} WHERE id = %s", entry)
        return {"truncated"} if index == self._size - 1 else {"deleted"}

    def entry_gone_and_closed_up(self) -> Named:
        """The entry is taken out and what follows moves up, as if it had never been."""
        index = self.index()
        entry = self.entry_at(index)
        run(f"DELETE FROM {PLACE} WHERE log_index = %s", index)
        run(f"DELETE FROM {ENTRY} WHERE id = %s", entry)
        self._shift(index, -1)
        return {"truncated"}

    def id_changed(self) -> Named:
        run(f"UPDATE {ENTRY} SET id = id + 1000000 WHERE id = %s", self.entry())
        return {"deleted"}

    def copied(self) -> Named:
        """A writer's number comes a second time, in a leaf that is sound in itself."""
        self._insert(self._reworded(self.entry()))
        return {"inserted"}

    def copied_with_place(self) -> Named:
        entry = self._insert(self._reworded(self.entry()))
        run(f"INSERT INTO {PLACE} (log_index, entry_id) VALUES (%s, %s)", self._size, entry)
        return {"inserted"}

    def squeezed_in(self) -> Named:
        """A sound leaf takes a place in the middle, what follows moves down."""
        index = self.index()
        entry = self._insert(self._reworded(self.entry()))
        self._shift(index - 1, 1)
        run(f"INSERT INTO {PLACE} (log_index, entry_id) VALUES (%s, %s)", index, entry)
        return {"inserted"}

    def of_another_log(self) -> Named:
        found = leaves.decode(run(f"SELECT leaf FROM {ENTRY} WHERE id = %s", self.entry())[0][0])
        leaf = leaves.encode(found).replace(f'"{found.origin}"'.encode(), b'"another-log"')
        self._insert(leaf)
        return {"inserted"}

    def exchanged_payload_of_entry(self) -> Named:
        """Two entries change their whole content, places stay."""
        one, other = (self.entry_at(index) for index in self.two())
        rows = {pk: run(f"SELECT {_COLUMNS} FROM {ENTRY} WHERE id = %s", pk)[0] for pk in (one, other)}
        marks = ", ".join(f"{name} = %s" for name in _COLUMNS.split(", "))
        run(f"UPDATE {ENTRY} SET leaf_hash = %s WHERE id = %s", b"\0", one)
        for target, source in ((other, one), (one, other)):
            run(f"UPDATE {ENTRY} SET {marks} WHERE id = %s", *rows[source], target)
        return {"altered"}

    # --- places ---

    def place_gone(self) -> Named:
        index = self.index()
        run(f"DELETE FROM {PLACE} WHERE log_index = %s", index)
        return {"truncated"} if index == self._size - 1 else {"entry without index", "deleted"}

    def places_exchanged(self) -> Named:
        first, second = self.two()
        entries = self.entry_at(first), self.entry_at(second)
        for index, entry in ((first, -1), (second, entries[0]), (first, entries[1])):
            run(f"UPDATE {PLACE} SET entry_id = %s WHERE log_index = %s", entry, index)
        return {"altered"}

    def places_moved(self) -> Named:
        self._shift(self.index() - 1, self.rng.randrange(1, 4))
        return {"deleted"}

    def place_elsewhere(self) -> Named:
        run(
            f"UPDATE {PLACE} SET log_index = %s WHERE log_index = %s",
            self._size + self.rng.randrange(1, 9),
            self.index(),
        )
        return {"deleted"}

    def place_of_nothing(self) -> Named:
        run(f"UPDATE {PLACE} SET entry_id = %s WHERE log_index = %s", 10**6 + self.rng.randrange(9), self.index())
        return {"deleted"}

    def _shift(self, after: int, by: int) -> None:
        run(f"UPDATE {PLACE} SET log_index = -log_index - 1 WHERE log_index > %s", after)
        run(f"UPDATE {PLACE} SET log_index = -log_index - 1 + %s WHERE log_index < 0", by)

    def _reworded(self, entry: int) -> bytes:
        """Return the leaf of an entry at a later microsecond: sound, but never written."""
        leaf: bytes = run(f"SELECT leaf FROM {ENTRY} WHERE id = %s", entry)[0][0]
        ts = leaves.decode(leaf).ts.encode()
        return leaf.replace(ts, re.sub(rb"\d(?=Z)", lambda found: b"%d" % ((int(found[0]) + 1) % 10), ts))

    def _insert(self, leaf: bytes) -> int:
        found = leaves.decode(leaf)
        ts = connection.ops.adapt_datetimefield_value(leaves.moment(found.ts))
        row = (leaf, leaves.leaf_hash(leaf), found.kind, ts, found.call, found.session, found.connection, found.tool)
        run(f"INSERT INTO {ENTRY} ({_COLUMNS}) VALUES ({', '.join(['%s'] * 9)})", *row, found.actor)
        return int(run(f"SELECT MAX(id) FROM {ENTRY}")[0][0])

    # --- payloads ---

    def payload_bit(self) -> Named:
        which, name = self.commitment(), self.rng.choice(["body", "salt", "leaf_hash"])
        data = run(f"SELECT {name} FROM {PAYLOAD} WHERE commitment = %s", which)[0][0]
        run(f"UPDATE {PAYLOAD} SET {name} = %s WHERE commitment = %s", self.flipped(data), which)
        return {"payload altered"}

    def payload_text(self) -> Named:
        which, name = self.commitment(), self.rng.choice(["name", "call_id"])
        text = run(f"SELECT {name} FROM {PAYLOAD} WHERE commitment = %s", which)[0][0]
        run(f"UPDATE {PAYLOAD} SET {name} = %s WHERE commitment = %s", self.edited(text), which)
        return {"payload altered"}

    def payloads_exchanged(self) -> Named:
        rows = run(f"SELECT commitment, salt, body FROM {PAYLOAD} ORDER BY commitment")
        one, other = self.rng.sample(rows, 2)
        for target, source in ((one, other), (other, one)):
            run(f"UPDATE {PAYLOAD} SET salt = %s, body = %s WHERE commitment = %s", source[1], source[2], target[0])
        return {"payload altered"}

    def payload_replaced(self) -> Named:
        """Salt and body are new, and so is the commitment: nothing commits to it."""
        which, salt, body = self.commitment(), self.rng.randbytes(32), self.rng.randbytes(20)
        made = bytes.fromhex(leaves.commit(salt, body))
        sql = f"UPDATE {PAYLOAD} SET salt = %s, body = %s, commitment = %s WHERE commitment = %s"
        run(sql, salt, body, made, which)
        return {"payload missing"}

    def payload_gone(self) -> Named:
        run(f"DELETE FROM {PAYLOAD} WHERE commitment = %s", self.commitment())
        return {"payload missing"}

    def payload_added(self) -> Named:
        copy = f"SELECT %s, leaf_hash, name, call_id, salt, body FROM {PAYLOAD} WHERE commitment = %s"
        columns = "commitment, leaf_hash, name, call_id, salt, body"
        run(f"INSERT INTO {PAYLOAD} ({columns}) {copy}", self.rng.randbytes(32), self.commitment())
        return {"inserted"}

    # --- checkpoints and anchor ---

    def checkpoint_size(self) -> Named:
        size = self.rng.choice(self.sizes())
        free = [other for other in range(1, self._size + 5) if other not in self.sizes()]
        run(f"UPDATE {CHECKPOINT} SET size = %s WHERE size = %s", self.rng.choice(free), size)
        return {"checkpoint altered"}

    def checkpoint_root(self) -> Named:
        size = self.rng.choice(self.sizes())
        root = self.flipped(run(f"SELECT root FROM {CHECKPOINT} WHERE size = %s", size)[0][0])
        run(f"UPDATE {CHECKPOINT} SET root = %s WHERE size = %s", root, size)
        return {"checkpoint altered"}

    def checkpoint_note(self) -> Named:
        size = self.rng.choice(self.sizes())
        note = self.edited(run(f"SELECT note FROM {CHECKPOINT} WHERE size = %s", size)[0][0])
        run(f"UPDATE {CHECKPOINT} SET note = %s WHERE size = %s", note, size)
        return {"checkpoint signature"}

    def checkpoint_of_another_key(self) -> Named:
        size, root = self.rng.choice(run(f"SELECT size, root FROM {CHECKPOINT}"))
        run(f"UPDATE {CHECKPOINT} SET note = %s WHERE size = %s", self.stranger.sign(size, root), size)
        return {"checkpoint signature"}

    def checkpoint_gone(self) -> Named:
        run(f"DELETE FROM {CHECKPOINT} WHERE size = %s", self.rng.choice(self.sizes()))
        return {"deleted", "truncated"}

    def checkpoint_copied(self) -> Named:
        free = [other for other in range(1, self._size + 5) if other not in self.sizes()]
        copy = f"SELECT %s, root, note FROM {CHECKPOINT} WHERE size = %s"
        run(f"INSERT INTO {CHECKPOINT} (size, root, note) {copy}", self.rng.choice(free), self.rng.choice(self.sizes()))
        return {"checkpoint altered"}

    def checkpoint_forged(self) -> Named:
        """A head of a size that was never signed, by another key."""
        size = self.rng.choice([other for other in range(1, self._size + 5) if other not in self.sizes()])
        root = self.rng.randbytes(32)
        note = self.stranger.sign(size, root)
        run(f"INSERT INTO {CHECKPOINT} (size, root, note) VALUES (%s, %s, %s)", size, root, note)
        return {"checkpoint signature"}

    def tail_cut(self) -> Named:
        self._cut(self.rng.randrange(1, self._size))
        return {"truncated"}

    def tail_cut_and_signed_by_another(self) -> Named:
        size = self.rng.randrange(1, self._size)
        self._cut(size)
        self._sign_anew(self.stranger, [size])
        return {"checkpoint signature"}

    def tail_cut_and_signed_by_the_log(self) -> Named:
        """Whoever holds the log's key as well: the anchor alone tells."""
        size = self.rng.randrange(1, self._size)
        self._cut(size)
        self._sign_anew(self.signer, [size])
        return {"truncated"}

    def rewritten_and_signed_by_the_log(self) -> Named:
        entry = self.entry()
        leaf = self._reworded(entry)
        ts = connection.ops.adapt_datetimefield_value(leaves.moment(leaves.decode(leaf).ts))
        sql = f"UPDATE {ENTRY} SET leaf = %s, leaf_hash = %s, ts = %s WHERE id = %s"
        run(f"DELETE FROM {PAYLOAD} WHERE leaf_hash = (SELECT leaf_hash FROM {ENTRY} WHERE id = %s)", entry)
        run(sql, leaf, leaves.leaf_hash(leaf), ts, entry)
        self._sign_anew(self.signer, self.sizes())
        return {"checkpoint altered"}

    def _cut(self, size: int) -> None:
        gone = f"SELECT entry_id FROM {PLACE} WHERE log_index >= %s"
        hashes = f"SELECT leaf_hash FROM {ENTRY} WHERE id IN ({gone})"
        run(f"DELETE FROM {PAYLOAD} WHERE leaf_hash IN ({hashes})", size)
        entries = [row[0] for row in run(gone, size)]
        run(f"DELETE FROM {PLACE} WHERE log_index >= %s", size)
        run(f"DELETE FROM {ENTRY} WHERE id >= %s", min(entries))
        run(f"DELETE FROM {CHECKPOINT} WHERE size > %s", size)

    def _sign_anew(self, signer: Signer, sizes: list[int]) -> None:
        tree = Frontier()
        rows = run(f"SELECT e.leaf_hash FROM {PLACE} i JOIN {ENTRY} e ON e.id = i.entry_id ORDER BY i.log_index")
        run(f"DELETE FROM {CHECKPOINT} WHERE size IN ({', '.join(['%s'] * len(sizes))})", *sizes)
        for (leaf_hash,) in rows:
            tree.append(leaf_hash)
            if tree.size in sizes:
                note = signer.sign(tree.size, tree.root())
                run(f"INSERT INTO {CHECKPOINT} (size, root, note) VALUES (%s, %s, %s)", tree.size, tree.root(), note)

    def anchor_text(self) -> Named:
        """A letter of the file is another. Not its last two line ends: without them the note counts as torn."""
        self.notes = self.edited(self.notes[:-2]) + self.notes[-2:]
        return {"anchor"}

    def anchor_order(self) -> Named:
        notes = self._anchored()
        one, other = sorted(self.rng.sample(range(len(notes)), 2))
        notes[one], notes[other] = notes[other], notes[one]
        self.notes = "".join(notes)
        return {"anchor"}

    def anchor_doubled(self) -> Named:
        notes = self._anchored()
        at = self.rng.randrange(len(notes))
        self.notes = "".join([*notes[: at + 1], *notes[at:]])
        return {"anchor"}

    def anchor_of_another_key(self) -> Named:
        notes = self._anchored()
        size, root = self.rng.choice(run(f"SELECT size, root FROM {CHECKPOINT}"))
        notes.insert(self.rng.randrange(len(notes) + 1), self.stranger.sign(size, root) + "\n")
        self.notes = "".join(notes)
        return {"anchor"}

    def anchor_of_more(self) -> Named:
        """The anchor holds a head that the database does not: the database was set back."""
        size, root = self._size + self.rng.randrange(1, 99), self.rng.randbytes(32)
        self.notes += self.signer.sign(size, root) + "\n"
        return {"truncated"}

    def _anchored(self) -> list[str]:
        """Return the notes of the anchor, each with the blank line that ends it."""
        lines = self.notes.splitlines(keepends=True)
        return ["".join(lines[at : at + 6]) for at in range(0, len(lines), 6)]


MUTATIONS: dict[str, Callable[[Forger], Named]] = {
    name: made for name, made in vars(Forger).items() if getattr(made, "__annotations__", {}).get("return") == "Named"
}
