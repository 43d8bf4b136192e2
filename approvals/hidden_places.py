"""Which arguments of a held call are hidden from its approvers, and what stands there. Pure.

A place is told by positions, not by names: names may be hidden too, and both documents have the same shape. `0.2` is
the value of the third member of the first one, `0.k2` its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from masking import documents

MOST: Final = 100
_NAME: Final = "k"


@dataclass(frozen=True, slots=True)
class HiddenPlace:
    """One value or name: where it stands, and its path with names as an approver sees them, as `customer.card`."""

    id: str
    name: str


def hidden_places(raw: Any, shown: Any) -> list[HiddenPlace]:
    """Return the values and names that differ between what was sent and what approvers see; the first of many."""
    return [place for place, _ in zip(_places(raw, shown, "", ""), range(MOST), strict=False)]


def value_at(raw: Any, place: str) -> str:
    """Return what stands at a place, a text or name as it is and all else as JSON. Raises LookupError."""
    value = raw
    for step in place.split(".") if place else ():
        is_name, number = step.startswith(_NAME), step.removeprefix(_NAME)
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise LookupError(place)
        if isinstance(value, dict):
            value = list(value if is_name else value.values())[int(number)]
        elif isinstance(value, list) and not is_name:
            value = value[int(number)]
        else:
            raise LookupError(place)
    return value if isinstance(value, str) else documents.write(value).decode()


def _places(raw: Any, shown: Any, place: str, name: str) -> Iterator[HiddenPlace]:
    if isinstance(raw, dict) and isinstance(shown, dict) and len(raw) == len(shown):
        for index, ((own, one), (key, seen)) in enumerate(zip(raw.items(), shown.items(), strict=True)):
            path = f"{name}.{key}" if name else key
            if own != key:
                yield HiddenPlace(_step(place, f"{_NAME}{index}"), f"the name {path}")
            yield from _places(one, seen, _step(place, index), path)
    elif isinstance(raw, list) and isinstance(shown, list) and len(raw) == len(shown):
        for index, (one, seen) in enumerate(zip(raw, shown, strict=True)):
            yield from _places(one, seen, _step(place, index), f"{name}[{index}]")
    elif raw != shown:
        yield HiddenPlace(place, name)


def _step(place: str, index: int | str) -> str:
    return f"{place}.{index}" if place else str(index)
