"""What a policy says of one call, rule by rule: which spoke and on what, which did not and why not. Pure.

For people who write rules. The verdict is `policy`'s; a rule's keys are asked one by one by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from approvals.config.rules import NAMED_BY, Clause
from approvals.policy import CompiledConnection
from approvals.rules.conditions import Compiler
from approvals.rules.folding import EvaluationError, fold
from approvals.rules.paths import Arguments
from approvals.rules.ruleset import CompiledClause, Scene, compile_rules
from approvals.rules.tracing import Finding, trace

if TYPE_CHECKING:
    from approvals.config.rules import Rule
    from approvals.config.schema import Config
    from approvals.verdicts import Call
    from masking.detectors import Detector

_OF_METHODS = ("tools/call",)


@dataclass(frozen=True, slots=True)
class Heard:
    """One rule on one call. `findings` are of a rule that matches, `missed` says in words why another does not."""

    rule: Rule
    matches: bool
    findings: tuple[Finding, ...] = ()
    missed: tuple[str, ...] = ()


def heard(config: Config, call: Call, now: float) -> list[Heard]:
    """Return what each rule in force makes of a call at a moment (seconds since the epoch), those that match first.

    Nothing where the connection is not there, or the name cannot be compared: no rule is asked then.
    """
    found = config.connections.get(call.connection)
    if found is None:
        return []
    try:
        name = fold(call.name)
    except EvaluationError:
        return []
    hints = CompiledConnection(call.connection, found).hints_of(name, call.hints)
    scene = Scene(call.connection, found.labels, call.method, name, now, hints)
    rules = [_heard(rule, call, scene, config) for rule in config.in_force.rules]
    return sorted(rules, key=lambda one: (not one.matches, one.rule.name))


def _heard(rule: Rule, call: Call, scene: Scene, config: Config) -> Heard:
    dialect = config.connections[call.connection].sql_dialect
    (compiled,) = compile_rules([rule], config.own_detectors)
    arguments = Arguments(call.arguments, dialect)
    if compiled.concerns(*scene[:4]) and compiled.matches(call.caller, scene, arguments):
        return Heard(rule, True, findings=trace(rule, call.arguments, dialect=dialect))
    missed = tuple(_missed(rule, call, scene, arguments, config))
    return Heard(rule, False, missed=missed)


def _missed(rule: Rule, call: Call, scene: Scene, arguments: Arguments, config: Config) -> Iterator[str]:
    holds = partial(_holds, call=call, scene=scene, arguments=arguments, detectors=config.own_detectors)
    narrow = rule.action == "allow"
    for says, clause in _parts(rule.match, scene.method):
        if not holds(clause, narrow=narrow):
            yield says
    for index, clause in enumerate(rule.unless or (), 1):
        if holds(clause, narrow=not narrow):
            yield f"exception {index} of unless holds"


def _parts(match: Clause, method: str) -> Iterator[tuple[str, Clause]]:
    """Yield each key of a clause as a clause of its own, with what is said when it does not hold."""
    methods = match.methods or _OF_METHODS
    yield f"the method {method} is not one of {', '.join(methods)}", Clause.model_construct(methods=methods)
    for key in ("connections", *NAMED_BY, "labels", "callers", "time", "hints"):
        value = getattr(match, key)
        if value is not None:
            said = f": {', '.join(value)}" if isinstance(value, tuple) else ""
            yield f"its {key} do not fit{said}", Clause.model_construct(**{key: value})
    for number, condition in enumerate(match.arguments or (), 1):
        says = f"argument condition {number}, on {condition.path}, does not hold"
        yield says, Clause.model_construct(arguments=(condition,))


def _holds(
    clause: Clause,
    call: Call,
    scene: Scene,
    arguments: Arguments,
    detectors: Sequence[Detector],
    *,
    narrow: bool,
) -> bool:
    compiler = Compiler(detectors)
    compiled = CompiledClause(clause, compiler, narrow=narrow)
    compiler.finish()
    return compiled.covers(*scene[:4]) and compiled.holds(call.caller, scene, arguments)
