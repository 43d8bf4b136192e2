"""What the masking page says: the rules that govern, what they hid by day, and who saw what others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from approvals import keys
from approvals.config.packs import pack
from approvals.masks import counting
from approvals.models import ConfigItem, Person
from approvals.pages.plots import Plot, stacked

if TYPE_CHECKING:
    from datetime import datetime

    from approvals.config.masking import Masking
    from approvals.config.schema import Config
    from approvals.masks.counting import Seen

DAYS: Final = 30
TOLD_APART: Final = 6
"""So many kinds have a colour of their own in the plot; the others are one."""
OTHERS: Final = "all others"


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One masking rule in force, and whose it is; `item` is its draft."""

    rule: Masking
    owner: str
    item: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What was hidden: the kinds that are told apart with their class in the drawing, each day's counts, the plot."""

    kinds: Sequence[tuple[str, str, int]]
    days: Sequence[tuple[date, Sequence[int]]]
    plot: Plot

    @property
    def total(self) -> int:
        return sum(total for _, _, total in self.kinds)


@dataclass(frozen=True, slots=True)
class SeenLine:
    """One person, program or job, and what they saw."""

    who: str
    is_known: bool
    seen: Seen


def rule_lines(config: Config) -> list[RuleLine]:
    """Return the masking rules in force, own ones before those of packs."""
    items = {item.name: item for item in ConfigItem.objects.filter(kind=ConfigItem.Kind.MASKING)}
    owners = {rule.name: name for name in config.packs for rule in pack(name).masking}
    lines = []
    for rule in config.in_force.masking:
        item = items.get(rule.name)
        is_of_pack = rule not in config.masking
        owner = f"the pack {owners[rule.name]}" if is_of_pack else item.get_owner_display() if item else ""
        lines.append(RuleLine(rule, owner, None if is_of_pack or item is None else item.pk))
    return lines


def figures(now: datetime) -> Figures:
    """Return what was hidden in the last days, today (UTC) included."""
    first = counting.first_day(now.date(), DAYS)
    return plotted(counting.hidden_by_day(first), first, DAYS)


def plotted(by_day: Mapping[date, Counter[str]], first: date, days: int) -> Figures:
    """Lay out counts of days: the most frequent kinds apart, the rest together."""
    totals: Counter[str] = sum(by_day.values(), Counter())
    ordered = sorted(totals, key=lambda name: (-totals[name], name))
    apart = ordered[: TOLD_APART if len(ordered) > TOLD_APART + 1 else TOLD_APART + 1]
    kinds = [(name, f"kind-{index}", totals[name]) for index, name in enumerate(apart)]
    rest = sum(totals[name] for name in ordered[len(apart) :])
    if rest:
        kinds.append((OTHERS, "kind-others", rest))
    rows = []
    for day in (first + timedelta(days=index) for index in range(days)):
        counts = by_day.get(day, Counter())
        row = [counts[name] for name in apart]
        rows.append((day, [*row, counts.total() - sum(row)] if rest else row))
    plot = stacked([[(kind, count) for (_, kind, _), count in zip(kinds, row, strict=True)] for _, row in rows])
    return Figures(kinds, rows, plot)


def seen_lines(now: datetime) -> list[SeenLine]:
    """Return who saw what unmasked in the last days, by name where they have signed in here."""
    found = counting.seen(counting.first_day(now.date(), DAYS))
    if not found:
        return []
    names = {keys.actor(f"{iss}|{sub}"): display or sub for iss, sub, display in _people()}
    return [SeenLine(names.get(one.actor, one.actor[:12]), one.actor in names, one) for one in found]


def _people() -> Sequence[tuple[str, str, str]]:
    return list(Person.objects.values_list("iss", "sub", "display"))
