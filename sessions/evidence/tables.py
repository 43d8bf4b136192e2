"""The tables of a bundle that are written entry by entry: what happened, who is who, the minutes.

Pure but for the files it writes. Memory grows with the calls and requests that are open, and with the minutes.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from sessions.content import Leaf
from sessions.evidence.gwverify.populations import POPULATIONS, population_of

_DANGEROUS: Final = frozenset("=+-@\t\r")
_JSON: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_ENTRY: Final = (
    "log_index", "leaf_hash", "ts", "kind", "call", "session", "connection", "method", "tool", "actor",
    "policy_revision", "policy_digest",
)  # fmt: skip
# The facts that have a column of their own, by population; whatever else an entry says stands in the last one.
_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "votes": ("approval", "rule", "decision", "via", "reason", "on_behalf_of", "call"),
    "decisions": ("approval", "rule", "expires_at", "milliseconds", "call"),
    "break_glass": ("approval", "rule"),
    "blocked": ("reason", "verdict", "rules", "executed"),
    "executions": ("executed", "reason", "rules", "approval", "call"),
    "policy_changes": ("changed", "loosens", "reverts", "proposal", "confirmed_by"),
    "processes": ("pid", "settings"),
    "sign_ins": ("via", "reason"),
    "credential_rotations": ("reference", "version", "was"),
    "outages": ("detail", "seconds"),
    "access_reviews": ("campaign", "line", "group", "role", "tools", "decision", "own", "lines", "due"),
}
_PEOPLE: Final = ("pseudonym", "issuer", "subject", "name", "kind", "groups", "log_index", "known_from")
_MINUTES: Final = ("minute", "begun", "answered", "failed", "unknown", "refused", "process_starts", "process_stops",
            "servers_down", "servers_up")  # fmt: skip
_COUNTED: Final = {
    "call.intent": "begun", "call.result": "answered", "call.failed": "failed", "call.unknown": "unknown",
    "call.refused": "refused", "call.blocked": "refused", "process.started": "process_starts",
    "process.stopped": "process_stops", "server.down": "servers_down", "server.up": "servers_up",
}  # fmt: skip


class Read(NamedTuple):
    """An entry with its place and hash (hex)."""

    place: int
    digest: str
    leaf: Leaf


class Table:
    """One CSV file (RFC 4180, UTF-8). No cell can be taken for a formula by a spreadsheet."""

    def __init__(self, path: Path, columns: Iterable[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="")
        self._columns = tuple(columns)
        self._writer = csv.writer(self._file)
        self._writer.writerow(self._columns)
        self.rows = 0

    def add(self, values: Mapping[str, Any]) -> None:
        """Write one row; a column without a value stays empty."""
        self.row([values.get(name, "") for name in self._columns])

    def row(self, values: Iterable[Any]) -> None:
        """Write one row whose values come in the order of the columns."""
        # Nearly all are plain text, and there are some twenty million in a bundle of a million entries.
        self._writer.writerow(
            [one if type(one) is int or (type(one) is str and one[:1] not in _DANGEROUS) else _cell(one)
             for one in values]
        )  # fmt: skip
        self.rows += 1

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = "; ".join(value)
    if not isinstance(value, str):
        value = _JSON(value)
    return f"'{value}" if value[:1] in _DANGEROUS else value


class Tables:
    """Everything that is told of single entries: one table per population, who is who, and the minutes."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._populations = {
            name: Table(folder / "population" / f"{name}.csv", (*_ENTRY, *map(_column, _FACTS.get(name, ())), "facts"))
            for name in POPULATIONS
        }
        self._people = Table(folder / "access" / "people.csv", _PEOPLE)
        self._minutes = Table(folder / "availability" / "minutes.csv", _MINUTES)
        self._by_minute: dict[str, Counter[str]] = {}
        self._known: set[tuple[str, bytes]] = set()
        self.spans: dict[str, tuple[int, int]] = {}

    @property
    def rows(self) -> dict[str, int]:
        """Return how many rows each population has."""
        return {name: table.rows for name, table in self._populations.items()}

    def entry(self, read: Read) -> None:
        """Take an entry of the period."""
        leaf = read.leaf
        self.counts[leaf.kind] += 1
        name = population_of(leaf.kind)
        wanted, facts = _FACTS.get(name, ()), leaf.facts
        own = [facts.get(fact) for fact in wanted]
        rest = {fact: value for fact, value in facts.items() if fact not in wanted} or ""
        # In the order of _ENTRY.
        self._populations[name].row(
            [read.place, read.digest, leaf.ts, leaf.kind, leaf.call, leaf.session, leaf.connection, leaf.method,
             leaf.tool, leaf.actor, leaf.revision, leaf.digest, *own, rest]
        )  # fmt: skip
        self.spans[name] = (self.spans.get(name, (read.place,))[0], read.place)
        if leaf.kind in _COUNTED:
            self._by_minute.setdefault(leaf.ts[:16] + "Z", Counter())[_COUNTED[leaf.kind]] += 1

    def person(self, actor: str, account: bytes, index: int | str, known_from: str) -> None:
        """Take who stands behind a pseudonym, as an entry says it; once for each way in which it is said."""
        if (actor, account) in self._known:
            return
        self._known.add((actor, account))
        told = json.loads(account)
        named = {"issuer": "iss", "subject": "sub", "name": "display", "kind": "kind", "groups": "groups"}
        row = {column: told.get(key) for column, key in named.items()}
        self._people.add({"pseudonym": actor, **row, "log_index": index, "known_from": known_from})

    def close(self) -> None:
        """Write what was counted and finish the files."""
        for minute in sorted(self._by_minute):
            self._minutes.add({**dict.fromkeys(_MINUTES, 0), **self._by_minute[minute], "minute": minute})
        for table in (*self._populations.values(), self._people, self._minutes):
            table.close()


def _column(fact: str) -> str:
    """The fact `call` is the digest of what was asked for; the column of that name is the call's id."""
    return "call_digest" if fact == "call" else fact
