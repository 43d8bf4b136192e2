"""The rules of one policy, compiled: what each concerns, whom it addresses, what it asks of people. Pure."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from approvals.config.rules import NAMED_BY, Approval, Decision
from approvals.rules.conditions import Check, Compiler
from approvals.rules.emergency import common, emergency_of
from approvals.rules.folding import EvaluationError, fold
from approvals.rules.matching import Globs
from approvals.rules.quorum import Quorum
from approvals.rules.remembering import narrower
from approvals.rules.timetable import Escalation, Timetable, merged, reminders
from approvals.verdicts import Action, ApprovalTerms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from approvals.config.channels import Route
    from approvals.config.hints import Hints
    from approvals.config.rules import AccessRequests, Callers, Clause, Rule
    from approvals.rules.paths import Arguments
    from approvals.verdicts import Caller
    from masking.detectors import Detector

# Stands for a rule where access was asked for. No rule has that name, for names hold no underscore.
ACCESS = "access_requests"
_COMMENT = ("optional", "required_on_deny", "required")


def fingerprint(document: object) -> str:
    """Return the hex digest of a JSON document in canonical form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Scene(NamedTuple):
    """Where and when a call is made: `name` is folded, `now` is in seconds since the epoch."""

    connection: str
    labels: Mapping[str, str]
    method: str
    name: str
    now: float
    hints: Hints


class CompiledRule:
    """One rule, compiled. `observe` says that it is counted and does not speak."""

    __slots__ = ("_clause", "_unless", "action", "message", "name", "observe", "terms", "tools")

    def __init__(self, rule: Rule, compiler: Compiler) -> None:
        self.name = rule.name
        self.action: Action = rule.action
        self.observe = rule.mode == "observe"
        self.message = rule.message or ""
        self.tools: tuple[str, ...] = rule.match.tools or ("*",)
        self.terms = None if rule.approval is None else rule_terms(rule, rule.approval)
        narrow = rule.action == "allow"
        self._clause = CompiledClause(rule.match, compiler, narrow=narrow, methods=("tools/call",))
        # An exception to what is denied or held is read as an allowance is, and the other way round.
        self._unless = tuple(CompiledClause(clause, compiler, narrow=not narrow) for clause in rule.unless or ())

    @property
    def unconditional(self) -> bool:
        """Whether the rule looks at no argument, no clock and no hint, and knows no exception."""
        return self._clause.unconditional and not self._unless

    @property
    def asks_hints(self) -> bool:
        """Whether the rule looks at what the tool says of itself."""
        return any(clause.asks_hints for clause in (self._clause, *self._unless))

    def concerns(self, connection: str, labels: Mapping[str, str], method: str, name: str) -> bool:
        """Tell whether the rule can match a call of this method and (folded) name on this connection."""
        return self._clause.covers(connection, labels, method, name)

    def reaches(self, connection: str, labels: Mapping[str, str], method: str) -> bool:
        """Tell whether the rule can match some call of this method on this connection, whatever its name."""
        return self._clause.reaches(connection, labels, method)

    def addresses(self, caller: Caller) -> bool:
        """Tell whether the rule is about this caller."""
        return self._clause.addresses(caller)

    def matches(self, caller: Caller, scene: Scene, arguments: Arguments) -> bool:
        """Tell whether a call that the rule concerns matches, and no exception does.

        A condition that cannot be decided counts as met where the rule denies or holds, not where it allows.
        """
        if not self._clause.holds(caller, scene, arguments):
            return False
        return not any(clause.covers(*scene[:4]) and clause.holds(caller, scene, arguments) for clause in self._unless)


class CompiledClause:
    """`match`, or one entry of `unless`. `narrow` says that it gives a right, and so must be certain."""

    __slots__ = ("_caller", "_checks", "_hints", "_narrow", "_scope", "_time")

    def __init__(self, clause: Clause, compiler: Compiler, *, narrow: bool, methods: tuple[str, ...] = ("*",)) -> None:
        self._narrow = narrow
        self._scope = Scope(clause, methods)
        self._caller = CallerCheck(clause.callers)
        self._time = clause.time
        self._hints = clause.hints
        self._checks: tuple[Check, ...] = tuple(
            compiler.compile(condition, narrow=narrow) for condition in clause.arguments or ()
        )

    @property
    def unconditional(self) -> bool:
        """Whether it looks at no argument, no clock and no hint."""
        return not self._checks and self._time is None and self._hints is None

    @property
    def asks_hints(self) -> bool:
        """Whether it looks at what the tool says of itself."""
        return self._hints is not None

    def covers(self, connection: str, labels: Mapping[str, str], method: str, name: str) -> bool:
        """Tell whether connection, method and folded name fit."""
        return self._scope.covers(connection, labels, method, name)

    def reaches(self, connection: str, labels: Mapping[str, str], method: str) -> bool:
        """Tell whether some call of this method on this connection can fit, whatever its name."""
        return self._scope.reaches(connection, labels, method)

    def addresses(self, caller: Caller) -> bool:
        """Tell whether all that is said of callers holds of this one."""
        return self._caller.fits(caller)

    def holds(self, caller: Caller, scene: Scene, arguments: Arguments) -> bool:
        """Tell whether caller, moment and arguments fit; what cannot be decided counts as the reading wants it."""
        if not self._caller.fits(caller):
            return False
        if self._time is not None and not self._time.holds(datetime.fromtimestamp(scene.now, UTC)):
            return False
        if self._hints is not None and not self._hints.hold(scene.hints):
            return False
        for check in self._checks:
            try:
                if not check(arguments):
                    return False
            except EvaluationError:
                if self._narrow:
                    return False
        return True


class Scope:
    """The part of a clause that does not depend on caller, moment or arguments."""

    __slots__ = ("_connections", "_labels", "_methods", "_named", "_names")

    def __init__(self, match: Clause, methods: tuple[str, ...]) -> None:
        self._connections = _globs(match.connections)
        self._labels = {label: Globs(values) for label, values in (match.labels or {}).items()}
        self._methods = Globs(match.methods or methods)
        key = next((key for key in NAMED_BY if getattr(match, key) is not None), None)
        self._named = None if key is None else NAMED_BY[key]
        self._names = None if key is None else Globs(getattr(match, key))

    def covers(self, connection: str, labels: Mapping[str, str], method: str, name: str) -> bool:
        """Tell whether connection, method and folded name fit."""
        return self.reaches(connection, labels, method) and (self._names is None or self._names.match(name))

    def reaches(self, connection: str, labels: Mapping[str, str], method: str) -> bool:
        """Tell whether connection and method fit."""
        if not self._methods.match(fold(method)):
            return False
        if self._names is not None and method not in (self._named or ()):
            return False
        if self._connections is not None and not self._connections.match(connection):
            return False
        return all(label in labels and globs.match(fold(labels[label])) for label, globs in self._labels.items())


class CallerCheck:
    """`callers` of a match; without it every caller fits."""

    __slots__ = ("_claims", "_groups", "_kinds", "_not_groups", "_subjects")

    def __init__(self, callers: Callers | None) -> None:
        self._groups = _some(callers.groups if callers else None)
        self._not_groups = frozenset(callers.not_groups or ()) if callers else frozenset()
        self._kinds = _some(callers.kinds if callers else None)
        self._subjects = _globs(callers.subjects) if callers else None
        claims = (callers.claims if callers else None) or {}
        self._claims = tuple((name, Globs(globs)) for name, globs in claims.items())

    def fits(self, caller: Caller) -> bool:
        """Tell whether all that is said of callers holds of this one."""
        if self._groups is not None and self._groups.isdisjoint(caller.groups):
            return False
        if not self._not_groups.isdisjoint(caller.groups):
            return False
        if self._kinds is not None and caller.kind not in self._kinds:
            return False
        if self._subjects is not None and not self._subjects.match(fold(caller.key)):
            return False
        if not self._claims:
            return True
        texts = dict(caller.claims)
        return all(any(globs.match(fold(text)) for text in texts.get(name, ())) for name, globs in self._claims)


def _globs(patterns: Iterable[str] | None) -> Globs | None:
    return None if patterns is None else Globs(patterns)


def _some(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def compile_rules(rules: Sequence[Rule], detectors: Sequence[Detector] = ()) -> tuple[CompiledRule, ...]:
    """Return the rules compiled, by name: what a verdict says does not depend on the order in the file.

    `detectors` are those of the configuration's own.
    """
    compiler = Compiler(detectors)
    compiled = tuple(sorted((CompiledRule(rule, compiler) for rule in rules), key=lambda rule: rule.name))
    compiler.finish()
    return compiled


def rule_terms(rule: Rule, approval: Approval) -> ApprovalTerms:
    """Return the terms on which a rule holds a call."""
    # Whom to tell is no part of it: who changes a route does not supersede what waits.
    written = rule.model_dump(
        mode="json", exclude={"notify": True, "approval": {"break_glass": {"notify"}}}, exclude_none=True
    )
    return _terms(rule.name, (rule.name,), approval, rule.message or "", fingerprint({"rule": written}), rule.notify)


def default_terms(connection: str, approval: Approval, notify: tuple[Route, ...]) -> ApprovalTerms:
    """Return the terms on which a connection holds a call that no rule speaks of."""
    said = approval.model_dump(mode="json", exclude={"break_glass": {"notify"}}, exclude_none=True)
    written = {"connection": connection, "default_approval": said}
    return _terms("", (), approval, "", fingerprint(written), notify)


def access_terms(connection: str, asked: AccessRequests, notify: tuple[Route, ...]) -> ApprovalTerms:
    """Return the terms on which people give access for a while; `collect_within` is the longest while."""
    written = {"connection": connection, ACCESS: asked.model_dump(mode="json", exclude_none=True)}
    approval = Approval(
        **{name: getattr(asked, name) for name in Decision.model_fields},
        collect_within=asked.max_duration,
        reason="required",
    )
    return _terms(ACCESS, (ACCESS,), approval, "", fingerprint(written), notify)


def _terms(
    rule: str,
    rules: tuple[str, ...],
    approval: Approval,
    message: str,
    print_: str,
    notify: tuple[Route, ...],
) -> ApprovalTerms:
    return ApprovalTerms(
        rule=rule,
        rules=rules,
        require=Quorum((approval.require,)),
        expires_after=approval.expires_after,
        collect_within=approval.collect_within,
        comment=approval.comment,
        reason=approval.reason,
        decide_in=("dashboard",) if approval.mfa == "required" else approval.decide_in,
        mfa=approval.mfa,
        delegation=approval.delegation,
        message=message,
        notify=notify,
        timetable=_timetable(approval),
        remember=approval.remember,
        emergency=emergency_of(approval),
        reveal_to=frozenset(approval.reveal_to or ()),
        fingerprint=print_,
    )


def _timetable(approval: Approval) -> Timetable:
    return Timetable(
        reminders(approval.remind_after, approval.expires_after),
        tuple(Escalation(step.after, step.add_groups) for step in approval.escalate or ()),
    )


def strictest(terms: Sequence[ApprovalTerms]) -> ApprovalTerms:
    """Return the terms of a call that several rules hold: every quorum, and of the rest the strictest."""
    if len(terms) == 1:
        return terms[0]
    expires_after = min(one.expires_after for one in terms)
    ways = tuple(way for way in terms[0].decide_in if all(way in one.decide_in for one in terms))
    return ApprovalTerms(
        rule=terms[0].rule,
        rules=tuple(one.rule for one in terms),
        require=Quorum(tuple(part for one in terms for part in one.require.parts)),
        expires_after=expires_after,
        collect_within=min(one.collect_within for one in terms),
        comment=max((one.comment for one in terms), key=_COMMENT.index),
        reason=_required(one.reason for one in terms),
        # Rules that share no way of deciding meet where everything can be seen.
        decide_in=ways or ("dashboard",),
        mfa=_required(one.mfa for one in terms),
        delegation="forbidden" if any(one.delegation == "forbidden" for one in terms) else "allowed",
        message="\n".join(dict.fromkeys(one.message for one in terms if one.message)),
        notify=tuple(dict.fromkeys(route for one in terms for route in one.notify)),
        timetable=merged([one.timetable for one in terms], expires_after),
        remember=narrower([one.remember for one in terms]),
        emergency=common([one.emergency for one in terms]),
        reveal_to=frozenset.intersection(*(one.reveal_to for one in terms)),
        fingerprint=fingerprint([one.fingerprint for one in terms]),
    )


def _required(values: Iterable[Any]) -> Any:
    return "required" if "required" in set(values) else "optional"
