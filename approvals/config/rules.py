"""Rules: what a call must look like, what happens then, and who decides a held call."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals.config.channels import Routes
from approvals.config.conditions import Condition
from approvals.config.hints import HintsAsked
from approvals.config.identity import Claims, Kind
from approvals.config.times import Time
from approvals.config.values import (
    Count,
    Duration,
    Line,
    Name,
    Patterns,
    Pause,
    SomeLines,
    Strict,
    Text,
    distinct,
    one_or_more,
    problem,
    shown,
)
from approvals.rules.matching import is_glob

# The methods that carry an effect or data; lists and notifications are filtered and recorded, not judged.
METHODS = (
    "tools/call",
    "resources/read",
    "prompts/get",
    "completion/complete",
    "tasks/update",
    "sampling/createMessage",
    "elicitation/create",
)
# Which key of `match` names what a call of the method is about.
NAMED_BY = {
    "tools": ("tools/call",),
    "resources": ("resources/read", "completion/complete"),
    "prompts": ("prompts/get", "completion/complete"),
}
Way = Literal["slack", "dashboard", "api"]
Scope = Literal["same_arguments", "same_tool"]


def _method(value: str) -> str:
    if not is_glob(value) and value not in METHODS:
        raise problem(f"{shown(value)} is not judged by rules; methods are {', '.join(METHODS)}")
    return value


def _subject(value: str) -> str:
    if "|" not in value:
        raise problem("must be written iss|sub; * and ? are allowed, as in *|deploy-bot")
    return value


class Callers(Strict):
    """Which callers: any of the groups, none of not_groups, any of the kinds and subjects, each claim by its globs."""

    groups: SomeLines | None = None
    not_groups: SomeLines | None = None
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] | None = None
    subjects: (
        Annotated[
            tuple[Annotated[Line, AfterValidator(_subject)], ...],
            BeforeValidator(one_or_more),
            Field(min_length=1),
        ]
        | None
    ) = None
    claims: Claims | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise problem("must say something: groups, not_groups, kinds, subjects or claims")
        return self


class Clause(Strict):
    """What a call may be asked for: all keys must hold; of a list any entry is enough, but of `arguments` all must."""

    connections: Patterns | None = None
    labels: Annotated[dict[Line, Patterns], Field(min_length=1)] | None = None
    methods: (
        Annotated[
            tuple[Annotated[Line, AfterValidator(_method)], ...],
            BeforeValidator(one_or_more),
            Field(min_length=1),
        ]
        | None
    ) = None
    tools: Patterns | None = None
    resources: Patterns | None = None
    prompts: Patterns | None = None
    callers: Callers | None = None
    time: Time | None = None
    hints: HintsAsked | None = None
    arguments: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise problem("must say something; tools: ['*'] says every tool call")
        named = [key for key in ("tools", "resources", "prompts") if getattr(self, key) is not None]
        if len(named) > 1:
            raise problem(f"{' and '.join(named)} never hold of the same call; write one rule for each")
        return self


class Match(Clause):
    """Which calls a rule speaks of. Without `methods` those of tools."""

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        methods = self.methods or ("tools/call",)
        for key in ("tools", "resources", "prompts"):
            if getattr(self, key) is None or any(is_glob(method) for method in methods):
                continue
            if not set(methods) & set(NAMED_BY[key]):
                governed, needed = ", ".join(methods), NAMED_BY[key][0]
                raise problem(f"never holds, for the rule governs {governed}; say methods: [{needed}]", key)
        return self


class Place(Strict):
    """So many distinct people out of any of these groups."""

    groups: SomeLines
    count: Count = 1


class Require(Strict):
    """Who must approve: any one of the alternatives, or all places with one person in each."""

    any_of: Annotated[tuple[Place, ...], Field(min_length=1)] | None = None
    all_of: Annotated[tuple[Place, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.any_of is None) == (self.all_of is None):
            raise problem("needs either any_of or all_of")
        if sum(place.count for place in self.places) > 100:
            raise problem("asks for more than 100 people")
        return self

    @property
    def places(self) -> tuple[Place, ...]:
        """The alternatives or the places, whichever form was written."""
        return self.any_of or self.all_of or ()


class Escalate(Strict):
    """After so long without a decision, members of these groups may decide too."""

    after: Duration
    add_groups: Annotated[SomeLines, AfterValidator(distinct("group"))]


class Remember(Strict):
    """What an approver may remember at most: for which calls, for how many seconds, for how many of them."""

    scopes: Annotated[tuple[Scope, ...], Field(min_length=1), AfterValidator(distinct("scope"))]
    max_age: Duration = 60 * 60
    max_uses: Count = 5


class BreakGlass(Strict):
    """Whose members may approve alone in an emergency, whatever `require` says; and who hears the alarm as well."""

    groups: Annotated[SomeLines, AfterValidator(distinct("group"))]
    mfa: Literal["optional", "required"] = "optional"
    notify: Routes = ()


class Decision(Strict):
    """Who decides, how, and until when; durations are seconds."""

    require: Require
    expires_after: Duration = 30 * 60
    comment: Literal["optional", "required", "required_on_deny"] = "required_on_deny"
    decide_in: Annotated[tuple[Way, ...], Field(min_length=1), AfterValidator(distinct("way"))] = (
        "slack",
        "dashboard",
        "api",
    )
    mfa: Literal["optional", "required"] = "optional"
    delegation: Literal["allowed", "forbidden"] = "allowed"
    remind_after: Pause | None = None
    escalate: Annotated[tuple[Escalate, ...], Field(min_length=1, max_length=10)] | None = None

    @property
    def deciding_groups(self) -> frozenset[str]:
        """Every group whose members may decide now or later."""
        lists = [*(place.groups for place in self.require.places), *(step.add_groups for step in self.escalate or ())]
        return frozenset(group for groups in lists for group in groups)

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        """Refuse what would never happen: everything has its place between the asking and the expiry."""
        if (self.remind_after or 0) >= self.expires_after:
            raise problem("must be shorter than expires_after", "remind_after")
        before = 0
        for index, step in enumerate(self.escalate or ()):
            if step.after >= self.expires_after:
                raise problem("must be shorter than expires_after", f"escalate.{index}.after")
            if step.after <= before:
                raise problem("must come after the step before it", f"escalate.{index}.after")
            before = step.after
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        self.show_on_the_dashboard(self.mfa, "mfa")
        return self

    def show_on_the_dashboard(self, mfa: str, key: str) -> None:
        """Refuse a second factor where nobody could show one."""
        if mfa == "required" and "dashboard" not in self.decide_in:
            raise problem("required can be shown on the dashboard only; add it to decide_in", key)


class Approval(Decision):
    """The terms on which a held call is decided."""

    collect_within: Duration = 10 * 60
    reason: Literal["optional", "required"] = "optional"
    remember: Remember | None = None
    break_glass: BreakGlass | None = None
    reveal_to: Annotated[SomeLines, AfterValidator(distinct("group"))] | None = None

    @property
    def deciding_groups(self) -> frozenset[str]:
        """Every group whose members may decide: now, later, or in an emergency."""
        return super().deciding_groups.union(self.break_glass.groups if self.break_glass else ())

    @model_validator(mode="after")
    def _reachable_alone(self) -> Self:
        if self.break_glass is not None:
            self.show_on_the_dashboard(self.break_glass.mfa, "break_glass.mfa")
        return self


class AccessRequests(Decision):
    """The terms on which somebody without access gets it for a while, for a reason that they must give."""

    max_duration: Duration = 8 * 60 * 60


class Rule(Strict):
    """One rule: name, what it matches, what it does; `approval` belongs to hold alone."""

    name: Name
    action: Literal["allow", "deny", "hold"]
    mode: Literal["enforce", "observe"] = "enforce"
    match: Match
    unless: Annotated[tuple[Clause, ...], Field(min_length=1)] | None = None
    overrides: Name | None = None
    """The pack whose rule of this name it stands for."""
    message: Text | None = None
    approval: Approval | None = None
    notify: Routes = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.action == "hold" and self.approval is None:
            raise problem("is required where action is hold", "approval")
        if self.action != "hold" and self.approval is not None:
            raise problem("belongs to rules whose action is hold", "approval")
        if self.action != "hold" and self.notify:
            raise problem("belongs to rules whose action is hold", "notify")
        return self

    @property
    def examines_sql(self) -> bool:
        """Tell whether a condition of it asks what kind of SQL something is."""
        conditions = [one for clause in (self.match, *(self.unless or ())) for one in clause.arguments or ()]
        return any(one.sql_kind or one.sql_kind_not for one in conditions)

    @property
    def claims_asked(self) -> frozenset[str]:
        """The names of the claims that it looks at."""
        clauses = (self.match, *(self.unless or ()))
        return frozenset(name for one in clauses if one.callers is not None for name in one.callers.claims or ())
