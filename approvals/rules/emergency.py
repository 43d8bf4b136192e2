"""Break-glass: who may approve alone in an emergency, whatever the quorum. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from approvals.config.rules import Approval

BROKEN = "break_glass"
"""The source of a request that was approved in this way."""


@dataclass(frozen=True, slots=True)
class Emergency:
    """What the holding rules say of emergencies: one must be in a group of each of the lists, one list for each rule.

    `notify` are routes beside those of the rules; they hear of the alarm alone.
    """

    each: tuple[tuple[str, ...], ...]
    mfa: Literal["optional", "required"] = "optional"
    notify: tuple[tuple[str, str], ...] = ()

    def admits(self, groups: Collection[str]) -> bool:
        """Say whether a person in these groups may approve alone."""
        return all(not set(one).isdisjoint(groups) for one in self.each)

    @property
    def groups(self) -> str:
        """Name the groups as people read them."""
        return ", and of ".join(" or ".join(one) for one in self.each)

    def document(self) -> dict[str, Any]:
        """Return the JSON form that is stored with a request."""
        routes = [{channel: target} for channel, target in self.notify]
        return {"each": [list(one) for one in self.each], "mfa": self.mfa, "notify": routes}

    @classmethod
    def parse(cls, document: Mapping[str, Any] | None) -> Self | None:
        """Return what `document()` made; None where the rules know no emergency."""
        if not document:
            return None
        routes = tuple(next(iter(route.items())) for route in document["notify"])
        return cls(tuple(tuple(one) for one in document["each"]), document["mfa"], routes)


def emergency_of(approval: Approval) -> Emergency | None:
    """Return what one rule says of emergencies. Where a decision needs a second factor, this does too."""
    said = approval.break_glass
    if said is None:
        return None
    routes = tuple((route.channel, route.target) for route in said.notify)
    return Emergency((said.groups,), "required" if "required" in {said.mfa, approval.mfa} else "optional", routes)


def common(emergencies: Sequence[Emergency | None]) -> Emergency | None:
    """Return what several rules that hold the same call say together: None unless each of them knows an emergency."""
    known = [one for one in emergencies if one is not None]
    if len(known) != len(emergencies):
        return None
    routes = dict.fromkeys(route for one in known for route in one.notify)
    mfa: Literal["optional", "required"] = "required" if any(one.mfa == "required" for one in known) else "optional"
    return Emergency(tuple(groups for one in known for groups in one.each), mfa, tuple(routes))
