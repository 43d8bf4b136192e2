"""One entry of `arguments`: a path, and the one thing that its values must be."""

from __future__ import annotations

import ipaddress
import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals.config.values import Line, Strict, one_or_more, parse_flag, parse_whole, problem, shown
from approvals.rules.matching import PatternError, search_pattern
from approvals.rules.paths import Path, PathError
from approvals.sql.words import Kind as SqlKind

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
    "sql_kind",
    "sql_kind_not",
    "contains",
    "contains_not",
    "in_cidr",
    "in_cidr_not",
    "inside",
    "inside_not",
    "longer_than",
    "exists",
    "absent",
)
COMPARISONS = ("gt", "gte", "lt", "lte")


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


def _spelling(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, (int, float)) else value


def _spellings(value: object) -> object:
    return [_spelling(item) for item in value] if isinstance(value, (list, tuple)) else value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise problem(f"{shown(value)} is no network; write one as 10.0.0.0/8 or fd00::/8") from None
    return value


def _folder(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise problem("must be the absolute path of a folder, as in /srv/data")
    return value


Networks = Annotated[
    tuple[Annotated[Line, AfterValidator(_network)], ...], BeforeValidator(one_or_more), Field(min_length=1)
]
Folders = Annotated[
    tuple[Annotated[Line, AfterValidator(_folder)], ...], BeforeValidator(one_or_more), Field(min_length=1)
]
Regex = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
Number = Annotated[str, BeforeValidator(_spelling), AfterValidator(_number)]
Scalar = Annotated[str, BeforeValidator(_spelling), Field(max_length=10_000)]
Scalars = Annotated[tuple[Scalar, ...], BeforeValidator(_spellings), Field(min_length=1)]
SqlKinds = Annotated[tuple[SqlKind, ...], BeforeValidator(one_or_more), Field(min_length=1)]
# Whether they exist is told by `references`, which knows those of the configuration's own too.
Detectors = Annotated[tuple[Line, ...], BeforeValidator(one_or_more), Field(min_length=1)]
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
    sql_kind: SqlKinds | None = None
    sql_kind_not: SqlKinds | None = None
    contains: Detectors | None = None
    contains_not: Detectors | None = None
    in_cidr: Networks | None = None
    in_cidr_not: Networks | None = None
    inside: Folders | None = None
    inside_not: Folders | None = None
    longer_than: Annotated[int, BeforeValidator(parse_whole)] | None = None
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
