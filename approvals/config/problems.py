"""What is wrong with a configuration, in plain words: line, key and reason, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem: the line in the file (0 where there is none), the key path, and the reason."""

    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.key}: {self.reason}" if self.key else f"{where}{self.reason}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` has everything that is wrong with it, by line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


# What the language has and this version has not. `*` stands for a name or an index.
NOT_YET: Final[frozenset[Location]] = frozenset(
    tuple(key.split("."))
    for key in (
        "connections.*.rounds",
        "connections.*.blobs",
    )
)

_REASONS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "too_short": "must not be empty",
    "too_long": "has too many entries",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
    "greater_than_equal": "must not be below zero",
}


def schema_problems(error: ValidationError) -> list[tuple[Location, str]]:
    """Return location and reason of every error of the schema."""
    details = error.errors(include_url=False, include_input=False)
    found = [(_location_of(detail), _reason_of(detail)) for detail in details]
    # A list whose entries are all refused counts as empty too; the entries say why.
    refused = {location[:length] for location, _ in found for length in range(len(location))}
    return [
        (location, reason)
        for detail, (location, reason) in zip(details, found, strict=True)
        if detail["type"] != "too_short" or location not in refused
    ]


def _reason_of(error: ErrorDetails) -> str:
    """Return the reason of a pydantic error in our words. Values are not quoted: one may be a secret."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "config":
        return str(context["reason"])
    if kind == "literal_error":
        return f"must be {context['expected']}".replace("'", "")
    if kind == "extra_forbidden":
        return "not available in this version" if _generic(error["loc"]) in NOT_YET else "unknown key"
    return _REASONS.get(kind, error["msg"])


def _location_of(error: ErrorDetails) -> Location:
    """Return where the error lies; a validator may have named a member of the block that it looked at."""
    location = tuple(part for part in error["loc"] if part != "[key]")
    key = error.get("ctx", {}).get("key", "") if error["type"] == "config" else ""
    return location + tuple(int(part) if part.isdigit() else part for part in key.split(".") if part)


def key_path(location: Location, data: Any) -> str:
    """Return the location as people read it: items of a list by name if they have one, else by index."""
    path = ""
    for part in location:
        inner = _below(data, part)
        if isinstance(part, int):
            name = inner.get("name") if isinstance(inner, dict) else None
            path += f".{name}" if isinstance(name, str) and name.isprintable() and len(name) < 100 else f"[{part}]"
        else:
            path += f".{part}" if path else part
        data = inner
    return path


def _below(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    if isinstance(data, list) and isinstance(part, int) and part < len(data):
        return data[part]
    return None


def _generic(location: Location) -> Location:
    """Return the location with every name of a connection and every index as `*`."""
    return tuple(
        "*" if isinstance(part, int) or (index == 1 and location[0] == "connections") else part
        for index, part in enumerate(location)
    )
