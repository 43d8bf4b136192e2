"""How often rules spoke lately: from the newest calls of the record and the requests they opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from approvals.models import ApprovalRequest
from sessions.calls import newest_verdicts
from sessions.ids import first_id

DAYS = 30
# What is read for one page; of more the newest ones count.
MOST = 10_000

# When, the rules that spoke, and those that only observed.
Spoken = tuple[datetime, list[str], list[str]]


@dataclass(frozen=True, slots=True)
class Hits:
    """Calls by rule that spoke, by rule that only observed, and the last of each.

    `since`: what was read reaches back to there.
    """

    counts: Counter[str]
    observed: Counter[str]
    last: dict[str, datetime]
    since: datetime
    is_cut: bool


def rule_hits(now: datetime, *, days: int = DAYS, most: int = MOST) -> Hits:
    """Count over the last days, or over as many of the newest calls and requests as `most`."""
    begin = now - timedelta(days=days)
    found = Hits(Counter(), Counter(), {}, begin, is_cut=False)
    reached = [_count(spoken, found, most) for spoken in (newest_verdicts(begin, most + 1), _requests(begin, most + 1))]
    since = max([begin, *(at for at in reached if at is not None)])
    return Hits(found.counts, found.observed, found.last, since, is_cut=since != begin)


def _count(spoken: Iterator[Spoken], found: Hits, most: int) -> datetime | None:
    """Count what spoke, newest first; return how far that reached where there was more."""
    at = None
    for at, rules, observed in islice(spoken, most):
        found.counts.update(rules)
        found.observed.update(observed)
        for rule in (*rules, *observed):
            found.last[rule] = max(at, found.last.get(rule, at))
    return at if next(spoken, None) is not None else None


def _requests(begin: datetime, most: int) -> Iterator[Spoken]:
    rows = ApprovalRequest.objects.filter(id__gt=first_id(begin), method="tools/call").order_by("-id")
    for at, terms in rows.values_list("created_at", "terms")[:most].iterator():
        yield at, list(terms.get("spoke") or terms.get("rules") or ()), list(terms.get("observed") or ())
