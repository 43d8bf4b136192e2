"""What a schema says of one place in an answer, and what may stand there in place of a hidden value. Pure."""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from masking.checking import Checker, TooMuch, found_in, item_schema, number_of
from masking.documents import Spelled
from masking.samples import of_format, of_pattern

_MOST_PARTS: Final = 200
_MOST_KNOWN: Final = 2_048
_MOST_CANDIDATES: Final = 64
_LONGEST_PAD: Final = 1_000
_BRANCHES: Final = ("allOf", "anyOf", "oneOf")
_CHOICES: Final = ("if", "then", "else")


class NoValue(Exception):
    """Nothing may stand at this place that says nothing of what is hidden."""


class Absent:
    """What a member was that is not found under its old name."""


ABSENT: Final = Absent()


class View:
    """All that one schema says of one place. Views are remembered: rows have the same places again and again."""

    def __init__(self, checker: Checker, tops: tuple[Any, ...]) -> None:
        self._checker = checker
        self._tops = tops
        self.parts = _parts(checker, tops)
        self._members: dict[str, View] = {}
        self._items: dict[int, View] = {}
        self._chosen: dict[tuple[type, Any], Any] = {}
        named = [part["properties"] for part in self.parts if isinstance(part.get("properties"), dict)]
        self._names = frozenset().union(*named)
        self._patterns = any("patternProperties" in part for part in self.parts)
        listed = [part["required"] for part in self.parts if isinstance(part.get("required"), list)]
        self._required = frozenset(name for names in listed for name in names if isinstance(name, str))
        self.unique = any(part.get("uniqueItems") is True for part in self.parts)

    def member(self, name: str) -> "View":
        """Return the view of a member; names of which nothing is said share one."""
        key = name if self._patterns or name in self._names else ""
        known = self._members.get(key)
        if known is None:
            known = View(self._checker, tuple(_member_schemas(self.parts, name)))
            if len(self._members) < _MOST_KNOWN:
                self._members[key] = known
        return known

    def item(self, index: int) -> "View":
        """Return the view of an item of an array."""
        key = min(index, _MOST_PARTS)
        known = self._items.get(key)
        if known is None:
            found = [item_schema(part, key) for part in self.parts]
            known = self._items[key] = View(self._checker, tuple(one for one in found if isinstance(one, dict)))
        return known

    def demands(self, name: str) -> bool:
        """Say whether a member of this name may not be left out."""
        return name in self._required

    def substitute(self, before: Any, masked: Any) -> Any:
        """Return what stands for a hidden value: `masked` itself where the schema takes it. Raises NoValue, TooMuch."""
        tops = self._held(before)
        if len(tops) < len(self._tops):
            return self._choose(tops, masked)
        key = (type(masked), masked)
        if key not in self._chosen:
            found = self._choose(tops, masked)
            if len(self._chosen) >= _MOST_KNOWN:
                return found
            self._chosen[key] = found
        return self._chosen[key]

    def _held(self, before: Any) -> tuple[Any, ...]:
        """Return the schemas that the value satisfied before: with several, not all need apply to it."""
        if len(self._tops) < 2 or before is ABSENT:
            return self._tops
        return tuple(top for top in self._tops if self._checker.holds(top, before))

    def _choose(self, tops: tuple[Any, ...], masked: Any) -> Any:
        for number, candidate in enumerate(self._candidates(masked)):
            if number > _MOST_CANDIDATES:
                break
            if all(self._checker.holds(top, candidate) for top in tops):
                return candidate
        raise NoValue

    def _candidates(self, masked: Any) -> Iterator[Any]:
        yield masked
        if isinstance(masked, str):
            yield from self._texts(masked)
        elif isinstance(masked, bool):
            yield from (False, True)
        elif isinstance(masked, int | Spelled):
            yield from self._numbers(int(masked) if isinstance(masked, int) else 0)
        yield None

    def _texts(self, masked: str) -> Iterator[str]:
        yield from (text for text in self._listed() if isinstance(text, str))
        for part in self.parts:
            if (sample := of_format(part.get("format"), masked)) is not None:
                yield sample
            if isinstance(pattern := part.get("pattern"), str) and (made := of_pattern(pattern)) is not None:
                yield from _of_length(made, self.parts)
        yield from _of_length(masked, self.parts)
        yield ""

    def _numbers(self, pseudonym: int) -> Iterator[int | Spelled]:
        yield from (number for number in self._listed() if number_of(number) is not None)
        steps = [number for part in self.parts if (number := number_of(part.get("multipleOf"))) and number > 0]
        low, high = _bounds(self.parts)
        for start in (low, Decimal(0), high):
            for step in (*steps, Decimal(1)):
                if start is None or abs(start.adjusted()) > 300:
                    continue
                first = (start / step).to_integral_value(ROUND_CEILING) * step
                if pseudonym and low is not None and high is not None and high - first > step:
                    room = int((high - first) / step)
                    yield _number(first + step * (pseudonym % room))
                yield from (_number(first), _number(first + step), _number(first - step))
            if start is not None:
                yield _number(start)
        if low is not None and high is not None:
            yield _number((low + high) / 2)

    def _listed(self) -> Iterator[Any]:
        for part in self.parts:
            if "const" in part:
                yield part["const"]
            if isinstance(part.get("enum"), list):
                yield from part["enum"]


def _parts(checker: Checker, tops: tuple[Any, ...]) -> tuple[Mapping[str, Any], ...]:
    """Return every schema that may speak of a place: the ones that must hold, and what they lead to."""
    found: list[Mapping[str, Any]] = []
    seen: set[int] = set()
    waiting = list(reversed(tops))
    while waiting and len(found) < _MOST_PARTS:
        part = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        found.append(part)
        for name in _BRANCHES:
            listed = part.get(name)
            waiting.extend(listed if isinstance(listed, list) else ())
        waiting.extend(part[name] for name in _CHOICES if name in part)
        if "$ref" in part:
            waiting.append(checker.referred(part["$ref"]))
    return tuple(found)


def _member_schemas(parts: tuple[Mapping[str, Any], ...], name: str) -> Iterator[Any]:
    for part in parts:
        named, patterns = part.get("properties"), part.get("patternProperties")
        told = [named[name]] if isinstance(named, dict) and name in named else []
        if isinstance(patterns, dict):
            told += [one for pattern, one in patterns.items() if found_in(pattern, name)]
        yield from (one for one in told or [part.get("additionalProperties")] if isinstance(one, dict))


def _of_length(text: str, parts: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    """Yield a text as it is, and cut or filled up to the lengths that are allowed."""
    yield text
    most = [limit for part in parts if (limit := number_of(part.get("maxLength"))) is not None and limit >= 0]
    least = [limit for part in parts if (limit := number_of(part.get("minLength"))) is not None]
    if most and len(text) > min(most):
        yield text[: int(min(most))]
    if least and len(text) < max(least) <= _LONGEST_PAD:
        size = int(max(least))
        yield text + "*" * (size - len(text))
        yield (text * size)[:size] if text else "x" * size


def _bounds(parts: tuple[Mapping[str, Any], ...]) -> tuple[Decimal | None, Decimal | None]:
    """Return the greatest lower and the least upper bound; exclusive ones are left to the check."""
    lows = [number_of(part.get(name)) for part in parts for name in ("minimum", "exclusiveMinimum")]
    highs = [number_of(part.get(name)) for part in parts for name in ("maximum", "exclusiveMaximum")]
    return (
        max((low for low in lows if low is not None), default=None),
        min((high for high in highs if high is not None), default=None),
    )


def _number(value: Decimal) -> int | Spelled:
    return int(value) if value == value.to_integral_value() else Spelled(f"{value:f}")


__all__ = ["ABSENT", "Absent", "NoValue", "TooMuch", "View"]
