"""What the load on approvers comes to, from plain values: for each group, for each day, for each hour. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

# A minute to read would be much; five seconds is a habit.
QUICK_SECONDS = 5.0
NIGHT = (22, 6)
AGES = (5 * 60, 30 * 60)
MANY_APPROVALS = 10
QUICK_SHARE = 0.5
EXPIRED_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: who may decide it, when it was asked, and what came of it and when (None: it still waits)."""

    groups: frozenset[str]
    at: datetime
    outcome: str | None
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Said:
    """One vote: for which groups it counted, and how many seconds after the asking it came."""

    groups: frozenset[str]
    seconds: float
    is_approval: bool


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """What one group had and has to decide. Durations in seconds; None where nobody decided, or is not told."""

    name: str
    people: int | None
    waiting: tuple[int, int, int]
    """Up to five minutes old, up to thirty, older."""
    asked: int
    half: float | None
    most: float | None
    approvals: int
    quick: int
    at_night: int
    expired: int

    @property
    def quick_percent(self) -> int | None:
        """How many of a hundred approvals came within QUICK_SECONDS; None without any."""
        return round(100 * self.quick / self.approvals) if self.approvals else None

    @property
    def signs(self) -> list[str]:
        """Return what stands out, in sentences."""
        found = []
        if self.people == 1:
            found.append("only one person is known in it: nobody decides while they are away")
        if self.approvals >= MANY_APPROVALS and self.quick >= QUICK_SHARE * self.approvals:
            found.append(f"{self.quick_percent} % of its approvals came within five seconds: are the requests read?")
        if self.expired and self.expired >= EXPIRED_SHARE * self.asked:
            found.append(f"{self.expired} of {self.asked} requests expired because nobody decided")
        return found


@dataclass(frozen=True, slots=True)
class Day:
    """What came of the requests of one day (UTC)."""

    day: date
    approved: int
    denied: int
    other: int


def by_group(asked: Sequence[Asked], said: Sequence[Said], people: Mapping[str, int], now: datetime) -> list[GroupLoad]:
    """Return the load of every group that may decide, or could: the most asked first."""
    names = {name for one in asked for name in one.groups} | people.keys()
    loads = [
        _load(
            name,
            people.get(name),
            [one for one in asked if name in one.groups],
            [vote for vote in said if name in vote.groups],
            now,
        )
        for name in names
    ]
    return sorted(loads, key=lambda load: (-load.asked, load.name))


def _load(name: str, people: int | None, asked: Sequence[Asked], said: Sequence[Said], now: datetime) -> GroupLoad:
    ages = [(now - one.at).total_seconds() for one in asked if one.outcome is None]
    taken = sorted((one.decided_at - one.at).total_seconds() for one in asked if one.decided_at)
    approvals = [vote for vote in said if vote.is_approval]
    return GroupLoad(
        name=name,
        people=people,
        waiting=(
            sum(age <= AGES[0] for age in ages),
            sum(AGES[0] < age <= AGES[1] for age in ages),
            sum(age > AGES[1] for age in ages),
        ),
        asked=len(asked),
        half=_rank(taken, 0.5),
        most=_rank(taken, 0.9),
        approvals=len(approvals),
        quick=sum(vote.seconds < QUICK_SECONDS for vote in approvals),
        at_night=sum(is_night(one.at) for one in asked),
        expired=sum(one.outcome == "expired" for one in asked),
    )


def _rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def is_night(at: datetime) -> bool:
    """Say whether this is between ten in the evening and six in the morning, UTC."""
    hour = at.astimezone(UTC).hour
    return hour >= NIGHT[0] or hour < NIGHT[1]


def by_hour(asked: Iterable[Asked]) -> list[int]:
    """Return how many requests came in each hour of the day, UTC."""
    counts = Counter(one.at.astimezone(UTC).hour for one in asked)
    return [counts[hour] for hour in range(24)]


def by_day(asked: Iterable[Asked], now: datetime, days: int) -> list[Day]:
    """Return what came of the requests of each of the last days, oldest first."""
    counts = Counter((one.at.astimezone(UTC).date(), one.outcome) for one in asked if one.outcome)
    today = now.astimezone(UTC).date()
    found = []
    for day in (today - timedelta(days=back) for back in range(days - 1, -1, -1)):
        approved, denied = counts[day, "approved"], counts[day, "denied"]
        rest = sum(count for (at, _), count in counts.items() if at == day) - approved - denied
        found.append(Day(day, approved, denied, rest))
    return found
