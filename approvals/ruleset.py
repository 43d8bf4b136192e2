"""The rules of one policy, compiled: what each concerns, whom it addresses, what it asks of people. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from approvals.conditions import Check, Compiler
from approvals.config.rules import NAMED_BY
from approvals.folding import EvaluationError, fold
from approvals.matching import Globs
from approvals.quorum import Quorum
from approvals.verdicts import Action, ApprovalTerms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from approvals.config.rules import Approval, Callers, Match, Rule
    from approvals.paths import Arguments
    from approvals.verdicts import Caller

_COMMENT = ("optional", "required_on_deny", "required")


def fingerprint(document: object) -> str:
    """Return the hex digest of a JSON document in canonical form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class CompiledRule:
    """One rule, compiled. `observe` says that it is counted and does not speak."""

    __slots__ = ("_caller", "_checks", "_narrow", "_scope", "action", "message", "name", "observe", "terms")

    def __init__(self, rule: Rule, compiler: Compiler) -> None:
        self.name = rule.name
        self.action: Action = rule.action
        self.observe = rule.mode == "observe"
        self.message = rule.message or ""
        self.terms = None if rule.approval is None else rule_terms(rule, rule.approval)
        self._narrow = rule.action == "allow"
        self._scope = Scope(rule.match)
        self._caller = CallerCheck(rule.match.callers)
        conditions = rule.match.arguments or ()
        self._checks: tuple[Check, ...] = tuple(
            compiler.compile(condition, narrow=self._narrow) for condition in conditions
        )

    @property
    def unconditional(self) -> bool:
        """Whether the rule looks at no argument."""
        return not self._checks

    def concerns(self, connection: str, labels: dict[str, str], method: str, name: str) -> bool:
        """Tell whether the rule can match a call of this method and (folded) name on this connection."""
        return self._scope.covers(connection, labels, method, name)

    def addresses(self, caller: Caller) -> bool:
        """Tell whether the rule is about this caller."""
        return self._caller.fits(caller)

    def matches(self, caller: Caller, arguments: Arguments) -> bool:
        """Tell whether a call that the rule concerns matches.

        A condition that cannot be decided counts as met where the rule denies or holds, not where it allows.
        """
        if not self._caller.fits(caller):
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
    """The part of `match` that does not depend on caller or arguments."""

    __slots__ = ("_connections", "_labels", "_methods", "_named", "_names")

    def __init__(self, match: Match) -> None:
        self._connections = _globs(match.connections)
        self._labels = {label: Globs(values) for label, values in (match.labels or {}).items()}
        self._methods = Globs(match.methods or ("tools/call",))
        key = next((key for key in NAMED_BY if getattr(match, key) is not None), None)
        self._named = None if key is None else NAMED_BY[key]
        self._names = None if key is None else Globs(getattr(match, key))

    def covers(self, connection: str, labels: dict[str, str], method: str, name: str) -> bool:
        """Tell whether connection, method and folded name fit."""
        if not self._methods.match(fold(method)):
            return False
        if self._names is not None and (method not in (self._named or ()) or not self._names.match(name)):
            return False
        if self._connections is not None and not self._connections.match(connection):
            return False
        return all(label in labels and globs.match(fold(labels[label])) for label, globs in self._labels.items())


class CallerCheck:
    """`callers` of a match; without it every caller fits."""

    __slots__ = ("_groups", "_kinds", "_not_groups", "_subjects")

    def __init__(self, callers: Callers | None) -> None:
        self._groups = _some(callers.groups if callers else None)
        self._not_groups = frozenset(callers.not_groups or ()) if callers else frozenset()
        self._kinds = _some(callers.kinds if callers else None)
        self._subjects = _globs(callers.subjects) if callers else None

    def fits(self, caller: Caller) -> bool:
        """Tell whether all that is said of callers holds of this one."""
        if self._groups is not None and self._groups.isdisjoint(caller.groups):
            return False
        if not self._not_groups.isdisjoint(caller.groups):
            return False
        if self._kinds is not None and caller.kind not in self._kinds:
            return False
        return self._subjects is None or self._subjects.match(fold(caller.key))


def _globs(patterns: Iterable[str] | None) -> Globs | None:
    return None if patterns is None else Globs(patterns)


def _some(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def compile_rules(rules: Sequence[Rule]) -> tuple[CompiledRule, ...]:
    """Return the rules compiled, by name: what a verdict says does not depend on the order in the file."""
    compiler = Compiler()
    compiled = tuple(sorted((CompiledRule(rule, compiler) for rule in rules), key=lambda rule: rule.name))
    compiler.finish()
    return compiled


def rule_terms(rule: Rule, approval: Approval) -> ApprovalTerms:
    """Return the terms on which a rule holds a call."""
    written = rule.model_dump(mode="json")
    return _terms(rule.name, (rule.name,), approval, rule.message or "", fingerprint({"rule": written}))


def default_terms(connection: str, approval: Approval) -> ApprovalTerms:
    """Return the terms on which a connection holds a call that no rule speaks of."""
    written = {"connection": connection, "default_approval": approval.model_dump(mode="json")}
    return _terms("", (), approval, "", fingerprint(written))


def _terms(rule: str, rules: tuple[str, ...], approval: Approval, message: str, print_: str) -> ApprovalTerms:
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
        message=message,
        fingerprint=print_,
    )


def strictest(terms: Sequence[ApprovalTerms]) -> ApprovalTerms:
    """Return the terms of a call that several rules hold: every quorum, and of the rest the strictest."""
    if len(terms) == 1:
        return terms[0]
    ways = tuple(way for way in terms[0].decide_in if all(way in one.decide_in for one in terms))
    return ApprovalTerms(
        rule=terms[0].rule,
        rules=tuple(one.rule for one in terms),
        require=Quorum(tuple(part for one in terms for part in one.require.parts)),
        expires_after=min(one.expires_after for one in terms),
        collect_within=min(one.collect_within for one in terms),
        comment=max((one.comment for one in terms), key=_COMMENT.index),
        reason=_required(one.reason for one in terms),
        # Rules that share no way of deciding meet where everything can be seen.
        decide_in=ways or ("dashboard",),
        mfa=_required(one.mfa for one in terms),
        message="\n".join(dict.fromkeys(one.message for one in terms if one.message)),
        fingerprint=fingerprint([one.fingerprint for one in terms]),
    )


def _required(values: Iterable[Any]) -> Any:
    return "required" if "required" in set(values) else "optional"
