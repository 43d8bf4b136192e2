"""Token buckets in the database, one for each limit and whom it limits, shared by all processes.

Tokens are taken by compare-and-set, several at a time: a process leases a fiftieth of the limit and spends it from
memory, so that most calls ask the database nothing. A leased token that is not spent is lost after the period.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from approvals.database import database_now
from proxy.models import RateBucket

if TYPE_CHECKING:
    from approvals.config.connections import Rate

PORTION = 50
FORGOTTEN_AFTER = timedelta(days=2)  # a period is a day at most
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Lease:
    """So many calls may go ahead; of none, seconds until one may."""

    tokens: int
    wait: float = 0.0


def lease(scope: str, rate: Rate) -> Lease:
    """Take what one process may spend before it asks again, by the database's clock."""
    speed = rate.calls / rate.per
    for _ in range(_TRIES):
        with transaction.atomic():
            now = database_now()
            made = {"tokens": float(rate.calls), "at": now, "turn": 0}
            bucket, _ = RateBucket.objects.get_or_create(scope=scope, defaults=made)
            passed = max(0.0, (now - bucket.at).total_seconds())
            full = min(float(rate.calls), bucket.tokens + passed * speed)
            taken = min(max(1, rate.calls // PORTION), math.floor(full))
            if taken == 0:
                return Lease(0, (1.0 - full) / speed)
            mine = RateBucket.objects.filter(scope=scope, turn=bucket.turn)
            if mine.update(tokens=full - taken, at=now, turn=F("turn") + 1) == 1:
                return Lease(taken)
    return Lease(0, 1.0)  # so many ask at this moment that nobody could be told for sure


def forget_old() -> int:
    """Delete buckets that have long been full again; return how many."""
    return RateBucket.objects.filter(at__lte=database_now() - FORGOTTEN_AFTER).delete()[0]
