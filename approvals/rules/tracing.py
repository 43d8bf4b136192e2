"""Why a rule matched: which condition found what, and where. Pure: a rule and a call's arguments in, findings out.

For people, after the verdict: it is asked of the arguments as an approver sees them, so what it quotes is masked and
what was found in a masked part is said to be hidden. The verdict itself is `policy`'s alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from approvals.legible import joined
from approvals.rules.conditions import Options, Range, operator_of, pattern_of
from approvals.rules.folding import EvaluationError, fold, text_of
from approvals.rules.locations import Folders, Networks
from approvals.rules.matching import search_pattern
from approvals.rules.paths import Name, Path, Step
from approvals.sql.kinds import kinds_of

if TYPE_CHECKING:
    from approvals.config.conditions import Condition
    from approvals.config.rules import Rule
    from approvals.sql.lexing import Dialect

MOST_VISITED = 5_000
MOST_PLACES = 20
MOST_SPANS = 50
AROUND = 24
QUOTED = 120
_WORDS = {
    "matches": "matches",
    "matches_not": "does not match",
    "contains_text": "contains",
    "contains_text_not": "does not contain",
    "equals": "is",
    "equals_not": "is not",
    "one_of": "is one of",
    "one_of_not": "is none of",
    "sql_kind": "is SQL that does any of",
    "sql_kind_not": "is not proved to be SQL that does nothing but",
    "contains": "holds what detectors find:",
    "contains_not": "holds nothing that detectors find:",
    "in_cidr": "is an address in",
    "in_cidr_not": "is not surely an address in",
    "inside": "is a path inside",
    "inside_not": "is not surely a path inside",
    "longer_than": "is longer in characters than",
    "exists": "is there",
    "absent": "is not there",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
}
Span = tuple[int, int]
# A JSON value with its name.
Named = tuple[str, Any]
Fit = Callable[[Any], tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A value that fits: its path as the page names it, the parts that were found, and the first of them quoted."""

    name: str
    spans: tuple[Span, ...]
    before: str
    quoted: str
    after: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition of a rule, in words, and where it holds; no place when it holds of what is masked or missing."""

    path: str
    says: str
    operand: str
    places: tuple[Place, ...]
    is_negative: bool

    @property
    def is_hidden(self) -> bool:
        """Whether the condition was met by something that an approver does not see."""
        return not self.places and not self.is_negative


def trace(rule: Rule, arguments: Any, name: str = "", dialect: Dialect | None = None) -> tuple[Finding, ...]:
    """Return what each condition of a rule that matched found in the arguments; `name` is how pages call these.

    `dialect` is that of the connection, for what is SQL.
    """
    return tuple(_finding(condition, (name, arguments), dialect) for condition in rule.match.arguments or ())


def scope(rule: Rule) -> list[tuple[str, str]]:
    """Return what else a rule looks at, in words: connections, labels, tools, callers; patterns as it writes them."""
    written = rule.match.model_dump(exclude_none=True, exclude={"arguments", "labels", "callers", "time", "hints"})
    found = [(key, ", ".join(map(str, values))) for key, values in written.items()]
    found += [(f"label {label}", ", ".join(values)) for label, values in (rule.match.labels or {}).items()]
    if rule.match.time is not None:
        times = rule.match.time.model_dump(mode="json", exclude_none=True)
        found.append(("time", "; ".join(f"{key}: {_written(value)}" for key, value in times.items())))
    if rule.match.hints is not None:
        hints = rule.match.hints.model_dump(exclude_none=True)
        found += [(f"the tool's hint {hint}", ", ".join(told)) for hint, told in hints.items()]
    callers = rule.match.callers.model_dump(exclude_none=True) if rule.match.callers else {}
    return found + [(f"callers: {key.replace('_', ' ')}", ", ".join(values)) for key, values in callers.items()]


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {inner}" for key, inner in value.items())
    return ", ".join(map(_written, value)) if isinstance(value, list) else str(value)


def _finding(condition: Condition, root: Named, dialect: Dialect | None) -> Finding:
    kind, operand = operator_of(condition)
    path = Path.parse(condition.path)
    places = tuple(_places(finder(kind, operand, dialect), path, root)) if kind != "absent" else ()
    says, operand, is_negative = told(condition)
    return Finding(condition.path, says, operand, places, is_negative)


def told(condition: Condition) -> tuple[str, str, bool]:
    """Return a condition in words: what it says of a value, with what, and whether it may be met by what is missing."""
    kind, operand = operator_of(condition)
    if kind == "range":
        return " and ".join(f"{_WORDS[name]} {bound}" for name, bound in operand.items()), "", False
    return _WORDS[kind], _spelled(operand), kind.endswith("_not") or kind == "absent"


def _spelled(operand: Any) -> str:
    if operand is True:
        return ""
    return ", ".join(operand) if isinstance(operand, tuple | list) else str(operand)


def _places(fits: Fit, path: Path, root: Named) -> Iterator[Place]:
    found = 0
    for name, value in located(path, root):
        try:
            spans = fits(value)
        except EvaluationError:
            spans = ((0, len(_text(value))),)  # what cannot be decided counts as fitting
        if spans and found < MOST_PLACES:
            found += 1
            yield _place(name, _text(value), spans)


def finder(kind: str, operand: Any, dialect: Dialect | None) -> Fit:
    """Return a function from a value to the parts of it that fit: the whole where the operator is about wholes.

    It reads widely, and raises EvaluationError for a value of which it cannot be told. For what detectors find it fits
    nothing: that is masked where people look.
    """
    positive = kind.removesuffix("_not")
    if positive in ("sql_kind", "in_cidr", "inside", "longer_than", "contains"):
        return partial(_whole_if, _pointed(kind, operand, dialect))
    found = _found(positive, operand, wide=positive == kind)
    return found if positive == kind else partial(_lacking, found)


def _found(kind: str, operand: Any, *, wide: bool) -> Fit:
    match kind:
        case "matches" | "contains_text":
            return partial(_search, search_pattern(pattern_of(kind, operand, wide=wide)))
        case "equals" | "one_of":
            return partial(_whole_if, Options((operand,) if isinstance(operand, str) else operand).fits)
        case "range":
            return partial(_whole_if, Range(operand, narrow=False))
        case _:
            return _whole


def _pointed(kind: str, operand: Any, dialect: Dialect | None) -> Callable[[Any], bool]:
    """Return the wide reading of a condition on what a value holds or where it points."""
    readings: dict[str, Callable[[Any], bool]] = {
        "sql_kind": lambda value: isinstance(value, str) and not kinds_of(value, dialect).isdisjoint(operand),
        "sql_kind_not": lambda value: not isinstance(value, str) or not kinds_of(value, dialect) <= set(operand),
        "in_cidr": lambda value: Networks(operand).possibly(value),
        "in_cidr_not": lambda value: not Networks(operand).certainly(value),
        "inside": lambda value: Folders(operand).possibly(value),
        "inside_not": lambda value: not Folders(operand).certainly(value),
        "longer_than": lambda value: isinstance(value, str) and len(value) > operand,
    }
    # What detectors find is masked in what an approver sees.
    return readings.get(kind, lambda value: False)


def _lacking(found: Fit, value: Any) -> tuple[Span, ...]:
    return () if found(value) else _whole(value)


def _whole_if(fits: Callable[[Any], bool], value: Any) -> tuple[Span, ...]:
    return _whole(value) if fits(value) else ()


def _whole(value: Any) -> tuple[Span, ...]:
    return ((0, max(1, len(_text(value)))),)


def _search(pattern: Any, value: Any) -> tuple[Span, ...]:
    """Return where the pattern is found in a text; the whole of it when only its plain form fits."""
    if not isinstance(value, str):
        return ()
    text = text_of(value)
    spans, at, seen = [], 0, 0  # bytes and characters before the last hit's end
    for hit in pattern.finditer(text.raw):
        start, end = hit.span()
        if end > start:
            first = seen + len(text.raw[at:start].decode())
            at, seen = end, first + len(text.raw[start:end].decode())
            spans.append((first, seen))
        if len(spans) == MOST_SPANS:
            break
    if spans:
        return tuple(spans)
    fits = pattern.search(text.raw) or (text.plain is not text.raw and pattern.search(text.plain))
    return _whole(value) if fits else ()


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else "…" if isinstance(value, dict | list) else str(value)


def quoted(value: Any) -> str:
    """Return a JSON value as a page quotes it, short; empty for None."""
    text = "" if value is None else _text(value)
    return text if len(text) <= QUOTED else text[:QUOTED] + "…"


def _place(name: str, text: str, spans: tuple[Span, ...]) -> Place:
    start, end = spans[0]
    before = ("…" if start > AROUND else "") + text[max(0, start - AROUND) : start]
    after = text[end : end + AROUND] + ("…" if len(text) > end + AROUND else "")
    return Place(name, spans, before, quoted(text[start:end]), after)


def located(path: Path, root: Named) -> Iterator[Named]:
    """Yield the values on the path with their names as pages write them, in order; MOST_VISITED of each step."""
    found: Iterator[Named] = iter((root,))
    for step in path.steps:
        found = islice(_after(found, step), MOST_VISITED)
    for name, value in found:
        if not path.strings or isinstance(value, str):
            yield name, value


def _after(found: Iterator[Named], step: Step | Name) -> Iterator[Named]:
    for name, value in found:
        yield from _below(name, value, step)


def _below(name: str, value: Any, step: Step | Name) -> Iterator[Named]:
    if isinstance(step, Name):
        if isinstance(value, dict):
            yield from ((joined(name, key), inner) for key, inner in value.items() if _is_named(key, step))
    elif step is Step.ANY_KEY:
        yield from _members(name, value) if isinstance(value, dict) else ()
    elif step is Step.ANY_INDEX:
        yield from _members(name, value) if isinstance(value, list) else ()
    else:
        waiting: list[Iterator[Named]] = [iter([(name, value)])]
        while waiting:
            at = next(waiting[-1], None)
            if at is None:
                waiting.pop()
            else:
                yield at
                waiting.append(_members(*at))


def _members(name: str, value: Any) -> Iterator[Named]:
    if isinstance(value, dict):
        yield from ((joined(name, key), inner) for key, inner in value.items())
    elif isinstance(value, list):
        yield from ((f"{name}[{index}]", inner) for index, inner in enumerate(value))


def _is_named(key: str, step: Name) -> bool:
    try:
        return fold(key) == step.folded
    except EvaluationError:
        return False
