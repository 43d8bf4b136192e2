"""From events to rows: numbers them, stamps them, commits to their payloads, encodes the leaf."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sessions import leaf as leaves
from sessions.events import INTENT, SESSION_STARTED, Event
from sessions.store import Rows

_KNOWN_SESSIONS = 50_000
_SALTS_AT_ONCE = 64


class Sealed(NamedTuple):
    """One event as rows: its entry and payloads, and what it means for the derived tables."""

    event: Event
    entry: tuple[Any, ...]
    payloads: list[tuple[Any, ...]]
    ts: datetime


class Sealer:
    """Makes the leaves of one writer. `n` is the number of its next entry; rewind it when a commit fails."""

    def __init__(self, *, origin: str, build: str, writer: str) -> None:
        self.n = 0
        self._origin = origin
        self._build = build
        self._writer = writer
        self._last = datetime.min.replace(tzinfo=UTC)
        self._sessions: set[str] = set()
        self._salts: list[bytes] = []

    def seal(self, events: Iterable[Event]) -> list[Sealed]:
        """Return the events as rows, numbered on from `n`. Raises LeafInvalid, and then no number is used."""
        start = self.n
        try:
            return [self._one(event) for event in events]
        except BaseException:
            self.n = start
            raise

    def add(self, sealed: Iterable[Sealed], rows: Rows, now: datetime) -> None:
        """Put sealed events into `rows`, and what changes in derived tables. `now`: the database's clock."""
        for one in sealed:
            event = one.event
            rows.entries.append(one.entry)
            rows.payloads.extend(one.payloads)
            if event.session and (event.actor or event.kind == SESSION_STARTED):
                self._note_session(one, rows)
            if event.kind == INTENT and event.call_id:
                late = event.recover_after
                recover = None if late is None else now + timedelta(seconds=late)
                rows.opened.append((event.call_id, one.entry[1], self._writer, recover))
            elif event.ends_call:
                rows.closed.append(event.call_id)

    def remember(self, rows: Rows) -> None:
        """Note, after the commit, which sessions have their row."""
        if len(self._sessions) > _KNOWN_SESSIONS:
            self._sessions.clear()
        self._sessions.update(row[0] for row in rows.sessions)

    def _one(self, event: Event) -> Sealed:
        self._last = max(datetime.now(UTC), self._last)
        payloads: list[tuple[Any, ...]] = []
        commitments: dict[str, leaves.Commitment] = {}
        for name, body in event.payloads.items():
            salt = self._salt()
            digest = leaves.commit(salt, body)
            commitments[name] = leaves.Commitment(digest=digest, length=len(body))
            payloads.append((name, salt, body, digest))
        data = leaves.encode(self._leaf(event, commitments))
        self.n += 1
        leaf_hash = leaves.leaf_hash(data)
        return Sealed(
            event=event,
            entry=(
                data,
                leaf_hash,
                event.kind,
                self._last,
                event.call_id,
                event.session,
                event.connection,
                event.tool,
                event.actor,
            ),
            payloads=[
                (bytes.fromhex(digest), leaf_hash, name, event.call_id, salt, body)
                for name, salt, body, digest in payloads
            ],
            ts=self._last,
        )

    def _salt(self) -> bytes:
        # Drawn in blocks: every call to the system gives the interpreter away to the other threads.
        if not self._salts:
            block = os.urandom(leaves.SALT_BYTES * _SALTS_AT_ONCE)
            self._salts = [block[at : at + leaves.SALT_BYTES] for at in range(0, len(block), leaves.SALT_BYTES)]
        return self._salts.pop()

    def _leaf(self, event: Event, commitments: dict[str, leaves.Commitment]) -> leaves.Leaf:
        return leaves.Leaf(
            origin=self._origin,
            kind=event.kind,
            ts=leaves.timestamp(self._last),
            writer=self._writer,
            n=self.n,
            build=self._build,
            revision=event.policy_revision,
            digest=event.policy_digest,
            call=event.call_id,
            session=event.session,
            connection=event.connection,
            method=event.method,
            tool=event.tool,
            actor=event.actor,
            facts=event.facts,
            payloads=commitments,
        )

    def _note_session(self, one: Sealed, rows: Rows) -> None:
        event = one.event
        if event.session in self._sessions:
            return
        run = event.payloads.get("run", b"").decode("utf-8", "replace") if event.kind == SESSION_STARTED else ""
        rows.sessions.append((event.session, event.actor, event.connection, run, one.ts))
