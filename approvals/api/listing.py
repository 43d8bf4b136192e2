"""Lists of the API.

Newest first, by cursor, with named filters; an unknown filter is an error and not ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any, Self

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date, parse_datetime
from rest_framework.exceptions import ValidationError

from approvals.models import ApprovalRequest
from approvals.states import Status

PAGE = 50
MAX_PAGE = 200
FILTERS = ("status", "connection", "caller", "since", "until")


@dataclass(frozen=True, slots=True)
class Listing:
    """What was asked of a list."""

    filters: Mapping[str, str] = field(default_factory=dict)
    cursor: str = ""
    limit: int = PAGE

    @classmethod
    def of(
        cls, query: Mapping[str, str], allowed: Sequence[str] = FILTERS, statuses: Collection[str] = tuple(Status)
    ) -> Self:
        """Read the query parameters.

        Raises ValidationError for unknown ones and for values that cannot be.
        """
        if unknown := sorted(set(query) - {*allowed, "cursor", "limit"}):
            raise ValidationError({name: ["unknown filter"] for name in unknown})
        limit = query.get("limit", str(PAGE))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MAX_PAGE):
            raise ValidationError({"limit": [f"must be a whole number from 1 to {MAX_PAGE}"]})
        status = query.get("status")
        if status is not None and status not in statuses:
            raise ValidationError({"status": [f"must be one of {', '.join(statuses)}"]})
        filters = {name: query[name] for name in allowed if name in query}
        return cls(filters, query.get("cursor", ""), int(limit))

    def filtered(self, rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
        """Apply the filters to approvals."""
        given = self.filters
        exact = {name: given[name] for name in ("status", "connection") if name in given}
        rows = rows.filter(**exact)
        if "caller" in given:
            rows = rows.filter(_caller(given["caller"]))
        if "since" in given:
            rows = rows.filter(created_at__gte=moment("since", given["since"]))
        if "until" in given:
            rows = rows.filter(created_at__lt=moment("until", given["until"]))
        return rows

    def page(self, rows: QuerySet[Any]) -> list[Any]:
        """Return the rows of this page and one more, newest first by id."""
        if self.cursor:
            rows = rows.filter(pk__lt=self.cursor)
        return list(rows.order_by("-pk")[: self.limit + 1])

    def answer(self, rows: list[Any], render: Callable[[Any], Any]) -> dict[str, Any]:
        """Return the body: `next` is the value for `?cursor=`."""
        shown = rows[: self.limit]
        return {
            "next": shown[-1].pk if len(rows) > self.limit else None,
            "results": [render(row) for row in shown],
        }


def _caller(text: str) -> Q:
    issuer, separator, subject = text.partition("|")
    if separator:
        return Q(requester_iss=issuer, requester_sub=subject)
    return Q(requester_sub=text)


def moment(name: str, text: str) -> datetime:
    """Return an RFC 3339 time, or the start of a date in UTC. Raises ValidationError."""
    try:
        day = parse_date(text)
        at = datetime.combine(day, time(), UTC) if day else parse_datetime(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValidationError({name: ["must be a date or an RFC 3339 time with its offset"]})
    return at
