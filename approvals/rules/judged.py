"""What is kept of a verdict: how many rules were read, which spoke, and the place of each value that met them. Pure.

Places, not values: these stand in the request beside it, masked, and nowhere twice. It is made after the verdict, of
the arguments as they came, and only for calls of which a rule spoke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from approvals.rules.conditions import operator_of
from approvals.rules.folding import EvaluationError
from approvals.rules.paths import Path
from approvals.rules.tracing import Finding, Place, finder, located, quoted, told
from masking.engine import Engine, MaskingFailed
from masking.rules import MaskingRule

if TYPE_CHECKING:
    from approvals.config.conditions import Condition
    from approvals.config.rules import Rule
    from approvals.config.schema import Config
    from approvals.sql.lexing import Dialect
    from masking.detectors import Detector
    from masking.engine import Masker

MOST_PLACES: Final = 10
LONGEST_PLACE: Final = 200
_KEY: Final = bytes(16)  # keys pseudonyms, and none is made here


@dataclass(frozen=True, slots=True)
class Met:
    """One condition of a rule that spoke: its path, and where the values are that met it; none for what is missing."""

    path: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoke:
    """One rule that matched, and by what. `observes`: it was counted and decided nothing."""

    rule: str
    action: str
    observes: bool
    met: tuple[Met, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict as it was come to: under which revision, of how many rules, and those that spoke."""

    revision: int
    digest: str
    read: int
    rules: tuple[Spoke, ...]

    def document(self, mask: Callable[[str], str]) -> dict[str, Any]:
        """Return plain JSON; `mask` is asked of each place that is not the rule's own path, for keys are callers'."""
        rules = [
            {
                "rule": one.rule,
                "action": one.action,
                "observes": one.observes,
                "met": [
                    {"path": met.path, "at": [at if at == met.path else mask(at) for at in met.places]}
                    for met in one.met
                ],
            }
            for one in self.rules
        ]
        return {"revision": self.revision, "digest": self.digest, "read": self.read, "rules": rules}


class Tracer:
    """Says by what the rules of one policy were met. Safe to share between threads."""

    def __init__(self, config: Config) -> None:
        self._rules = {rule.name: rule for rule in config.in_force.rules}
        self._detectors = config.own_detectors
        self._traced: dict[tuple[str, Dialect | None], tuple[_Traced, ...]] = {}

    def spoke(self, names: Sequence[str], arguments: Any, dialect: Dialect | None) -> tuple[Spoke, ...]:
        """Return what each of these rules, which matched, was met by."""
        return tuple(self._spoke(self._rules[name], arguments, dialect) for name in names)

    def _spoke(self, rule: Rule, arguments: Any, dialect: Dialect | None) -> Spoke:
        traced = self._traced.get((rule.name, dialect))
        if traced is None:  # read once: most rules of a policy never speak
            conditions = rule.match.arguments or ()
            traced = tuple(_Traced(one, self._detectors, dialect, narrow=rule.action == "allow") for one in conditions)
            self._traced[rule.name, dialect] = traced
        met = tuple(Met(one.path, one.places(arguments)) for one in traced)
        return Spoke(rule.name, rule.action, rule.mode == "observe", met)


class _Traced:
    """One condition of a rule, as it is looked for."""

    __slots__ = ("_fits", "_is_absence", "_narrow", "_path", "path")

    def __init__(
        self, condition: Condition, detectors: Sequence[Detector], dialect: Dialect | None, *, narrow: bool
    ) -> None:
        kind, operand = operator_of(condition)
        self.path = condition.path
        self._path = Path.parse(condition.path)
        self._narrow = narrow
        self._is_absence = kind == "absent"
        if kind == "contains":
            rule = MaskingRule(name="contains", detectors=tuple(operand))
            masker = Engine([rule], hash_key=_KEY, custom=detectors).masker("", None)
            self._fits: Callable[[Any], object] = partial(_carries, masker)
        else:
            self._fits = finder(kind, operand, dialect)

    def places(self, arguments: Any) -> tuple[str, ...]:
        """Return where the values are that met the condition, of a rule that is known to have matched."""
        if self._is_absence:
            return ()
        root = ("", arguments)
        found = list(islice(located(self._path, root), 2))
        # A right needs every value. Else a value that is alone on the path is what the rule was met by, and nothing is
        # searched again; but below `**` the name of a member may have been it.
        if len(found) == 2 or self._path.strings:
            every = located(self._path, root)
            fitting = every if self._narrow else (one for one in every if _fits(self._fits, one[1]))
            found = list(islice(fitting, MOST_PLACES))
        return tuple(name if len(name) <= LONGEST_PLACE else self.path for name, _ in found)


def _fits(fits: Callable[[Any], object], value: Any) -> bool:
    try:
        return bool(fits(value))
    except EvaluationError:
        return True  # what cannot be decided counts as fitting


def _carries(masker: Masker, value: Any) -> bool:
    try:
        return bool(masker.value(value) != value)
    except MaskingFailed:
        return True


def read(body: bytes | None) -> Judged | None:
    """Return what was kept of a verdict; None where nothing was, it was erased, or it cannot be read."""
    try:
        document = orjson.loads(body or b"null")
        rules = tuple(
            Spoke(
                str(one["rule"]),
                str(one["action"]),
                one["observes"] is True,
                tuple(Met(str(met["path"]), tuple(map(str, met["at"]))) for met in one["met"]),
            )
            for one in document["rules"]
        )
        return Judged(int(document["revision"]), str(document["digest"]), int(document["read"]), rules)
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """One rule that spoke, as a page tells it."""

    spoke: Spoke
    findings: tuple[Finding, ...]


def told_of(
    judged: Judged | None, rules: Mapping[str, Rule], arguments: Any, name: str = "", *, with_places: bool
) -> list[Told]:
    """Return what is kept of a verdict in words: conditions, places of then, and what stands there, if it is seen.

    `rules` are those of that revision; of one that is missing there, conditions are told by their paths alone.
    `arguments` is what the viewer may see, `name` how the page calls them; without places no value and no key is told.
    """
    spoken = () if judged is None else judged.rules
    return [
        Told(
            one, tuple(_finding(met, rule, arguments, name, with_places) for met, rule in _with_conditions(one, rules))
        )
        for one in spoken
    ]


def _with_conditions(spoke: Spoke, rules: Mapping[str, Rule]) -> Iterator[tuple[Met, Condition | None]]:
    rule = rules.get(spoke.rule)
    conditions = rule.match.arguments or () if rule is not None else ()
    known = len(conditions) == len(spoke.met)
    yield from ((met, conditions[index] if known else None) for index, met in enumerate(spoke.met))


def _finding(met: Met, condition: Condition | None, arguments: Any, name: str, with_places: bool) -> Finding:
    says, operand, is_negative = told(condition) if condition is not None else ("", "", False)
    values = dict(located(Path.parse(met.path), ("", arguments))) if with_places and met.places else {}
    places = (Place(f"{name}.{at}" if name else at, (), "", quoted(values.get(at)), "") for at in met.places)
    return Finding(met.path, says, operand, tuple(places) if with_places else (), is_negative)


def as_json(judged: Judged, *, with_places: bool) -> Mapping[str, Any]:
    """Return it for the API; places hold keys of the caller's, so they are for who may see what calls carried."""
    document = judged.document(lambda at: at)
    if not with_places:
        for rule in document["rules"]:
            rule["met"] = [{"path": met["path"]} for met in rule["met"]]
    return document
