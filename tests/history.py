"""What really happened, checked against the record: no execution without an intent before it, none twice, no loose end.

A `Witness` stands behind the upstreams. At every request that reaches one it looks into the database, from outside the
gateway, what is committed by that moment. `assert_history` reads the whole record afterwards.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sessions import leaf as leaves
from tests.stored import Stored
from tests.upstream import FakeUpstream
from tests.upstream_answers import Seen

INTENT, APPROVED = "call.intent", "approval.approved"
# What ends a call that had an intent. Refusals of its repeats carry the same call id and end nothing.
ENDS = frozenset({"call.result", "call.failed", "call.unknown", "call.cancelled", "call.abandoned"})
_BY_CONNECTION = "SELECT count(*) FROM mcp_sessions_entry WHERE kind = 'call.intent' AND connection = ?"
_BY_MARKER = (
    "SELECT count(*) FROM mcp_sessions_payload p JOIN mcp_sessions_entry e ON e.leaf_hash = p.leaf_hash "
    "WHERE e.kind = 'call.intent' AND p.name = 'request' AND {position} > 0"
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A request that reached an upstream, and how many intents were committed when it did."""

    connection: str
    method: str
    marker: str
    nth: int  # of this connection
    nth_of_marker: int
    intents: int
    intents_of_marker: int


@dataclass
class Witness:
    """Watches upstreams. Its database connection is its own."""

    stored: Stored
    sightings: list[Sighting] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _requests: Counter[str] = field(default_factory=Counter)
    _markers: Counter[str] = field(default_factory=Counter)

    def watch(self, connection: str, upstream: FakeUpstream) -> None:
        """Look at the record whenever a message reaches this upstream, before the upstream does anything."""
        upstream.witness = lambda seen: self._see(connection, seen)

    def _see(self, connection: str, seen: Seen) -> None:
        message = _message(seen)
        # An answer to a request of the server's own is no call.
        if seen.verb != "POST" or "method" not in message:
            return
        marker = str((message.get("params") or {}).get("arguments", {}).get("marker", ""))
        with self._lock:
            self._requests[connection] += 1
            self._markers[marker] += 1
            nth, nth_of_marker = self._requests[connection], self._markers[marker]
        sighting = Sighting(
            connection=connection,
            method=message["method"],
            marker=marker,
            nth=nth,
            nth_of_marker=nth_of_marker,
            intents=self.stored.value(_BY_CONNECTION, connection),
            intents_of_marker=self._intents_of(marker) if marker else 0,
        )
        self.sightings.append(sighting)

    def _intents_of(self, marker: str) -> int:
        position = "instr(p.body, CAST(? AS BLOB))" if self.stored.is_sqlite else "position(? in p.body)"
        return int(self.stored.value(_BY_MARKER.format(position=position), marker.encode()))


def _message(seen: Seen) -> dict[str, Any]:
    message = json.loads(seen.body) if seen.body else {}
    assert isinstance(message, dict), message
    return message


def record(stored: Stored) -> list[leaves.Leaf]:
    """Return the whole record, in the order in which it was committed."""
    return [leaves.decode(row[0]) for row in stored.rows("SELECT leaf FROM mcp_sessions_entry ORDER BY id")]


def open_calls(stored: Stored) -> int:
    """Return how many calls have an intent and no end yet."""
    return int(stored.value("SELECT count(*) FROM mcp_sessions_opencall"))


def assert_history(stored: Stored, witness: Witness) -> None:
    """Check record and sightings against each other; to be asked when no call is open."""
    entries = record(stored)
    _assert_calls(entries)
    _assert_decisions(entries)
    for seen in witness.sightings:
        assert seen.nth <= seen.intents, f"no intent before {seen}"
        if seen.marker:
            assert seen.nth_of_marker <= seen.intents_of_marker, f"no intent before {seen}"


def _assert_calls(entries: Sequence[leaves.Leaf]) -> None:
    """Each call has one intent at most, and each intent exactly one end, after it."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.kind == INTENT or entry.kind in ENDS:
            found[entry.call].append(entry.kind)
    for call, kinds in found.items():
        assert kinds[0] == INTENT, f"{call} ended without an intent: {kinds}"
        assert len(kinds) == 2, f"{call} has not one intent and one end: {kinds}"
        assert kinds[1] in ENDS, f"{call} has two intents: {kinds}"


def _assert_decisions(entries: Sequence[leaves.Leaf]) -> None:
    """Each intent under an approval comes after that approval was given, and no approval serves two."""
    approved: dict[str, str] = {}
    used: set[str] = set()
    for entry in entries:
        approval = str(entry.facts.get("approval") or "")
        if entry.kind == APPROVED:
            approved[approval] = str(entry.facts["binding"])
        if entry.kind != INTENT or entry.facts.get("verdict") != "hold":
            continue
        assert approval in approved, f"{entry.call} was begun without a decision"
        assert approved[approval] == entry.facts["binding"], f"{entry.call} was begun under another call's decision"
        assert approval not in used, f"approval {approval} served twice"
        used.add(approval)
