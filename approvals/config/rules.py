"""Rules: what a call must look like, what happens then, and who decides a held call."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals.config.identity import Kind
from approvals.config.values import (
    Count,
    Duration,
    Line,
    Name,
    Patterns,
    SomeLines,
    Strict,
    Text,
    distinct,
    one_or_more,
    parse_flag,
    problem,
    shown,
)
from approvals.matching import PatternError, is_glob, search_pattern
from approvals.paths import Path, PathError

# The methods that carry an effect or data; lists and notifications are filtered and recorded, not judged.
METHODS = (
    "tools/call",
    "resources/read",
    "prompts/get",
    "completion/complete",
    "sampling/createMessage",
    "elicitation/create",
)
# Which key of `match` names what a call of the method is about.
NAMED_BY = {
    "tools": ("tools/call",),
    "resources": ("resources/read", "completion/complete"),
    "prompts": ("prompts/get", "completion/complete"),
}
_LONGEST_PATTERN = 4000
# Of these an entry has exactly one; the comparisons form one together.
OPERATORS = (
    "matches",
    "matches_not",
    "equals",
    "equals_not",
    "one_of",
    "one_of_not",
    "contains_text",
    "contains_text_not",
    "exists",
    "absent",
)
COMPARISONS = ("gt", "gte", "lt", "lte")
Way = Literal["slack", "dashboard", "api"]


def _pattern(value: str) -> str:
    if len(value) > _LONGEST_PATTERN:
        raise problem(f"must not be longer than {_LONGEST_PATTERN} characters")
    try:
        search_pattern(value)
    except PatternError as error:
        raise problem(f"is not a pattern that RE2 accepts: {error}") from None
    return value


def _path(value: str) -> str:
    try:
        Path.parse(value)
    except PathError as error:
        raise problem(str(error)) from None
    return value


def _number(value: str) -> str:
    # A float check alone: the exact value is read again, as a Decimal, where the rule is compiled.
    try:
        finite = len(value) <= 100 and value.isascii() and math.isfinite(float(value))
    except ValueError:
        finite = False
    if not finite or "_" in value:
        raise problem("must be a number")
    return value


def _said(value: object) -> object:
    if parse_flag(value) is not True:
        raise problem("takes only true; `exists` and `absent` are each other's opposite")
    return True


def _method(value: str) -> str:
    if not is_glob(value) and value not in METHODS:
        raise problem(f"{shown(value)} is not judged by rules; methods are {', '.join(METHODS)}")
    return value


def _subject(value: str) -> str:
    if "|" not in value:
        raise problem("must be written iss|sub; * and ? are allowed, as in *|deploy-bot")
    return value


def _spelling(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (int, float)) else value


def _spellings(value: object) -> object:
    return [_spelling(item) for item in value] if isinstance(value, (list, tuple)) else value


Regex = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
Number = Annotated[str, BeforeValidator(_spelling), AfterValidator(_number)]
Scalar = Annotated[str, BeforeValidator(_spelling), Field(max_length=10_000)]
Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_spellings), Field(min_length=1)]
Yes = Annotated[Literal[True], BeforeValidator(_said)]


class Condition(Strict):
    """One entry of `arguments`: a path and what its values must be.

    Numbers, true, false and null are compared by what they are: `equals: 5` is the number 5 and the text "5".
    """

    path: Annotated[Line, AfterValidator(_path)]
    matches: Regex | None = None
    matches_not: Regex | None = None
    equals: Scalar | None = None
    equals_not: Scalar | None = None
    one_of: Scalars | None = None
    one_of_not: Scalars | None = None
    contains_text: Annotated[Scalar, Field(min_length=1)] | None = None
    contains_text_not: Annotated[Scalar, Field(min_length=1)] | None = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None
    exists: Yes | None = None
    absent: Yes | None = None

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        chosen = [name for name in OPERATORS if getattr(self, name) is not None]
        compared = any(getattr(self, name) is not None for name in COMPARISONS)
        if len(chosen) + compared != 1:
            raise problem(f"needs exactly one of {', '.join(OPERATORS)}, or gt, gte, lt, lte")
        return self


class Callers(Strict):
    """Which callers: any of the groups, none of not_groups, any of the kinds, any of the iss|sub globs."""

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

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(value is None for value in (self.groups, self.not_groups, self.kinds, self.subjects)):
            raise problem("must say something: groups, not_groups, kinds or subjects")
        return self


class Match(Strict):
    """All keys must hold; of a list any entry is enough, but of `arguments` all must hold."""

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
    arguments: Annotated[tuple[Condition, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if not self.model_fields_set:
            raise problem("must say something; tools: ['*'] says every tool call")
        named = [key for key in ("tools", "resources", "prompts") if getattr(self, key) is not None]
        if len(named) > 1:
            raise problem(f"{' and '.join(named)} never hold of the same call; write one rule for each")
        methods = self.methods or ("tools/call",)
        for key in named:
            if not any(is_glob(method) for method in methods) and not set(methods) & set(NAMED_BY[key]):
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


class Approval(Strict):
    """The terms on which a held call is decided; durations are seconds."""

    require: Require
    expires_after: Duration = 30 * 60
    collect_within: Duration = 10 * 60
    comment: Literal["optional", "required", "required_on_deny"] = "required_on_deny"
    reason: Literal["optional", "required"] = "optional"
    decide_in: Annotated[tuple[Way, ...], Field(min_length=1), AfterValidator(distinct("way"))] = (
        "slack",
        "dashboard",
        "api",
    )
    mfa: Literal["optional", "required"] = "optional"

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.mfa == "required":
            raise problem("required is not available in this version", "mfa")
        if set(self.decide_in) == {"slack"}:
            raise problem("slack alone is not available in this version; add dashboard or api", "decide_in")
        return self


class Rule(Strict):
    """One rule: name, what it matches, what it does; `approval` belongs to hold alone."""

    name: Name
    action: Literal["allow", "deny", "hold"]
    mode: Literal["enforce", "observe"] = "enforce"
    match: Match
    message: Text | None = None
    approval: Approval | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.action == "hold" and self.approval is None:
            raise problem("is required where action is hold", "approval")
        if self.action != "hold" and self.approval is not None:
            raise problem("belongs to rules whose action is hold", "approval")
        return self
