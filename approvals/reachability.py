"""Holds that nobody could decide: told at start, in /readyz, by `manage.py check` and on the dashboard.

Such a call is still held; it would only wait in vain.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q, Value
from django.db.models.functions import Concat

from approvals.database import database_now
from approvals.models import AccountLink, Person
from approvals.rules.groups import known_people, quorum_gaps
from approvals.standing import caller_of
from approvals.ties import STANDING

if TYPE_CHECKING:
    from approvals.policy import Policy

SEEN_WITHIN = timedelta(days=90)
MOST_PEOPLE = 10_000


def unreachable_quorums(policy: Policy) -> list[str]:
    """Return one sentence for each hold whose quorum the known people cannot make up.

    Known are the members of local groups and the people seen within the last 90 days, as the policy sees them now.
    """
    return [str(gap) for gap in quorum_gaps(policy.config, _seen(policy), _same(policy))]


def people_by_group(policy: Policy) -> dict[str, int]:
    """Return how many people are known in each group that may decide something."""
    known = known_people(policy.config, _seen(policy), _same(policy)).values()
    return {name: sum(name in groups for groups in known) for name in policy.deciding_groups}


def _seen(policy: Policy) -> dict[str, frozenset[str]]:
    """Return the groups of those who were here lately; who is a member by address goes by it, not to count twice."""
    seen_since = database_now() - SEEN_WITHIN
    people = Person.objects.filter(is_active=True, last_seen_at__gt=seen_since).order_by("-last_seen_at")
    seen: dict[str, frozenset[str]] = {}
    for person in people[:MOST_PEOPLE]:
        name = _name(person, policy)
        seen[name] = seen.get(name, frozenset()) | caller_of(person, policy).groups
    return seen


def _name(person: Person, policy: Policy) -> str:
    address = person.email.strip().casefold()
    return address if address in policy.config.groups_of_member else person.key


def _same(policy: Policy) -> dict[str, str]:
    """Return, for each account that is linked to a person, that person: by the names that `_seen` uses."""
    links = dict(AccountLink.objects.filter(STANDING).values_list("account", "holder")[:MOST_PEOPLE])
    holders = AccountLink.objects.filter(STANDING).values_list("holder", flat=True)
    signed = Person.objects.annotate(account=Concat("iss", Value("|"), "sub"))
    linked = signed.filter(Q(account__in=holders) | Q(account__in=AccountLink.objects.values("account")))
    names = {person.key: _name(person, policy) for person in linked[:MOST_PEOPLE]} if links else {}
    return {names.get(account, account): names.get(holder, holder) for account, holder in links.items()}
