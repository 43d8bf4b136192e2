"""What a tool says of itself, and what an admin says of it instead. Untrusted hints of MCP's tool annotations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from approvals.config.values import Strict, distinct, one_or_more, problem

Told = Literal["true", "false", "unknown"]
Hint = Literal["read_only", "destructive", "idempotent", "open_world"]
HINTS: tuple[Hint, ...] = get_args(Hint)
Hints = Mapping[Hint, bool]
"""What is known of a tool; a hint that is not there is unknown."""
# The members of `annotations` in a tool's definition (MCP 2025-03-26 and later, ToolAnnotations).
ANNOTATIONS: Mapping[Hint, str] = {
    "read_only": "readOnlyHint",
    "destructive": "destructiveHint",
    "idempotent": "idempotentHint",
    "open_world": "openWorldHint",
}


def _spelled(value: object) -> object:
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one).lower() if isinstance(one, bool) else one for one in values]


Answers = Annotated[tuple[Told, ...], BeforeValidator(_spelled), Field(min_length=1), AfterValidator(distinct("hint"))]


class HintsAsked(Strict):
    """Which hints a tool must have: all keys must hold, of a list any is enough."""

    read_only: Answers | None = None
    destructive: Answers | None = None
    idempotent: Answers | None = None
    open_world: Answers | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, hint) is None for hint in HINTS):
            raise problem(f"must say something: {', '.join(HINTS)}")
        return self

    def hold(self, hints: Hints) -> bool:
        """Tell whether a tool of these hints fits."""
        return all(_told(hints, hint) in getattr(self, hint) for hint in HINTS if getattr(self, hint) is not None)


class HintsSet(Strict):
    """What an admin says of tools by these names; it wins over what the tools say of themselves."""

    tools: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=500)], ...], BeforeValidator(one_or_more)]
    read_only: Told | None = None
    destructive: Told | None = None
    idempotent: Told | None = None
    open_world: Told | None = None

    @model_validator(mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: str(one).lower() if isinstance(one, bool) else one for key, one in value.items()}
        return value

    def applied(self, hints: Hints) -> Hints:
        """Return the hints with those that are said here in their place."""
        said = {hint: getattr(self, hint) for hint in HINTS if getattr(self, hint) is not None}
        kept = {hint: told for hint, told in hints.items() if hint not in said}
        return {**kept, **{hint: told == "true" for hint, told in said.items() if told != "unknown"}}


def hints_of(annotations: Any) -> Hints:
    """Return what a tool's annotations say; what is no boolean says nothing."""
    found = annotations if isinstance(annotations, dict) else {}
    return {hint: found[name] for hint, name in ANNOTATIONS.items() if isinstance(found.get(name), bool)}


def _told(hints: Hints, hint: Hint) -> Told:
    return {True: "true", False: "false", None: "unknown"}[hints.get(hint)]  # type: ignore[return-value] # of Told's words
