"""Every table of a bundle, made from its entries alone: by who exports, and once more by who verifies.

Pure but for the files it writes, and of the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from sessions.evidence.grouped import Calls, Requests
from sessions.evidence.tables import Read, Tables

# The payloads that say who is behind a pseudonym.
ACCOUNTS: Final = {
    "session.started": "caller",
    "approval.voted": "voter",
    "approval.break_glass": "voter",
    "approval.reviewed": "voter",
    "approval.resolved": "voter",
    "review.started": "reviewer",
    "review.decided": "reviewer",
    "review.followed_up": "reviewer",
    "review.closed": "reviewer",
}
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
    """

    def __init__(self, folder: Path, since: str, until: str) -> None:
        self._since, self._until = since, until
        self._tables, self._calls, self._requests = Tables(folder), Calls(folder), Requests(folder)
        self._sessions: set[str] = set()
        self._told: list[_Told] = []

    def entry(self, read: Read) -> None:
        """Take an entry."""
        leaf = read.leaf
        counts = self._since <= leaf.ts < self._until
        self._calls.entry(read, counts=counts)
        self._requests.entry(read, counts=counts)
        account = leaf.payloads.get(ACCOUNTS.get(leaf.kind, ""))
        if account is not None:
            self._told.append(_Told(leaf.actor, account.digest, read.place, leaf.kind, ""))
        if leaf.session and leaf.session not in self._sessions:
            self._sessions.add(leaf.session)
            if leaf.kind != "session.started":
                self._told.append(_Told("", "", "", EARLIER, leaf.session))
        if counts:
            self._tables.entry(read)

    def accounts(self) -> set[str]:
        """Return the commitments of the payloads that say who somebody is."""
        return {one.commitment for one in self._told if one.commitment}

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
        for part in (self._tables, self._calls, self._requests):
            part.close()
        return {
            "kinds": dict(sorted(self._tables.counts.items())),
            "rows": {**self._tables.rows, "calls": self._calls.rows, "approvals": self._requests.rows},
            "decided_by_requester": self._requests.decided_by_requester,
            "different_calls": self._requests.different_calls,
        }
