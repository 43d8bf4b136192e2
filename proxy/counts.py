"""Refusals before a call exists (no token, no access, malformed): counted, and recorded once a minute.

A flood of them must not become a flood of entries.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from approvals.config.schema import BUILT_IN
from sessions.events import Event
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.runtime import Runtime

FLUSH_SECONDS = 60.0
MOST_CONNECTIONS = 200


class Counts:
    """Counts of one process by reason and connection since the last flush."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.observe: Callable[[str, str], None] | None = None  # told of each; the connection is what was asked for

    def add(self, reason: str, connection: str) -> None:
        """Count one refusal. Names that callers make up beyond a limit are counted together."""
        if self.observe is not None:
            self.observe(reason, connection)
        key = (reason, connection[:63])
        if key not in self._counts and len(self._counts) >= MOST_CONNECTIONS:
            key = (reason, "")
        self._counts[key] += 1

    async def flush(self, house: Runtime) -> None:
        """Record what was counted and begin anew. What could not be recorded is counted on."""
        counts, self._counts = self._counts, Counter()
        snapshot = house.policies.current
        known = {*snapshot.policy.config.connections, BUILT_IN}
        merged: Counter[tuple[str, str]] = Counter()
        for (reason, connection), count in counts.items():
            merged[reason, connection if connection in known else ""] += count
        events = [
            Event(
                kind="access.counted",
                connection=connection,
                policy_revision=snapshot.revision,
                policy_digest=snapshot.digest,
                facts={"reason": reason, "count": count},
            )
            for (reason, connection), count in sorted(merged.items())
        ]
        try:
            await house.journal.append(*events)
        except RecordUnavailable:
            self._counts.update(counts)
