"""JSON Schema asked of hostile schemas and hostile values: does a value satisfy it? Pure.

The keywords of 2020-12 and those of draft 7 that differ. Patterns are searched by RE2; references lead nowhere but into
the schema itself; the work is counted, so that no schema takes more than its share. `unevaluated*` is not looked at:
masking adds no members.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import re2

from masking.documents import Spelled
from masking.samples import has_format

MOST_STEPS: Final = 200_000
_MOST_DEPTH: Final = 100
_MOST_MAGNITUDE: Final = 400  # digits; beyond it no remainder is worked out
# Schemas in which masking can break something: what looks at more than the type of a value.
_FRAGILE: Final = frozenset(
    {"enum", "const", "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum"}
    | {"exclusiveMaximum", "multipleOf", "contentEncoding", "contains", "not", "oneOf", "if", "uniqueItems"}
    | {"propertyNames", "patternProperties", "minProperties", "dependentRequired", "dependentSchemas", "dependencies"}
)
# Schemas in which every place by itself may be right, and the whole wrong.
_TANGLED: Final = frozenset(
    {"not", "oneOf", "if", "uniqueItems", "maxContains", "propertyNames", "patternProperties", "minProperties"}
    | {"dependentRequired", "dependentSchemas", "dependencies"}
)

Check = Callable[["Checker", Any, Any, Mapping[str, Any]], bool]


class TooMuch(Exception):
    """The schema asks for more work than it gets, or for what is not looked up: nothing can be said."""


def is_fragile(schema: Any) -> bool:
    """Say whether an answer may stop satisfying the schema because something in it is hidden."""
    return _mentions(schema, _FRAGILE)


def is_tangled(schema: Any) -> bool:
    """Say whether an answer has to be checked as a whole."""
    return _mentions(schema, _TANGLED)


def _mentions(schema: Any, keywords: frozenset[str]) -> bool:
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if not keywords.isdisjoint(item):
                return True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


class Checker:
    """Checks values against one schema and parts of it."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = self._depth = 0

    def holds(self, schema: Any, value: Any) -> bool:
        """Say whether a value satisfies the schema, the root or a part of it. Raises TooMuch."""
        return Checker(self._root).satisfies(value, schema)  # each question counts its own work

    def satisfies(self, value: Any, schema: Any) -> bool:
        """Say the same within one question; for keywords."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            return True
        self._steps += 1
        if self._steps > MOST_STEPS or self._depth > _MOST_DEPTH:
            raise TooMuch
        self._depth += 1
        try:
            return all(CHECKS[name](self, value, told, schema) for name, told in schema.items() if name in CHECKS)
        finally:
            self._depth -= 1

    def count(self, work: int) -> None:
        """Count work of a keyword that grows with the value. Raises TooMuch."""
        self._steps += work
        if self._steps > MOST_STEPS:
            raise TooMuch

    def referred(self, reference: Any) -> Any:
        """Return the part of the schema that a reference names. Raises TooMuch for one that leads elsewhere."""
        if reference == "#":
            return self._root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise TooMuch
        found = self._root
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~").replace("%24", "$")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise TooMuch
        return found


def plain(value: Any) -> Any:
    """Return a parsed value as JSON compares it: numbers by what they are, true apart from 1."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Spelled):
        return Decimal(value.text)
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def number_of(value: Any) -> Decimal | None:
    """Return a JSON number, or None for everything else."""
    if isinstance(value, Spelled):
        return Decimal(value.text)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    return None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def found_in(pattern: Any, text: str) -> bool:
    """Say whether a pattern is found in a text; one that RE2 does not know is found nowhere."""
    compiled = _compiled(pattern) if isinstance(pattern, str) and len(pattern) <= 2_000 else None
    return compiled is not None and compiled.search(text.encode("utf-8", "replace").decode()) is not None


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "number": lambda value: number_of(value) is not None,
    "integer": lambda value: (number := number_of(value)) is not None and _is_whole(number),
}


def _is_whole(number: Decimal) -> bool:
    return number.is_finite() and (number.adjusted() > _MOST_MAGNITUDE or number == number.to_integral_value())


def _type(_: Checker, value: Any, told: Any, __: Mapping[str, Any]) -> bool:
    names = told if isinstance(told, list) else [told]
    return any(_TYPES[name](value) if isinstance(name, str) and name in _TYPES else True for name in names)


def _enum(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    if not isinstance(told, list):
        return True
    checker.count(len(told))
    wanted = plain(value)
    return any(plain(item) == wanted for item in told)


def _text(check: Callable[[Any, str], bool]) -> Check:
    return lambda _, value, told, __: not isinstance(value, str) or check(told, value)


def _size(kind: type[str] | type[list[Any]] | type[dict[str, Any]], check: Callable[[int, Decimal], bool]) -> Check:
    def checked(_: Checker, value: Any, told: Any, __: Mapping[str, Any]) -> bool:
        limit = number_of(told)
        return limit is None or not isinstance(value, kind) or check(len(value), limit)

    return checked


def _number(check: Callable[[Decimal, Decimal], bool]) -> Check:
    def checked(_: Checker, value: Any, told: Any, __: Mapping[str, Any]) -> bool:
        number, limit = number_of(value), number_of(told)
        return number is None or limit is None or check(number, limit)

    return checked


def _is_multiple(number: Decimal, step: Decimal) -> bool:
    if step <= 0 or number.adjusted() - step.adjusted() > 25:  # beyond what decimals divide exactly here
        return True
    return number % step == 0


def _properties(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict) or not isinstance(told, dict):
        return True
    return all(checker.satisfies(value[name], part) for name, part in told.items() if name in value)


def _pattern_properties(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict) or not isinstance(told, dict):
        return True
    checker.count(len(value) * len(told))
    return all(
        checker.satisfies(member, part)
        for pattern, part in told.items()
        for name, member in value.items()
        if found_in(pattern, name)
    )


def others(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that neither `properties` nor `patternProperties` speak of."""
    named, patterns = schema.get("properties"), schema.get("patternProperties")
    for name in value:
        if isinstance(named, dict) and name in named:
            continue
        if not (isinstance(patterns, dict) and any(found_in(pattern, name) for pattern in patterns)):
            yield name


def _additional(checker: Checker, value: Any, told: Any, schema: Mapping[str, Any]) -> bool:
    return not isinstance(value, dict) or all(checker.satisfies(value[name], told) for name in others(value, schema))


def _names(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    return not isinstance(value, dict) or all(checker.satisfies(name, told) for name in value)


def _required(_: Checker, value: Any, told: Any, __: Mapping[str, Any]) -> bool:
    return not isinstance(value, dict) or not isinstance(told, list) or all(name in value for name in told)


def _dependent(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    if not isinstance(value, dict) or not isinstance(told, dict):
        return True
    return all(
        all(one in value for one in needed) if isinstance(needed, list) else checker.satisfies(value, needed)
        for name, needed in told.items()
        if name in value
    )


def item_schema(schema: Mapping[str, Any], index: int) -> Any:
    """Return what a schema says of the item at an index: by place, or of all the rest; None when nothing."""
    items, places = schema.get("items"), schema.get("prefixItems")
    if isinstance(items, list):  # draft 7
        return items[index] if index < len(items) else schema.get("additionalItems")
    if isinstance(places, list) and index < len(places):
        return places[index]
    return items


def _items(checker: Checker, value: Any, _: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    return all(checker.satisfies(item, item_schema(schema, index)) for index, item in enumerate(value))


def _contains(checker: Checker, value: Any, told: Any, schema: Mapping[str, Any]) -> bool:
    if not isinstance(value, list):
        return True
    least, most = number_of(schema.get("minContains", 1)), number_of(schema.get("maxContains"))
    found = sum(checker.satisfies(item, told) for item in value)
    return (least is None or found >= least) and (most is None or found <= most)


def _unique(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
    if told is not True or not isinstance(value, list):
        return True
    checker.count(len(value))
    seen: set[str] = set()
    for item in value:
        seen.add(repr(_ordered(plain(item))))
    return len(seen) == len(value)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _ordered(member)) for key, member in value.items())
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _several(check: Callable[[Iterator[bool]], bool]) -> Check:
    def checked(checker: Checker, value: Any, told: Any, _: Mapping[str, Any]) -> bool:
        return not isinstance(told, list) or check(checker.satisfies(value, part) for part in told)

    return checked


def _if(checker: Checker, value: Any, told: Any, schema: Mapping[str, Any]) -> bool:
    return checker.satisfies(value, schema.get("then" if checker.satisfies(value, told) else "else", True))


def _elsewhere(_: Checker, __: Any, ___: Any, ____: Mapping[str, Any]) -> bool:
    raise TooMuch


CHECKS: Final[Mapping[str, Check]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda _, value, told, __: plain(value) == plain(told),
    "$ref": lambda checker, value, told, _: checker.satisfies(value, checker.referred(told)),
    "$dynamicRef": _elsewhere,
    "$recursiveRef": _elsewhere,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "dependentRequired": _dependent,
    "dependentSchemas": _dependent,
    "dependencies": _dependent,
    "minProperties": _size(dict, lambda size, limit: size >= limit),
    "maxProperties": _size(dict, lambda size, limit: size <= limit),
    "items": _items,
    "prefixItems": lambda checker, value, told, schema: "items" in schema or _items(checker, value, told, schema),
    "contains": _contains,
    "minItems": _size(list, lambda size, limit: size >= limit),
    "maxItems": _size(list, lambda size, limit: size <= limit),
    "uniqueItems": _unique,
    "pattern": _text(found_in),
    "format": _text(has_format),
    "minLength": _size(str, lambda size, limit: size >= limit),
    "maxLength": _size(str, lambda size, limit: size <= limit),
    "minimum": _number(lambda number, limit: number >= limit),
    "maximum": _number(lambda number, limit: number <= limit),
    "exclusiveMinimum": _number(lambda number, limit: number > limit),
    "exclusiveMaximum": _number(lambda number, limit: number < limit),
    "multipleOf": _number(_is_multiple),
    "allOf": _several(all),
    "anyOf": _several(any),
    "oneOf": _several(lambda held: sum(held) == 1),
    "not": lambda checker, value, told, _: not checker.satisfies(value, told),
    "if": _if,
}
