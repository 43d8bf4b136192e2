"""What really happened, checked against the record: the one history checker, run after every fault.

A `Witness` stands behind the upstreams. At every request that reaches one it looks into the database, from outside the
gateway, what is committed by that moment. `Told` keeps what the gateway said to its callers and approvers.
`assert_history` reads the whole record afterwards and judges the three against each other by the rules of
tests/history_rules.py.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sessions import leaf as leaves
from tests.history_rules import ENDS, INTENT, Asked, History, Reply, Sighting, faults_of
from tests.line import Answer
from tests.stored import Stored, Unreachable
from tests.upstream import FakeUpstream
from tests.upstream_answers import Seen

__all__ = ["ENDS", "INTENT", "Told", "Witness", "assert_history", "open_calls", "record"]

_BY_CONNECTION = "SELECT count(*) FROM mcp_sessions_entry WHERE kind = 'call.intent' AND connection = ?"
_BY_MARKER = (
    "SELECT count(*) FROM mcp_sessions_payload p JOIN mcp_sessions_entry e ON e.leaf_hash = p.leaf_hash "
    "WHERE e.kind = 'call.intent' AND p.name = 'request' AND {position} > 0"
)


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
        intents, of_marker = self._committed(connection, marker)
        self.sightings.append(Sighting(connection, message["method"], marker, nth, nth_of_marker, intents, of_marker))

    def _committed(self, connection: str, marker: str) -> tuple[int | None, int | None]:
        """Return the committed intents of a connection and of a marker; None while the database is out of reach."""
        try:
            of_marker = self._intents_of(marker) if marker else 0
            return int(self.stored.value(_BY_CONNECTION, connection)), of_marker
        except Unreachable:
            return None, None

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


@dataclass
class Told:
    """What the gateway said: every answer to a call, every request it named, every decision it took."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    decisions: list[tuple[str, str]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def replies(self) -> list[Reply]:
        """Return what each governed answer said of its call."""
        return [reply for answer in self.answers if (reply := _reply(answer)) is not None]


def _reply(answer: Answer) -> Reply | None:
    body = answer.body if isinstance(answer.body, dict) else {}
    holder = body.get("result", {}).get("_meta") or (body.get("error") or {}).get("data") or {}
    made = holder.get("holdgate/decision") if isinstance(holder, dict) else None
    if not made or not made.get("call_id"):
        return None
    approval = (holder.get("holdgate/approval") or {}).get("id", "")
    return Reply(made["call_id"], made.get("reason") or "", made.get("executed") or "", approval)


def history(stored: Stored, witness: Witness, told: Told, findings: Iterable[str] = ()) -> History:
    """Read everything that the rules judge. `findings` are those of the verifier."""
    asked = "SELECT id, status, binding, call_id FROM approvals_approvalrequest ORDER BY id"
    return History(
        entries=record(stored),
        sightings=list(witness.sightings),
        approvals=[Asked(*row) for row in stored.rows(asked)],
        open={row[0] for row in stored.rows("SELECT call_id FROM mcp_sessions_opencall")},
        replies=told.replies(),
        asked=list(told.asked),
        decisions=list(told.decisions),
        findings=list(findings),
    )


def assert_history(stored: Stored, witness: Witness, told: Told | None = None, findings: Iterable[str] = ()) -> None:
    """Check record, sightings and what was told against each other; to be asked when no call is open."""
    faults = faults_of(history(stored, witness, told or Told(), findings))
    assert not faults, "\n".join(faults)


def leaks(secrets: Iterable[tuple[str, str]], places: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Yield where something secret stands that should stand nowhere: as it is, in base64, or in hex."""
    forms = [
        (name, form)
        for name, value in secrets
        for form in (value.encode(), base64.b64encode(value.encode())[:-4], value.encode().hex().encode())
    ]
    for where, content in places:
        yield from (f"{name} in {where}" for name, form in forms if form in content)
