"""How long people take to decide: figures over the newest decisions, from the requests themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from approvals.models import ApprovalRequest, Vote
from sessions.ids import first_id

WITHIN = timedelta(days=30)
LOOKED_AT = 500
# Of fewer decisions a middle would tell of chance.
ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Usual:
    """Seconds within which half, and nine of ten, of so many decisions were made."""

    half: float
    most: float
    count: int


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of the ordered values lies (nearest rank). There must be one."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def usual(seconds: Sequence[float]) -> Usual | None:
    """Return the figures of these durations; None of too few."""
    if len(seconds) < ENOUGH:
        return None
    ordered = sorted(seconds)
    return Usual(quantile(ordered, 0.5), quantile(ordered, 0.9), len(ordered))


def usual_of_rule(fingerprint: str, now: datetime) -> Usual | None:
    """Return how long people took for this rule, as it is written now, in 30 days: the newest LOOKED_AT decisions."""
    decided = ApprovalRequest.objects.filter(
        Exists(Vote.objects.filter(request=OuterRef("pk"))),
        rule_fingerprint=fingerprint,
        id__gt=first_id(now - WITHIN),
        decided_at__isnull=False,
    )
    pairs = decided.order_by("-id").values_list("created_at", "decided_at")[:LOOKED_AT]
    return usual([(at - created).total_seconds() for created, at in pairs if at])
