"""Which arguments of a held call are hidden from its approvers, and what stands there. Pure.

A place is told by positions, not by names: names may be hidden too, and both documents have the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from masking import documents

MOST: Final = 100


@dataclass(frozen=True, slots=True)
class HiddenPlace:
    """One value: where it stands, as `0.2`, and its path with names as an approver sees them, as `customer.card`."""

    id: str
    name: str


def hidden_places(raw: Any, shown: Any) -> list[HiddenPlace]:
    """Return the values that differ between what was sent and what approvers see; the first of many."""
    return [place for place, _ in zip(_places(raw, shown, "", ""), range(MOST), strict=False)]


def value_at(raw: Any, place: str) -> str:
    """Return what stands at a place, a text as it is and all else as JSON. Raises LookupError."""
    value = raw
    for step in place.split(".") if place else ():
        if not (step.isascii() and step.isdigit() and len(step) < 10):
            raise LookupError(place)
        inner = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(inner, list):
            raise LookupError(place)
        value = inner[int(step)]
    return value if isinstance(value, str) else documents.write(value).decode()


def _places(raw: Any, shown: Any, place: str, name: str) -> Iterator[HiddenPlace]:
    if isinstance(raw, dict) and isinstance(shown, dict) and len(raw) == len(shown):
        for index, (one, (key, seen)) in enumerate(zip(raw.values(), shown.items(), strict=True)):
            yield from _places(one, seen, _step(place, index), f"{name}.{key}" if name else key)
    elif isinstance(raw, list) and isinstance(shown, list) and len(raw) == len(shown):
        for index, (one, seen) in enumerate(zip(raw, shown, strict=True)):
            yield from _places(one, seen, _step(place, index), f"{name}[{index}]")
    elif raw != shown:
        yield HiddenPlace(place, name)


def _step(place: str, index: int) -> str:
    return f"{place}.{index}" if place else str(index)
