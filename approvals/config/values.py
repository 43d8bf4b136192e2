"""The scalars of holdgate.yaml. The loader hands over text alone; each type here says how it is spelled.

A value that already has its type (from Python code) is taken as it is, so that the same models serve both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)\Z")
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)?\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_REFERENCE = re.compile(
    r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+[^/]|exec:[A-Za-z0-9][A-Za-z0-9_.-]*"
    r"|vault:(?!\.)[A-Za-z0-9_.@+~-]+(/(?!\.)[A-Za-z0-9_.@+~-]+)+#[A-Za-z0-9_.@-]+)\Z"
)
REFERENCES = "env:NAME, file:/PATH, exec:NAME or vault:PATH#FIELD"
_LONGEST_TEXT = 10_000


class Strict(BaseModel):
    """The base of every block of the file: frozen, and a key that the schema does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def problem(reason: str, key: str = "") -> PydanticCustomError:
    """Return the error for a validator to raise; `key` names the member of the block that it is about."""
    return PydanticCustomError("config", "{reason}", {"reason": reason, "key": key})


def shown(value: str) -> str:
    """Return the value as an error message may quote it: on one line and short."""
    line = "".join(character if character.isprintable() else "?" for character in value[:60])
    return f"`{line}`" if len(value) <= 60 else f"`{line}...`"


def parse_flag(value: object) -> object:
    """Read `true` and `false`; other words, `yes` and `on` among them, stay words and are refused."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise problem("must be true or false")


def parse_whole(value: object) -> object:
    """Read a whole number in plain digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return int(value)
    raise problem("must be a whole number")


def parse_duration(value: object) -> object:
    """Read `45s`, `30m`, `1h` or `1d` and return seconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (found := _DURATION.match(value)):
        return int(found[1]) * _SECONDS[found[2]]
    raise problem("must be a duration such as 45s, 30m, 1h or 1d")


def format_duration(seconds: int) -> str:
    """Return the shortest spelling that reads back as the same number of seconds."""
    unit = next(unit for unit in "dhms" if seconds % _SECONDS[unit] == 0) if seconds else "s"
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_size(value: object) -> object:
    """Read `4MiB`, `512KiB` or plain bytes and return bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (found := _SIZE.match(value)):
        return int(found[1]) * _BYTES[found[2] or ""]
    raise problem("must be a size such as 4MiB, 512KiB or a number of bytes")


def format_size(size: int) -> str:
    """Return the shortest spelling that reads back as the same number of bytes."""
    unit = next(unit for unit in ("GiB", "MiB", "KiB", "B") if size % _BYTES[unit] == 0) if size else "B"
    return f"{size // _BYTES[unit]}{unit}"


def _above_zero(value: int) -> int:
    if value <= 0:
        raise problem("must be more than zero")
    return value


def is_name(value: str) -> bool:
    """Say whether a text may name a connection, a rule, a group or an agent."""
    return _NAME.match(value) is not None


def _name(value: str) -> str:
    if not is_name(value):
        raise problem(f"{shown(value)} is not a name: small letters, digits and hyphens, at most 63, not hyphen first")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise problem("must not be empty")
    if len(value) > _LONGEST_TEXT:
        raise problem(f"must not be longer than {_LONGEST_TEXT} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in value):
        raise problem("must not contain control characters")
    return value


def _line(value: str) -> str:
    if "\n" in value or "\t" in value:
        raise problem("must be one line of text")
    return _text(value)


def parse_reference(value: str) -> str:
    """Return a reference to a secret as it is."""
    # The value is never quoted: what stands here by mistake is a secret.
    if not _REFERENCE.match(value):
        raise problem(f"must be a reference, {REFERENCES}; a secret itself never stands here")
    return value


def one_or_more(value: object) -> object:
    """Take a single scalar for a list of one."""
    return [value] if isinstance(value, (str, int)) else value


def distinct(what: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return a validator that refuses a list in which the same value stands twice."""

    def check(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) != len(values):
            raise problem(f"names the same {what} twice")
        return values

    return check


Flag = Annotated[bool, BeforeValidator(parse_flag)]
Count = Annotated[int, BeforeValidator(parse_whole), AfterValidator(_above_zero)]
Pause = Annotated[int, BeforeValidator(parse_duration), Field(ge=0), PlainSerializer(format_duration)]
Duration = Annotated[
    int, BeforeValidator(parse_duration), AfterValidator(_above_zero), PlainSerializer(format_duration)
]
Size = Annotated[int, BeforeValidator(parse_size), AfterValidator(_above_zero), PlainSerializer(format_size)]
Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_text)]
Reference = Annotated[str, AfterValidator(parse_reference)]
Line = Annotated[str, AfterValidator(_line)]
Lines = tuple[Line, ...]
SomeLines = Annotated[tuple[Line, ...], Field(min_length=1)]
Patterns = Annotated[tuple[Line, ...], BeforeValidator(one_or_more), Field(min_length=1)]
