"""What emergencies owe, as one person sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals.break_glass import may_not_close
from approvals.models import Review
from approvals.selectors import sees_payload, visible_to

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.policy import Policy
    from approvals.verdicts import Caller


@dataclass(frozen=True, slots=True)
class Debt:
    """One break-glass as one person sees it: `why_not` says why they may not close its review."""

    review: Review
    why_not: str
    is_shown: bool
    """Whether they may read what people wrote about it."""


def reviews_for(caller: Caller, policy: Policy) -> QuerySet[Review]:
    """Return the break-glasses of which a person may know."""
    return Review.objects.filter(request__in=visible_to(caller, policy)).select_related("request")


def debt_of(review: Review, caller: Caller, policy: Policy) -> Debt:
    """Return a break-glass as this person sees it."""
    return Debt(review, may_not_close(review, caller, policy), sees_payload(review.request, caller, policy))
