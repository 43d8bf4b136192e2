"""Who was denied the same tool again and again is not asked about any more, for a while.

A model that is told no tends to rephrase. Its identical call gets the same denial anyway; this ends the rephrasing,
before people tire of it and say yes. It is looked up in the denied requests themselves, so that all processes agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Max

from approvals.models import ApprovalRequest
from approvals.states import Status

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.verdicts import Caller

SHOWN = 20


class DeniedTooOften(Exception):
    """People denied this caller this tool so often lately that they are not asked again before `until`."""

    def __init__(self, until: datetime, now: datetime) -> None:
        super().__init__(
            f"People have denied you this tool {settings.MAX_DENIALS} times within "
            f"{settings.DENIALS_WITHIN / 60:g} minutes; they are not asked again before {until:%H:%M:%S} UTC."
        )
        self.until = until
        self.seconds = max(1.0, (until - now).total_seconds())


@dataclass(frozen=True, slots=True)
class Stopped:
    """A caller about whose calls of one tool people are not asked before `until`."""

    caller: str
    tool: str
    connection: str
    until: datetime


def refuse_a_loop(caller: Caller, connection: str, method: str, tool: str, now: datetime) -> None:
    """Raise DeniedTooOften when people have denied this caller this tool too often within the time that counts."""
    of = {"requester_iss": caller.iss, "requester_sub": caller.sub}
    denied = _lately(ApprovalRequest.objects.filter(**of, connection=connection, method=method, tool=tool), now)
    if until := _until(denied):
        raise DeniedTooOften(until, now)


def stopped(rows: QuerySet[ApprovalRequest], now: datetime) -> list[Stopped]:
    """Return about whom people are not asked now, as far as these requests tell."""
    names = ("requester_iss", "requester_sub", "connection", "method", "tool")
    grouped = _lately(rows, now).order_by().values(*names).annotate(times=Count("pk"), who=Max("requester_display"))
    found = []
    for group in grouped.filter(times__gte=max(1, settings.MAX_DENIALS))[:SHOWN]:
        if until := _until(_lately(rows, now).filter(**{name: group[name] for name in names})):
            who = group["who"] or group["requester_sub"]
            found.append(Stopped(who, group["tool"], group["connection"], until))
    return found


def _until(denied: QuerySet[ApprovalRequest]) -> datetime | None:
    """Return when so many of these denials will have been long ago that people are asked again; None if they are."""
    if not settings.MAX_DENIALS:
        return None
    times = denied.order_by("-decided_at").values_list("decided_at", flat=True)[settings.MAX_DENIALS - 1 :]
    counting = times.first()
    return counting + timedelta(seconds=settings.DENIALS_WITHIN) if counting else None


def _lately(rows: QuerySet[ApprovalRequest], now: datetime) -> QuerySet[ApprovalRequest]:
    since = now - timedelta(seconds=settings.DENIALS_WITHIN)
    return rows.filter(status=Status.DENIED, decided_at__gt=since)
