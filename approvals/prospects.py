"""What whoever asked may expect: where they stand, who can decide, how long it usually takes, how to come back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q

from approvals.decision_times import usual_of_rule
from approvals.models import ApprovalRequest, Person
from approvals.standing import caller_of
from approvals.states import Status

if TYPE_CHECKING:
    from datetime import datetime

    from approvals.decision_times import Usual
    from approvals.policy import Policy

MOST_COUNTED = 200
MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Prospect:
    """`ahead` of this request so many wait under the same rule; `people` are those of the groups known by name."""

    ahead: int
    groups: tuple[str, ...]
    people: tuple[str, ...]
    more_people: int
    usual: Usual | None

    @property
    def place(self) -> int:
        return self.ahead + 1

    @property
    def is_counted(self) -> bool:
        """Whether all that wait before it were counted."""
        return self.ahead < MOST_COUNTED


def prospect(request: ApprovalRequest, policy: Policy, now: datetime) -> Prospect:
    """Return what the one who asked may expect."""
    names = sorted(members(request.quorum.groups, policy, besides=request), key=str.casefold)
    waiting = ApprovalRequest.objects.filter(
        status=Status.PENDING, rule_fingerprint=request.rule_fingerprint, expires_at__gt=now, id__lt=request.pk
    )
    return Prospect(
        ahead=waiting.order_by()[:MOST_COUNTED].count(),
        groups=tuple(sorted(request.quorum.groups)),
        people=tuple(names[:MOST_NAMED]),
        more_people=max(0, len(names) - MOST_NAMED),
        usual=usual_of_rule(request.rule_fingerprint, now),
    )


def members(groups: frozenset[str], policy: Policy, besides: ApprovalRequest | None = None) -> list[str]:
    """Return the names of the members of local groups who have signed in, but for the one who asks.

    Members that an identity provider knows of are not listed: who they are is not ours to tell.
    """
    wanted = Q(pk=None)
    for member, theirs in policy.config.groups_of_member.items():
        if theirs.isdisjoint(groups):
            continue
        issuer, is_account, subject = member.partition("|")
        wanted |= Q(iss=issuer, sub=subject) if is_account else Q(email__iexact=member)
    people = Person.objects.filter(wanted, is_active=True)
    if besides is not None:
        people = people.exclude(iss=besides.requester_iss, sub=besides.requester_sub)
    return [str(person) for person in people if not groups.isdisjoint(caller_of(person, policy).groups)]


def commands(request: ApprovalRequest, public_url: str) -> list[tuple[str, str]]:
    """Return what to type to come back for the answer, each with what it does."""
    name = f"{request.connection} {shlex.quote(request.tool)}"
    return [
        ("The identical call, made again, joins this request. It may name it:", f"Holdgate-Approval: {request.pk}"),
        ("From a shell, with the same arguments on stdin:", f"manage.py call {name} --args - --wait 30m"),
        (
            "Only ask how it stands:",
            f'curl -H "Authorization: Bearer $TOKEN" "{public_url}/api/v1/approvals/{request.pk}/?wait=30"',
        ),
    ]
