"""When a pending request is brought to mind again, and when more groups may decide it. Pure.

Everything is counted in seconds from the moment of asking, and nothing of it makes a request live longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

USUAL_REMINDERS = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class Escalation:
    """After so many seconds these groups may decide as well, for the part of the quorum with this index."""

    after: int
    groups: tuple[str, ...]
    part: int = 0


@dataclass(frozen=True, slots=True)
class Timetable:
    """The reminders and escalations of one request, each in the order of time."""

    reminders: tuple[int, ...] = ()
    escalations: tuple[Escalation, ...] = ()

    def next_after(self, reminded: int, escalated: int) -> int | None:
        """Return the second at which something is to be done when so many reminders and escalations are done."""
        rest = [*self.reminders[reminded:], *(step.after for step in self.escalations[escalated:])]
        return min(rest, default=None)

    def due(self, seconds: float) -> tuple[int, int]:
        """Return how many of the reminders and how many of the escalations have been due by then."""
        return (
            sum(after <= seconds for after in self.reminders),
            sum(step.after <= seconds for step in self.escalations),
        )

    def document(self) -> dict[str, Any]:
        """Return the JSON form that is stored with a request."""
        steps = [{"after": step.after, "add_groups": list(step.groups), "part": step.part} for step in self.escalations]
        return {"remind": list(self.reminders), "escalate": steps}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the timetable of what `document()` made; an empty one of a request that was asked before it."""
        steps = [
            Escalation(step["after"], tuple(step["add_groups"]), step["part"]) for step in document.get("escalate", ())
        ]
        return cls(tuple(document.get("remind", ())), tuple(steps))


def reminders(remind_after: int | None, expires_after: int) -> tuple[int, ...]:
    """Return when to remind people of a request: as the rule says, or at half and at nine tenths of its time.

    The first after `remind_after` seconds, each further one when the request is twice as old; none for 0.
    """
    if remind_after is None:
        return tuple(sorted({after for share in USUAL_REMINDERS if (after := int(expires_after * share)) > 0}))
    found = []
    while 0 < remind_after < expires_after:
        found.append(remind_after)
        remind_after *= 2
    return tuple(found)


def merged(timetables: Sequence[Timetable], expires_after: int) -> Timetable:
    """Return the timetable of a call that several rules hold: the one at each index escalates that part alone."""
    reminding = {after for one in timetables for after in one.reminders if after < expires_after}
    escalating = [
        Escalation(step.after, step.groups, part)
        for part, one in enumerate(timetables)
        for step in one.escalations
        if step.after < expires_after
    ]
    return Timetable(tuple(sorted(reminding)), tuple(sorted(escalating, key=lambda step: step.after)))
