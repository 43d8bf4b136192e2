"""The one path grammar: `a.b`, `a[*].b`, `*` one key, `**` any depth; at the end `**` means every string.

A path is parsed once into steps and walked over parsed JSON; what one call has on it is remembered for the
rules that name the same path. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Self, TypeVar

from approvals.rules.folding import EvaluationError, Text, fold, text_of

if TYPE_CHECKING:
    from approvals.sql.lexing import Dialect

_SEGMENT = re.compile(r"(?P<name>[^\[\]]*)(?P<indices>(\[\*\])*)\Z")
_LONGEST_PATH = 500
# A call with more values on one path, or more values times rules that look at them, is not examined further:
# the evaluation fails, to the stricter side.
MOST_VALUES = 50_000
MOST_EXAMINED = 200_000
T = TypeVar("T")


class PathError(ValueError):
    """The text is not a path; the message says why."""


class Step(Enum):
    """A step that is not the name of a key."""

    ANY_KEY = "*"
    ANY_INDEX = "[*]"
    ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True)
class Name:
    """A step to the member of this name; the folded form serves where spelling must not matter."""

    written: str
    folded: str


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path; `strings` says that it ends in `**` and so means every string below."""

    steps: tuple[Step | Name, ...]
    strings: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the path that the text spells. Raises PathError."""
        if not text or len(text) > _LONGEST_PATH:
            raise PathError("a path has between 1 and 500 characters")
        steps = [step for segment in text.split(".") for step in _steps(segment, text)]
        return cls(tuple(steps), steps[-1] is Step.ANY_DEPTH)


def _steps(segment: str, text: str) -> Iterator[Step | Name]:
    found = _SEGMENT.match(segment)
    if found is None or not segment:
        raise PathError(f"{text!r} is not a path: write a.b, a[*].b, *.b, **.b or **")
    name = found["name"]
    if name in ("*", "**"):
        yield Step(name)
    elif "*" in name:
        raise PathError(f"{text!r} is not a path: * stands alone in a segment, for one key, and ** for any depth")
    elif name:
        yield Name(name, fold(name))
    yield from [Step.ANY_INDEX] * (len(found["indices"]) // 3)


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """A path as one kind of rule reads it. Rules that share the object share the work.

    `exact`: names must be spelled as in the rule (allow). `names`: on a path that ends in `**` the names of
    members count as strings too.
    """

    path: Path
    exact: bool = False
    names: bool = False


class Arguments:
    """The arguments of one call, walked lazily: what lies on a path is found once, however many rules ask.

    `dialect` is that of the database behind the connection, for what is SQL.
    """

    __slots__ = ("_answers", "_by_name", "_examined", "_root", "_texts", "_values", "dialect")

    def __init__(self, root: Any, dialect: Dialect | None = None) -> None:
        self._root = root
        self.dialect = dialect
        self._values: dict[Lookup, list[Any] | EvaluationError] = {}
        self._texts: dict[Lookup, list[Text] | EvaluationError] = {}
        self._answers: dict[Callable[[Arguments], Any], Any] = {}
        self._examined = 0
        # By identity: the objects live as long as the root, so an id is never used twice.
        self._by_name: dict[int, dict[str, list[Any]]] = {}

    def values(self, lookup: Lookup) -> list[Any]:
        """Return every value on the path. Raises EvaluationError for more than MOST_VALUES of them."""
        known = self._values.get(lookup)
        if known is None:
            known = self._values[lookup] = self._or_error(self._walk, lookup)
        return self._spent(known)

    def texts(self, lookup: Lookup) -> list[Text]:
        """Return the strings on the path in both forms. Raises EvaluationError where a string has none."""
        known = self._texts.get(lookup)
        if known is None:
            known = self._texts[lookup] = self._or_error(self._read, lookup)
        return self._spent(known)

    def once(self, question: Callable[[Arguments], T]) -> T:
        """Return the answer to a question that several rules ask of the same arguments, asked once.

        A question that could not be decided is not asked again either: its EvaluationError is raised each time.
        """
        if question not in self._answers:
            try:
                self._answers[question] = question(self)
            except EvaluationError as error:
                self._answers[question] = error
        known = self._answers[question]
        if isinstance(known, EvaluationError):
            raise known
        answer: T = known
        return answer

    def _or_error(self, find: Callable[[Lookup], list[T]], lookup: Lookup) -> list[T] | EvaluationError:
        # The error is remembered too: what cost much once must not cost it again for every rule.
        try:
            return find(lookup)
        except EvaluationError as error:
            return error

    def _spent(self, found: list[T] | EvaluationError) -> list[T]:
        if isinstance(found, EvaluationError):
            raise found
        self._examined += len(found)
        if self._examined > MOST_EXAMINED:
            raise EvaluationError("too many values for all the rules that look at them")
        return found

    def _read(self, lookup: Lookup) -> list[Text]:
        return [text_of(value) for value in self.values(lookup) if isinstance(value, str)]

    def _walk(self, lookup: Lookup) -> list[Any]:
        values: list[Any] = [self._root]
        for step in lookup.path.steps:
            values = self._next(values, step, lookup.exact)
            if len(values) > MOST_VALUES:
                raise EvaluationError("too many values on one path")
        if not lookup.path.strings:
            return values
        names = [name for value in values if isinstance(value, dict) for name in value] if lookup.names else []
        return names + [value for value in values if isinstance(value, str)]

    def _next(self, values: list[Any], step: Step | Name, exact: bool) -> list[Any]:
        if isinstance(step, Name):
            dicts = (value for value in values if isinstance(value, dict))
            if exact:
                return [value[step.written] for value in dicts if step.written in value]
            return [below for value in dicts for below in self._named(value).get(step.folded, ())]
        if step is Step.ANY_KEY:
            return [below for value in values if isinstance(value, dict) for below in value.values()]
        if step is Step.ANY_INDEX:
            return [below for value in values if isinstance(value, list) for below in value]
        return _everything(values)

    def _named(self, value: dict[str, Any]) -> dict[str, list[Any]]:
        known = self._by_name.get(id(value))
        if known is None:
            if len(value) > MOST_VALUES:
                raise EvaluationError("too many members in one object")
            known = self._by_name[id(value)] = {}
            for key, below in value.items():
                known.setdefault(fold(key), []).append(below)
        return known


def _everything(values: list[Any]) -> list[Any]:
    """Return the values and all beneath them, each container once: one may lie in another (`**.a.**`)."""
    nodes, found = list(values), []
    seen: set[int] = set()
    for node in nodes:
        if isinstance(node, (dict, list)):
            if id(node) in seen:
                continue
            seen.add(id(node))
            nodes.extend(node.values() if isinstance(node, dict) else node)
            if len(nodes) > MOST_VALUES:
                raise EvaluationError("too many values beneath one path")
        found.append(node)
    return found
