"""What the inbox is narrowed to: plain fields of a GET form, so that a narrowed inbox has an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

from django.db.models import Q

from approvals.states import Status

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.models import ApprovalRequest

MAX_TEXT = 200
# The names to choose from are those of so many of the newest requests.
LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """What was chosen; empty is anything. `caller` is a name or a subject, `q` a part of a tool's or caller's name."""

    connection: str = ""
    rule: str = ""
    caller: str = ""
    status: str = ""
    q: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read a query; what is no status is none."""
        given = {field.name: query.get(field.name, "").strip()[:MAX_TEXT] for field in fields(cls)}
        # PostgreSQL takes no such character in a text, and nothing that is kept has one.
        given = {name: value for name, value in given.items() if "\0" not in value}
        if given.get("status") not in set(Status):
            given["status"] = ""
        return cls(**given)

    @property
    def given(self) -> dict[str, str]:
        """What was chosen, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value}

    def without(self, name: str) -> str:
        """Return the query of everything but this one."""
        return urlencode({key: value for key, value in self.given.items() if key != name})

    @property
    def query(self) -> str:
        """Return the query of everything, to be put behind another parameter; empty for nothing."""
        return urlencode(self.given)

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """Name, value, and the query without it."""
        return [(name, value, self.without(name)) for name, value in self.given.items()]

    def narrowed(self, rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
        """Return those of the requests that fit. Arguments are not searched: an admin does not see them."""
        exact = {name: value for name, value in self.given.items() if name in {"connection", "rule", "status"}}
        rows = rows.filter(**exact)
        if self.caller:
            rows = rows.filter(Q(requester_sub=self.caller) | Q(requester_display=self.caller))
        if self.q:
            named = (
                Q(tool__icontains=self.q) | Q(requester_display__icontains=self.q) | Q(requester_sub__icontains=self.q)
            )
            rows = rows.filter(named | Q(pk=self.q) | Q(call_id=self.q))
        return rows


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen: as far as the newest requests that the viewer may see have it."""

    connections: list[str]
    rules: list[str]
    callers: list[str]
    statuses: list[str]

    @classmethod
    def among(cls, rows: QuerySet[ApprovalRequest]) -> Self:
        """Read the names from the newest of these requests."""
        names = ("connection", "rule", "requester_display", "requester_sub")
        found = list(rows.order_by("-id").values_list(*names)[:LOOKED_AT])
        return cls(
            sorted({connection for connection, *_ in found}),
            sorted({rule for _, rule, *_ in found if rule}),
            sorted({display or subject for *_, display, subject in found}, key=str.casefold),
            [str(status) for status in Status],
        )
