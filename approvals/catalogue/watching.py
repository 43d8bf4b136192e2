"""Which connections' tools the gateway looks at without a caller, when, and what came of it.

Each connection is looked at by one process at a time: whoever moves `tried_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from approvals.catalogue.models import PinnedConnection
from approvals.database import database_now
from approvals.rules.ruleset import fingerprint

if TYPE_CHECKING:
    from approvals.config.schema import Connection

# Of one connection never more often, whatever asks for it.
SHORTEST = timedelta(seconds=10)
AFTER_FAILURE = timedelta(seconds=60)
LONGEST_REASON = 300
_OF_HTTP = {"transport", "protocol", "url", "credential", "pin_tools", "tls", "proxy"}
_OF_STDIO = {"transport", "protocol", "command", "environment", "cwd", "pin_tools"}
_OF_AGENT = {"transport", "protocol", "agent", "pin_tools"}
_OF = {"http": _OF_HTTP, "stdio": _OF_STDIO, "agent": _OF_AGENT}


def place_of(connection: Connection) -> str:
    """Return the digest of where and as whom the tools are looked at; another one is a reason to look."""
    return fingerprint(connection.model_dump(mode="json", include=_OF[connection.transport], exclude_none=True))


def claim(
    places: Mapping[str, str],
    period: timedelta,
    asked: frozenset[str] = frozenset(),
    *,
    seldom: frozenset[str] = frozenset(),
) -> list[str]:
    """Return the connections (name to place) that this process is to look at now; no other one does meanwhile.

    Due is what is new or moved, what an admin or a server `asked` for, what failed a while ago, and what was last
    looked at a `period` ago. The last is no reason for those that are to be looked at `seldom`.
    """
    if not places:
        return []
    new = [PinnedConnection(name=name) for name in places]
    known = PinnedConnection.objects.in_bulk(list(places))
    if len(known) < len(new):
        PinnedConnection.objects.bulk_create(new, ignore_conflicts=True)
        known = PinnedConnection.objects.in_bulk(list(places))
    now = database_now()
    due = [
        row
        for name, row in known.items()
        if _is_due(row, places[name], None if name in seldom else period, now, is_asked=name in asked)
    ]
    return [row.name for row in due if _taken(row, places[row.name], now)]


def _is_due(row: PinnedConnection, place: str, period: timedelta | None, now: datetime, *, is_asked: bool) -> bool:
    if row.tried_at is None or row.looked_for != place:
        return True
    reasons = [(period, True), (AFTER_FAILURE, bool(row.look_failed)), (SHORTEST, row.is_due or is_asked)]
    pauses = [pause for pause, holds in reasons if holds and pause is not None]
    return bool(pauses) and now - row.tried_at >= min(pauses)


def _taken(row: PinnedConnection, place: str, now: datetime) -> bool:
    mine = PinnedConnection.objects.filter(pk=row.pk, tried_at=row.tried_at)
    return mine.update(tried_at=now, looked_for=place, is_due=False) == 1


def looked(name: str, failed: str = "") -> None:
    """Keep what came of looking: why it failed, or nothing when all tools were seen."""
    row = PinnedConnection.objects.filter(pk=name)
    if failed:
        row.update(look_failed=failed[:LONGEST_REASON])
    else:
        row.update(look_failed="", looked_at=database_now())


def ask(name: str) -> None:
    """Let some process look at the connection's tools soon."""
    if not PinnedConnection.objects.filter(pk=name).update(is_due=True):
        PinnedConnection.objects.bulk_create([PinnedConnection(name=name, is_due=True)], ignore_conflicts=True)
