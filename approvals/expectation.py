"""How long people usually take to decide, for callers that could do something else meanwhile."""

from __future__ import annotations

from statistics import median

from approvals.models import ApprovalRequest
from approvals.states import Status

LATEST = 20
ENOUGH = 5
# Ended by a decision of people; a withdrawal has a time as well, and says nothing of them.
_DECIDED = [
    status.value
    for status in Status
    if status not in {Status.PENDING, Status.CANCELLED, Status.EXPIRED, Status.SUPERSEDED}
]


def usual_seconds(request: ApprovalRequest) -> int | None:
    """Return the median of the latest requests under the same terms, in seconds; None when there were too few."""
    decided = ApprovalRequest.objects.filter(
        rule_fingerprint=request.rule_fingerprint, decided_at__isnull=False, status__in=_DECIDED, source="quorum"
    )
    times = decided.order_by("-pk").values_list("created_at", "decided_at")[:LATEST]
    taken = [(after - before).total_seconds() for before, after in times if after is not None]
    return round(median(taken)) if len(taken) >= ENOUGH else None
