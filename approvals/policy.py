"""The policy of one revision: compiled once, asked for every call. Pure: no Django, no I/O.

All rules are read; deny beats hold beats allow beats the connection's default. A rule in observe mode leaves
`would` and does not speak. The same rules decide what `tools/list` shows and what a call may do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Self

from approvals.rules.folding import EvaluationError, fold
from approvals.rules.groups import Gap, local_groups, quorum_gaps
from approvals.rules.judged import Judged, Tracer
from approvals.rules.matching import Globs
from approvals.rules.paths import Arguments
from approvals.rules.quorum import Quorum, quorum_met, required_groups
from approvals.rules.ruleset import ACCESS, CompiledRule, Scene, access_terms, compile_rules, default_terms, strictest
from approvals.verdicts import Action, Allow, ApprovalTerms, Block, Call, Caller, Hold, Verdict, Window

if TYPE_CHECKING:
    from approvals.config.hints import Hints
    from approvals.config.rules import Decision
    from approvals.config.schema import Access, Config, Connection

__all__ = [
    "Action",
    "Allow",
    "ApprovalTerms",
    "Block",
    "Call",
    "Caller",
    "Gap",
    "Hold",
    "Policy",
    "Quorum",
    "Verdict",
    "local_groups",
    "quorum_gaps",
    "quorum_met",
    "required_groups",
]

# The rules that concern a connection, method and name are kept for so many of them; names come from callers.
_KEPT_SELECTIONS: Final = 4096
_LONGEST_KEPT_NAME: Final = 200

# One text for both, so that nobody learns which connections there are.
_NO_ACCESS: Final = Block(
    message="There is no such connection, or you may not use it.", reason="forbidden", by="connection"
)
_NO_TOOL: Final = Block(message="You may not use this tool on this connection.", reason="forbidden", by="tool")
_NO_NAME: Final = "What this call names cannot be compared with any rule; use a plain name."
_DEFAULT_DENY: Final = "No rule allows this call on this connection."


class Policy:
    """What one revision says. Safe to share between threads."""

    def __init__(self, config: Config, revision: int, digest: str, clock: Callable[[], float]) -> None:
        self.config = config
        self.revision = revision
        self.digest = digest
        self._clock = clock
        self._rules = compile_rules(config.in_force.rules, config.own_detectors)
        self._connections = {name: CompiledConnection(name, found) for name, found in config.connections.items()}
        self._sql_rules = any(rule.examines_sql for rule in config.in_force.rules)
        self._selections: dict[tuple[str, str, str], tuple[CompiledRule, ...]] = {}
        self._tracer = Tracer(config)

    @classmethod
    def compile(
        cls, config: Config, *, revision: int = 0, digest: str = "", clock: Callable[[], float] = time.time
    ) -> Self:
        """Return the policy of a configuration that was loaded, and so is known to compile.

        `clock` gives seconds since the epoch; it decides when observing a connection ends and a time window holds.
        """
        return cls(config, revision, digest, clock)

    @property
    def remembered_selections(self) -> int:
        """How many combinations of connection, method and name are remembered; callers make the names."""
        return len(self._selections)

    def connection(self, name: str) -> Connection | None:
        """Return the connection as configured, or None."""
        return self.config.connections.get(name)

    @property
    def deciding_groups(self) -> frozenset[str]:
        """Every group whose members may decide something."""
        held: list[Decision | None] = [rule.approval for rule in self.config.rules]
        held += [connection.default_approval for connection in self.config.connections.values()]
        held += [connection.access_requests for connection in self.config.connections.values()]
        return frozenset[str]().union(*(one.deciding_groups for one in held if one is not None))

    def judge(self, call: Call) -> Verdict:
        """Return what the policy says of one call."""
        connection = self._connections.get(call.connection)
        if connection is None or not connection.admits(call.caller):
            return _NO_ACCESS
        try:
            name = fold(call.name)
        except EvaluationError:
            return Block(message=_NO_NAME, by="default")
        if call.method == "tools/call" and not connection.admits(call.caller, name):
            return _NO_TOOL
        arguments = Arguments(call.arguments, connection.config.sql_dialect)
        labels, now = connection.config.labels, self._clock()
        scene = Scene(connection.name, labels, call.method, name, now, connection.hints_of(name, call.hints))
        matching = [
            rule
            for rule in self._concerned(connection, call.method, name)
            if rule.matches(call.caller, scene, arguments)
        ]
        return self._verdict(connection, matching)

    @property
    def rules_read(self) -> int:
        """How many rules are read for each call."""
        return len(self._rules)

    def judged(self, call: Call) -> tuple[Verdict, Judged | None]:
        """Judge a call, and return beside the verdict what is to be kept of it: None where no rule spoke."""
        verdict = self.judge(call)
        if not (verdict.rules or verdict.observed):
            return verdict, None
        dialect = self._connections[call.connection].config.sql_dialect
        spoke = self._tracer.spoke((*verdict.rules, *verdict.observed), call.arguments, dialect)
        return verdict, Judged(self.revision, self.digest, self.rules_read, spoke)

    def asks_hints(self, connection: str, method: str, name: str) -> bool:
        """Tell whether the verdict on a call may rest on what its tool says of itself."""
        found = self._connections.get(connection)
        try:
            return found is not None and any(rule.asks_hints for rule in self._concerned(found, method, fold(name)))
        except EvaluationError:
            return False  # refused whatever the tool says

    def examines_sql(self, connection: str) -> bool:
        """Tell whether judging a call of this connection may parse SQL, which takes its time."""
        found = self._connections.get(connection)
        return self._sql_rules and found is not None and found.config.sql_dialect is not None

    def fingerprint_of(self, rules: Sequence[str], connection: str) -> str:
        """Return the fingerprint of the terms on which these rules hold a call now; empty when one is gone.

        Without rules it is that of the connection's default, with ACCESS alone that of its access requests. To compare
        with what was asked under.
        """
        found = self._connections.get(connection)
        if found is None:
            return ""
        if tuple(rules) == (ACCESS,):
            return "" if found.access_terms is None else found.access_terms.fingerprint
        named = [rule for rule in self._rules if rule.name in rules and not rule.observe and rule.terms]
        if len(named) != len(rules) or (not rules and found.config.default_approval is None):
            return ""
        return found.terms(named).fingerprint

    def may_use(self, caller: Caller, connection: str, tool: str | None = None) -> bool:
        """Tell whether access lets the caller use the connection at all, and this tool when one is given."""
        found = self._connections.get(connection)
        if found is None:
            return False
        try:
            return found.admits(caller, None if tool is None else fold(tool))
        except EvaluationError:
            return False

    @property
    def gives_access(self) -> bool:
        """Whether access can be asked for anywhere."""
        return any(found.access_terms is not None for found in self._connections.values())

    def access_terms(self, connection: str) -> ApprovalTerms | None:
        """Return the terms on which people give access to the connection; None where nobody may ask for it."""
        found = self._connections.get(connection)
        return None if found is None else found.access_terms

    def window_of(self, caller: Caller, connection: str, tool: str | None = None) -> str:
        """Return the id of the window through which alone the caller may use this; empty where `access` admits them."""
        found = self._connections.get(connection)
        if found is None or not caller.windows:
            return ""
        return found.window_of(caller, None if tool is None else fold(tool))

    def visible(self, caller: Caller, connection: str, name: str, method: str = "tools/call") -> bool:
        """Tell whether a list shows this tool (resource, prompt) to the caller: some call of it may pass.

        Hidden is what access refuses, what a rule denies whatever the arguments, and what the default denies
        when no rule could say otherwise.
        """
        found = self._connections.get(connection)
        if found is None or not self.may_use(caller, connection, name if method == "tools/call" else None):
            return False
        try:
            folded = fold(name)
        except EvaluationError:
            return False
        if found.config.observing(self._clock()):
            return True
        rules = [rule for rule in self._concerned(found, method, folded) if not rule.observe and rule.addresses(caller)]
        if any(rule.action == "deny" and rule.unconditional for rule in rules):
            return False
        return found.config.default != "deny" or any(rule.action != "deny" for rule in rules)

    def tools_of(self, caller: Caller, connection: str) -> tuple[str, ...]:
        """Return the patterns of the tools that access lets the caller use there; none without access."""
        found = self._connections.get(connection)
        return () if found is None else found.tools_of(caller)

    def rules_about(self, caller: Caller, connection: str) -> tuple[CompiledRule, ...]:
        """Return the enforced rules that may speak of a tool call of this caller there, by name."""
        found = self._connections.get(connection)
        if found is None or not found.admits(caller):
            return ()
        labels = found.config.labels
        return tuple(
            rule
            for rule in self._rules
            if not rule.observe and rule.addresses(caller) and rule.reaches(connection, labels, "tools/call")
        )

    def _concerned(self, connection: CompiledConnection, method: str, name: str) -> tuple[CompiledRule, ...]:
        """Return the rules that can match, by name; remembered, for the same few tools are called again."""
        key = (connection.name, method, name)
        known = self._selections.get(key)
        if known is None:
            labels = connection.config.labels
            known = tuple(rule for rule in self._rules if rule.concerns(connection.name, labels, method, name))
            if len(name) <= _LONGEST_KEPT_NAME and len(method) <= _LONGEST_KEPT_NAME:
                if len(self._selections) >= _KEPT_SELECTIONS:
                    self._selections = {}
                self._selections[key] = known
        return known

    def _verdict(self, connection: CompiledConnection, matching: Sequence[CompiledRule]) -> Verdict:
        spoken = [rule for rule in matching if not rule.observe]
        names = tuple(rule.name for rule in spoken)
        observed = tuple(rule.name for rule in matching if rule.observe)
        action = _strictest(spoken, connection.config.default)
        full = _strictest(matching, connection.config.default) if observed else action
        if connection.config.observing(self._clock()):
            return Allow(rules=names, would=full if full != "allow" else None, observed=observed)
        would = full if full != action else None
        if action == "allow":
            return Allow(rules=names, would=would, observed=observed)
        if action == "hold":
            return Hold(terms=connection.terms(spoken), rules=names, would=would, observed=observed)
        return _blocked(spoken, names, would, observed)


class CompiledConnection:
    """A connection as the judge needs it: who may use it, and the terms of its default."""

    __slots__ = ("_access", "_default_terms", "_told", "access_terms", "config", "name")

    def __init__(self, name: str, config: Connection) -> None:
        self.name = name
        self.config = config
        self._access = tuple(CompiledAccess(entry) for entry in config.access)
        self._told = tuple((Globs(told.tools), told) for told in config.tool_hints)
        approval = config.default_approval
        self._default_terms = None if approval is None else default_terms(name, approval, config.notify)
        asked = config.access_requests
        self.access_terms = None if asked is None else access_terms(name, asked, config.notify)

    def admits(self, caller: Caller, tool: str | None = None) -> bool:
        """Tell whether some entry of `access` admits the caller, to this tool (folded) when one is given.

        So does a window that people opened for them.
        """
        return any(entry.admits(caller, tool) for entry in self._access) or bool(self._windows(caller, tool))

    def window_of(self, caller: Caller, tool: str | None) -> str:
        """Return the id of the window on which the caller's access rests, if no entry of `access` admits them."""
        if any(entry.admits(caller, tool) for entry in self._access):
            return ""
        return next((window.id for window in self._windows(caller, tool)), "")

    def _windows(self, caller: Caller, tool: str | None) -> list[Window]:
        if not caller.windows or self.access_terms is None:
            return []
        return [
            window
            for window in caller.windows
            if window.connection == self.name
            and window.fingerprint == self.access_terms.fingerprint
            and (tool is None or window.tools.match(tool))
        ]

    def tools_of(self, caller: Caller) -> tuple[str, ...]:
        """Return the tool patterns of every entry of `access` that admits the caller, and of their windows."""
        patterns = [entry.tools for entry in self._access if entry.admits(caller, None)]
        patterns += [window.tools.written for window in self._windows(caller, None)]
        return tuple(dict.fromkeys(tool for tools in patterns for tool in tools))

    def hints_of(self, tool: str, hints: Hints) -> Hints:
        """Return what is known of a tool (folded): what it says of itself, and where an admin says else, that."""
        for names, told in self._told:
            if names.match(tool):
                hints = told.applied(hints)
        return hints

    def terms(self, rules: Sequence[CompiledRule]) -> ApprovalTerms:
        """Return the terms on which these rules hold a call, or those of the default when none does."""
        held = [rule.terms for rule in rules if rule.terms is not None]
        if held:
            return strictest(held)
        if self._default_terms is None:
            raise ValueError(f"connection {self.name} holds by default without default_approval")
        return self._default_terms


class CompiledAccess:
    """One entry of `access`."""

    __slots__ = ("_groups", "_kinds", "_tools", "tools")

    def __init__(self, entry: Access) -> None:
        self.tools = entry.tools
        self._groups = frozenset(entry.groups)
        self._kinds = None if entry.kinds is None else frozenset(entry.kinds)
        self._tools = Globs(entry.tools)

    def admits(self, caller: Caller, tool: str | None) -> bool:
        """Tell whether the entry admits the caller, to this tool (folded) when one is given."""
        if self._groups.isdisjoint(caller.groups) or (self._kinds is not None and caller.kind not in self._kinds):
            return False
        return tool is None or self._tools.match(tool)


def _strictest(rules: Sequence[CompiledRule], default: Action) -> Action:
    actions = {rule.action for rule in rules}
    if "deny" in actions:
        return "deny"
    if "hold" in actions:
        return "hold"
    return "allow" if actions else default


def _blocked(
    spoken: Sequence[CompiledRule], names: tuple[str, ...], would: Action | None, observed: tuple[str, ...]
) -> Block:
    denying = next((rule for rule in spoken if rule.action == "deny"), None)
    if denying is None:
        return Block(message=_DEFAULT_DENY, by="default", rules=names, would=would, observed=observed)
    message = denying.message or f"The rule {denying.name} does not allow this call."
    return Block(rule=denying.name, message=message, rules=names, would=would, observed=observed)
