"""Holds that nobody could decide: told at start, in /readyz, by `manage.py check` and on the dashboard.

Such a call is still held; it would only wait in vain.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from approvals.database import database_now
from approvals.models import Person
from approvals.policy import quorum_gaps
from approvals.standing import caller_of

if TYPE_CHECKING:
    from approvals.policy import Policy

SEEN_WITHIN = timedelta(days=90)
MOST_PEOPLE = 10_000


def unreachable_quorums(policy: Policy) -> list[str]:
    """Return one sentence for each hold whose quorum the known people cannot make up.

    Known are the members of local groups and the people seen within the last 90 days, as the policy sees them now.
    """
    seen_since = database_now() - SEEN_WITHIN
    people = Person.objects.filter(is_active=True, last_seen_at__gt=seen_since).order_by("-last_seen_at")
    seen = {person.key: caller_of(person, policy).groups for person in people[:MOST_PEOPLE]}
    return [str(gap) for gap in quorum_gaps(policy.config, seen)]
