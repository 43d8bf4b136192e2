"""Calls that were begun and that nobody will end any more. What becomes of them is not ours to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from sessions import leaf as leaves
from sessions.models import Entry, GatewayProcess, OpenCall

DEAD_AFTER: Final = timedelta(seconds=15)
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class AbandonedCall:
    """A call whose intent is committed and whose outcome nobody is going to record. `leaf` is that intent."""

    call_id: str
    writer: str
    leaf: leaves.Leaf


def open_calls(*, now: datetime, exclusive: bool = False, writer: str = "") -> list[AbandonedCall]:
    """Return up to 500 open calls past their `recover_after`, or whose process stopped or fell silent.

    `now` is the database's clock. `exclusive` says that no process but `writer` can be alive, because one
    process owns the database: then the calls of every other process are returned at once. To be asked in the
    transaction that ends them (`Journal.transact`), so that no call is ended twice.
    """
    alive = GatewayProcess.objects.filter(stopped_at=None, heartbeat_at__gt=now - DEAD_AFTER)
    if exclusive:
        alive = alive.filter(id=writer)
    # Whoever asks is alive, however late its own heartbeat may be.
    silent = ~Q(writer__in=alive.values("id")) & ~Q(writer=writer)
    calls = OpenCall.objects.filter(Q(recover_after__lte=now) | silent)
    found = {bytes(call.leaf_hash): call for call in calls.order_by("call_id")[:_AT_ONCE]}
    entries = Entry.objects.filter(leaf_hash__in=list(found)).values_list("leaf_hash", "leaf")
    return [
        AbandonedCall(found[bytes(leaf_hash)].call_id, found[bytes(leaf_hash)].writer, leaves.decode(bytes(leaf)))
        for leaf_hash, leaf in entries
    ]
