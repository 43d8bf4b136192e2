"""Every table of a bundle, made from its entries alone: by who exports, and once more by who verifies.

Pure but for the files it writes, and of the standard library alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from sessions.evidence.criteria import OUT_OF_SCOPE, mapped
from sessions.evidence.grouped import Calls, Requests
from sessions.evidence.gwverify.populations import population_of
from sessions.evidence.sampling import Samples
from sessions.evidence.tables import Read, Table, Tables

# The payloads that say who is behind a pseudonym.
ACCOUNTS: Final = {
    "session.started": "caller",
    "approval.voted": "voter",
    "approval.break_glass": "voter",
    "approval.reviewed": "voter",
    "approval.resolved": "voter",
    "person.signed_in": "who",
    "review.started": "reviewer",
    "review.decided": "reviewer",
    "review.followed_up": "reviewer",
    "review.closed": "reviewer",
}
REQUESTED: Final = "approval.requested"
# A review of access that is over brings all its lines.
REVIEWED: Final = "review.closed"
REVIEW: Final = "about"
_TIED: Final = ("table", "rows", "entries", "first_log_index", "last_log_index", "ties")
_CRITERIA: Final = ("category", "criteria", "asks", "shows", "file", "rows")
_REVIEWS: Final = (
    "campaign", "log_index", "title", "number", "group", "connection", "role", "tools", "kinds", "members", "calls",
    "last_call", "decision", "comment", "decided_by", "decided_at", "settled", "settled_by", "settled_at",
)  # fmt: skip
EARLIER: Final = "session.started, before this bundle"


class _Told(NamedTuple):
    """Who may be behind a pseudonym: by the commitment of a payload, or by the start of a session before."""

    actor: str
    commitment: str
    place: int | str
    kind: str
    session: str


class Derived:
    """Takes the entries of a bundle in order; `close` writes what is left and returns the counts.

    `since` and `until` are timestamps as leaves spell them: what is outside leads into the period and has no row.
    `root` (hex) is that of the last checkpoint, of which samples are drawn.
    """

    def __init__(self, folder: Path, since: str, until: str, root: str) -> None:
        self._folder, self._since, self._until = folder, since, until
        self._samples = Samples(folder, root)
        self._reviews: list[tuple[str, int, str]] = []  # campaign, log index, commitment
        self._tables, self._calls, self._requests = Tables(folder), Calls(folder), Requests(folder)
        self._sessions: set[str] = set()
        self._told: list[_Told] = []

    def entry(self, read: Read) -> None:
        """Take an entry."""
        leaf = read.leaf
        counts = self._since <= leaf.ts < self._until
        if self._calls.entry(read, counts=counts):
            self._samples.take("calls", read)
        self._requests.entry(read, counts=counts)
        account = leaf.payloads.get(ACCOUNTS.get(leaf.kind, ""))
        if account is not None:
            self._told.append(_Told(leaf.actor, account.digest, read.place, leaf.kind, ""))
        if leaf.session and leaf.session not in self._sessions:
            self._sessions.add(leaf.session)
            if leaf.kind != "session.started":
                self._told.append(_Told("", "", "", EARLIER, leaf.session))
        if counts:
            self._counted(read)

    def _counted(self, read: Read) -> None:
        leaf = read.leaf
        self._tables.entry(read)
        self._samples.take(population_of(leaf.kind), read)
        if leaf.kind == REQUESTED:
            self._samples.take("approvals", read)
        elif leaf.kind == REVIEWED and REVIEW in leaf.payloads:
            self._reviews.append((leaf.facts["campaign"], read.place, leaf.payloads[REVIEW].digest))

    def accounts(self) -> set[str]:
        """Return the commitments of the payloads that stand in a table: who somebody is, and closed reviews."""
        told = {one.commitment for one in self._told if one.commitment}
        return told | {commitment for _, _, commitment in self._reviews}

    def begun_before(self) -> list[str]:
        """Return the sessions of which the bundle does not have the first entry."""
        return [one.session for one in self._told if one.session]

    def close(self, bodies: Mapping[str, bytes], earlier: Mapping[str, tuple[str, bytes]]) -> dict[str, Any]:
        """Write who is who, finish all files and return counts, and what must be zero.

        `bodies` are payloads by commitment, `earlier` pseudonym and account by session; what was erased is missing.
        """
        for one in self._told:
            if one.session in earlier:
                self._tables.person(*earlier[one.session], one.place, one.kind)
            elif one.commitment in bodies:
                self._tables.person(one.actor, bodies[one.commitment], one.place, one.kind)
        for part in (self._tables, self._calls, self._requests, self._samples):
            part.close()
        rows = {**self._tables.rows, "calls": self._calls.rows, "approvals": self._requests.rows}
        self._write_reviews(bodies)
        self._tie(rows)
        write_criteria(self._folder / "controls" / "map.csv", rows)
        return {
            "kinds": dict(sorted(self._tables.counts.items())),
            "rows": rows,
            "decided_by_requester": self._requests.decided_by_requester,
            "different_calls": self._requests.different_calls,
        }

    def _write_reviews(self, bodies: Mapping[str, bytes]) -> None:
        table = Table(self._folder / "access" / "reviews.csv", _REVIEWS)
        for campaign, place, commitment in self._reviews:
            told = json.loads(bodies[commitment]) if commitment in bodies else {"lines": []}
            for line in told["lines"]:
                named = {"campaign": campaign, "log_index": place, "title": told["title"]}
                table.add({**{name: line.get(name) for name in _REVIEWS}, **named})
        table.close()

    def _tie(self, rows: Mapping[str, int]) -> None:
        """Set the rows of each table beside how many entries of the log's stretch they come from."""
        entries: Counter[str] = Counter()
        for kind, number in self._tables.counts.items():
            entries[population_of(kind)] += number
        entries["approvals"], entries["calls"] = self._tables.counts[REQUESTED], rows["calls"]
        table = Table(self._folder / "integrity" / "tie_out.csv", _TIED)
        for name in sorted(rows):
            first, last = self._tables.spans.get(name, ("", ""))
            told = {"table": name, "rows": rows[name], "entries": entries[name], "ties": rows[name] == entries[name]}
            table.add({**told, "first_log_index": first, "last_log_index": last})
        told = {"table": "all tables of entries", "rows": sum(self._tables.rows.values())}
        total = sum(self._tables.counts.values())
        table.add({**told, "entries": total, "ties": told["rows"] == total})
        table.close()


def kept(kind: str) -> tuple[str, ...]:
    """Return the names of the payloads of such an entry that stand in a table, and so are in every bundle."""
    return (ACCOUNTS.get(kind, ""), REVIEW if kind == REVIEWED else "")


def write_criteria(path: Path, rows: Mapping[str, int]) -> None:
    """Write which tables speak to which criterion, and what is out of scope."""
    table = Table(path, _CRITERIA)
    for one in mapped(rows):
        criterion = one.criterion
        about = {"category": criterion.category, "criteria": criterion.ids, "asks": criterion.asks}
        for file, number in one.rows:
            table.add({**about, "shows": criterion.shows, "file": file, "rows": number})
    for ids, what in OUT_OF_SCOPE:
        table.add({"category": "out of scope", "criteria": ids, "asks": what})
    table.close()
