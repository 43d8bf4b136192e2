"""The entries of `arguments`, compiled. Pure.

A rule that denies or holds reads widely: any value on the path that fits is enough, look-alike spellings fit
too, and what cannot be decided counts as fitting. A rule that allows reads narrowly: every value must fit,
exactly. A negative operator (`*_not`) is the same the other way round, and true where the path is missing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import re2

from approvals.rules.contents import Carries, SqlTexts, sql_check
from approvals.rules.folding import EvaluationError, Text, fold, plain, text_of
from approvals.rules.locations import Folders, Networks
from approvals.rules.matching import PatternError, search_pattern
from approvals.rules.paths import Arguments, Lookup, Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.config.conditions import Condition
    from masking.detectors import Detector

Check = Callable[[Arguments], bool]
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,3})?\Z")
_PATTERNS_AT_ONCE: Final = 128


class Sieve:
    """Many patterns over the same strings asked at once: where their union is not found, none of them is.

    Only wide, positive patterns may join. The answer of one call is kept in its `Arguments`.
    """

    __slots__ = ("_pattern", "lookup")

    def __init__(self, lookup: Lookup, pattern: Any) -> None:
        self.lookup = lookup
        self._pattern = pattern

    def __call__(self, arguments: Arguments) -> bool:
        """Tell whether some pattern may be found. Raises EvaluationError."""
        return any(_found_widely(self._pattern, text) for text in arguments.texts(self.lookup))


class Compiler:
    """Compiles conditions so that equal paths share their walk, and patterns over one path their search."""

    def __init__(self, detectors: Sequence[Detector] = ()) -> None:
        self._detectors = detectors  # of the configuration's own
        self._lookups: dict[tuple[Path, bool, bool], Lookup] = {}
        self._searches: dict[Lookup, list[WideSearch]] = {}
        self._sql: dict[Lookup, SqlTexts] = {}

    def compile(self, condition: Condition, *, narrow: bool) -> Check:
        """Return the check of one entry. `narrow` is for rules that allow."""
        path = Path.parse(condition.path)
        kind, operand = operator_of(condition)
        negative = kind.endswith("_not")
        lookup = self._lookup(path, narrow, names=path.strings and not narrow and not negative)
        match kind.removesuffix("_not"):
            case "matches" | "contains_text":
                # What a negative condition denies is read the other way round: widely where the rule allows.
                pattern = pattern_of(kind, operand, wide=narrow == negative)
                return self._text_check(lookup, pattern, narrow=narrow, negative=negative)
            case "sql_kind":
                return sql_check(self._sql_texts(path, narrow), operand, narrow=narrow, negative=negative)
            case "contains":
                # Narrowly or widely: who is to be kept from a value must not have it anywhere on the path.
                carries = Carries(lookup, operand, self._detectors)
                return (lambda arguments: not arguments.once(carries)) if negative else carries
            case kind:
                return _value_check(kind, operand, lookup, narrow=narrow, negative=negative)

    def finish(self) -> None:
        """Join the patterns that look at the same strings; to be called once, after the last condition."""
        for lookup, searches in self._searches.items():
            for start in range(0, len(searches), _PATTERNS_AT_ONCE):
                _join(lookup, searches[start : start + _PATTERNS_AT_ONCE])

    def _lookup(self, path: Path, exact: bool, names: bool) -> Lookup:
        return self._lookups.setdefault((path, exact, names), Lookup(path, exact=exact, names=names))

    def _sql_texts(self, path: Path, exact: bool) -> SqlTexts:
        lookup = self._lookup(path, exact, names=False)
        return self._sql.setdefault(lookup, SqlTexts(lookup))

    def _text_check(self, lookup: Lookup, pattern: str, *, narrow: bool, negative: bool) -> Check:
        search = search_pattern(pattern)
        if not narrow and not negative:
            wide = WideSearch(lookup, pattern, search)
            self._searches.setdefault(lookup, []).append(wide)
            return wide
        if narrow and not negative:
            return lambda arguments: _all_texts(arguments, lookup, search)
        if negative and not narrow:
            return lambda arguments: not _all_texts(arguments, lookup, search)
        return lambda arguments: not any(_found_widely(search, text) for text in arguments.texts(lookup))


class WideSearch:
    """A pattern of a rule that denies or holds: found in any string on the path, raw or in plain form."""

    __slots__ = ("_lookup", "_search", "pattern", "sieve")

    def __init__(self, lookup: Lookup, pattern: str, search: Any) -> None:
        self._lookup = lookup
        self._search = search
        self.pattern = pattern
        self.sieve: Sieve | None = None

    def __call__(self, arguments: Arguments) -> bool:
        """Tell whether the pattern is found. Raises EvaluationError."""
        if self.sieve is not None and not arguments.once(self.sieve):
            return False
        return any(_found_widely(self._search, text) for text in arguments.texts(self._lookup))


def _join(lookup: Lookup, searches: list[WideSearch]) -> None:
    # An unclosed \Q would swallow the patterns after it.
    searches = [search for search in searches if r"\Q" not in search.pattern]
    if len(searches) < 2:
        return
    try:
        union = search_pattern("|".join(f"(?:{search.pattern})" for search in searches))
    except PatternError:
        # Too big together though each fits alone.
        _join(lookup, searches[: len(searches) // 2])
        _join(lookup, searches[len(searches) // 2 :])
        return
    sieve = Sieve(lookup, union)
    for search in searches:
        search.sieve = sieve


class Options:
    """`equals` and `one_of`: the values that fit, exactly or, widely, whatever their case and spelling."""

    __slots__ = ("_exact", "_folded", "_longest", "_numbers")

    def __init__(self, options: tuple[str, ...]) -> None:
        self._exact = frozenset(options)
        self._folded = frozenset(fold(option) for option in options)
        self._numbers = frozenset(_number(option) for option in options if _NUMBER.match(option))
        # Generous: a text whose plain form is longer does not fold to any option and need not be folded.
        self._longest = max(len(option.encode()) for option in options) * 20 + 20

    def exactly(self, value: Any) -> bool:
        """Tell whether the JSON value is one of the options as written."""
        if isinstance(value, str):
            return value in self._exact
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value] in self._exact
        return isinstance(value, (int, float, Decimal)) and value in self._numbers

    def fits(self, value: Any) -> bool:
        """Tell whether one JSON value is one of the options, widely read. Raises EvaluationError."""
        return self._widely(text_of(value)) if isinstance(value, str) else self.exactly(value)

    def anywhere(self, arguments: Arguments, lookup: Lookup) -> bool:
        """Tell whether any value on the path is one of the options, widely read. Raises EvaluationError."""
        return any(map(self._widely, arguments.texts(lookup))) or any(
            self.exactly(value) for value in arguments.values(lookup) if not isinstance(value, str)
        )

    def _widely(self, text: Text) -> bool:
        return len(text.plain) <= self._longest and fold(text.plain.decode()) in self._folded


class Range:
    """`gt`, `gte`, `lt`, `lte`, all of which must hold of one number.

    Widely read, a text that spells a number counts as that number, and anything else cannot be decided.
    """

    __slots__ = ("_bounds", "_narrow")

    def __init__(self, bounds: dict[str, str], *, narrow: bool) -> None:
        self._bounds = tuple((_COMPARE[name], _number(bound)) for name, bound in bounds.items())
        self._narrow = narrow

    def __call__(self, value: Any) -> bool:
        """Tell whether the value lies in the range. Raises EvaluationError for no number, if read widely."""
        number = value
        if isinstance(value, str) and not self._narrow and _NUMBER.match(value.strip()):
            number = _number(value.strip())
        if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
            if self._narrow:
                return False
            raise EvaluationError("a value that is not a number is to be compared with one")
        return all(fits(number, bound) for fits, bound in self._bounds)


_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def operator_of(condition: Condition) -> tuple[str, Any]:
    """Return the operator that an entry has, with its operand: `range` with all its bounds for comparisons."""
    chosen = condition.model_dump(exclude_none=True, exclude={"path"})
    if len(chosen) == 1 and not chosen.keys() & _COMPARE.keys():
        return next(iter(chosen.items()))
    return "range", chosen


def _number(text: str) -> int | float:
    """Return the number that the text spells, an int where it is whole: equal numbers are equal keys."""
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def pattern_of(kind: str, operand: str, *, wide: bool) -> str:
    """Return the pattern of `matches` or `contains_text`; `wide` looks past case and spelling of a text."""
    if kind.startswith("matches"):
        return operand
    if not wide:
        return str(re2.escape(operand))
    return f"(?i:{re2.escape(plain(operand))})"


def _found_widely(search: Any, text: Text) -> bool:
    return bool(search.search(text.raw)) or (text.plain is not text.raw and bool(search.search(text.plain)))


def _found_narrowly(search: Any, text: Text) -> bool:
    return bool(search.search(text.raw)) and (text.plain is text.raw or bool(search.search(text.plain)))


def _all_texts(arguments: Arguments, lookup: Lookup, search: Any) -> bool:
    values, texts = arguments.values(lookup), arguments.texts(lookup)
    return 0 < len(values) == len(texts) and all(_found_narrowly(search, text) for text in texts)


def _value_check(kind: str, operand: Any, lookup: Lookup, *, narrow: bool, negative: bool) -> Check:
    """Return the check of a condition that looks at each value by itself."""
    match kind:
        case "equals" | "one_of":
            options = Options((operand,) if isinstance(operand, str) else operand)
            return _option_check(lookup, options, narrow=narrow, negative=negative)
        case "in_cidr" | "inside":
            place: Networks | Folders = Networks(operand) if kind == "in_cidr" else Folders(operand)
            return _doubly(lookup, place.certainly, place.possibly, narrow=narrow, negative=negative)
        case "longer_than":
            return _doubly(lookup, *[_longer_than(operand)] * 2, narrow=narrow, negative=False)
        case "exists" | "absent":
            return _presence_check(lookup, wanted=kind == "exists", narrow=narrow)
    return _range_check(lookup, Range(operand, narrow=narrow), narrow=narrow)


def _option_check(lookup: Lookup, options: Options, *, narrow: bool, negative: bool) -> Check:
    if narrow and negative:
        return lambda arguments: not options.anywhere(arguments, lookup)
    if not narrow and not negative:
        return lambda arguments: options.anywhere(arguments, lookup)
    if narrow:
        return lambda arguments: _every(options.exactly, arguments.values(lookup))
    return lambda arguments: not _every(options.exactly, arguments.values(lookup))


def _presence_check(lookup: Lookup, *, wanted: bool, narrow: bool) -> Check:
    # null is there for a rule that denies what exists, and is not for one that denies what is absent.
    null = wanted is not narrow
    return lambda arguments: _present(arguments.values(lookup), null=null) is wanted


def _range_check(lookup: Lookup, within: Range, *, narrow: bool) -> Check:
    if narrow:
        return lambda arguments: _every(within, arguments.values(lookup))
    return lambda arguments: any(map(within, arguments.values(lookup)))


def _doubly(
    lookup: Lookup, certainly: Callable[[Any], bool], possibly: Callable[[Any], bool], *, narrow: bool, negative: bool
) -> Check:
    """Return the check of what a value certainly or possibly is: rights need the first, doubt ends them."""
    if narrow and negative:
        return lambda arguments: not any(map(possibly, arguments.values(lookup)))
    if not narrow and not negative:
        return lambda arguments: any(map(possibly, arguments.values(lookup)))
    return lambda arguments: _every(certainly, arguments.values(lookup)) is not negative


def _longer_than(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) > most


def _every(fits: Callable[[Any], bool], values: list[Any]) -> bool:
    return bool(values) and all(map(fits, values))


def _present(values: list[Any], *, null: bool) -> bool:
    return any(null or value is not None for value in values)
