"""What approvers may remember, what they ask to remember, and how that reads as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from approvals.config.rules import Remember

if TYPE_CHECKING:
    from approvals.config.rules import Scope

# The narrowest first.
SCOPES: tuple[Scope, ...] = ("same_arguments", "same_tool")
_COVERED = {
    "same_arguments": "the same call with the same arguments",
    "same_tool": "every call of the same tool, whatever its arguments",
}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


class NotOffered(Exception):
    """The rule does not let an approver remember this."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an approver asks to remember; None stands for as much as the rule allows."""

    scope: Scope
    max_age: int | None = None
    max_uses: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered: which calls, for how many seconds, and how many of them beside the one that was approved."""

    scope: Scope
    max_age: int
    max_uses: int

    def __str__(self) -> str:
        times = "once" if self.max_uses == 1 else f"up to {self.max_uses} times"
        return f"For {_spoken(self.max_age)}, {times}: {_COVERED[self.scope]}"

    def document(self) -> dict[str, Any]:
        """Return plain JSON, to be kept with a vote."""
        return {"scope": self.scope, "max_age": self.max_age, "max_uses": self.max_uses}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return what `document` gave."""
        return cls(document["scope"], document["max_age"], document["max_uses"])


def offers(terms: Mapping[str, Any]) -> tuple[Memory, ...]:
    """Return what an approver may choose by these (stored) terms, each as wide as the rule allows; the narrowest first.

    Its `scope` is what `decide` takes, its text the sentence to show.
    """
    allowed = _allowed(terms)
    if allowed is None:
        return ()
    return tuple(Memory(scope, allowed.max_age, allowed.max_uses) for scope in SCOPES if scope in allowed.scopes)


def within(wish: Wish, terms: Mapping[str, Any]) -> Memory:
    """Return what is to be remembered by these (stored) terms. Raises NotOffered, also for what is wider."""
    allowed = _allowed(terms)
    if allowed is None:
        raise NotOffered("The rule does not let a decision be remembered.")
    if wish.scope not in allowed.scopes:
        raise NotOffered(f"The rule lets only {' or '.join(allowed.scopes)} be remembered.")
    age = allowed.max_age if wish.max_age is None else wish.max_age
    uses = allowed.max_uses if wish.max_uses is None else wish.max_uses
    if not 0 < age <= allowed.max_age:
        raise NotOffered(f"The rule lets a decision be remembered for {_spoken(allowed.max_age)} at most.")
    if not 0 < uses <= allowed.max_uses:
        raise NotOffered(f"The rule lets a decision be remembered for {allowed.max_uses} uses at most.")
    return Memory(wish.scope, age, uses)


def kept(wish: Wish | None, decision: str, terms: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is kept with a vote of what it lets be remembered. Raises NotOffered."""
    if wish is None:
        return None
    if decision != "approve":
        raise NotOffered("Only an approval can be remembered.")
    return within(wish, terms).document()


def agreed(asked: Sequence[Mapping[str, Any] | None]) -> Memory | None:
    """Return what those who approved remember together, one entry for each: the narrowest of every part.

    Who approved for this one call alone makes it this one call.
    """
    wishes = [Memory.parse(one) for one in asked if one]
    if not wishes or len(wishes) < len(asked):
        return None
    scope = min((one.scope for one in wishes), key=SCOPES.index)
    return Memory(scope, min(one.max_age for one in wishes), min(one.max_uses for one in wishes))


def narrower(allowed: Sequence[Remember | None]) -> Remember | None:
    """Return what may be remembered where several rules hold a call: what each of them allows."""
    all_of_them = [one for one in allowed if one is not None]
    scopes = tuple(scope for scope in SCOPES if all(scope in one.scopes for one in all_of_them))
    if not scopes or len(all_of_them) < len(allowed):
        return None
    ages, uses = [one.max_age for one in all_of_them], [one.max_uses for one in all_of_them]
    return Remember(scopes=scopes, max_age=min(ages), max_uses=min(uses))


def _allowed(terms: Mapping[str, Any]) -> Remember | None:
    # Requests of an earlier release have no such terms.
    return Remember.model_validate(terms["remember"]) if terms.get("remember") else None


def _spoken(seconds: int) -> str:
    """Say a number of seconds in words: 1 hour, 90 minutes."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}" if seconds == size else f"{seconds // size} {unit}s"
