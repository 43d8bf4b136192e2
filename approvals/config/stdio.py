"""What a stdio connection says of the server that is started for it: command, environment, folder, limits."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from approvals.config.values import REFERENCES, Count, Duration, Line, Size, Strict, parse_reference, problem

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_SCHEMES = ("env:", "file:", "exec:", "vault:")
# A value that stands here in clear is in every copy of the configuration.
_SECRET = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(API|ACCESS|PRIVATE|AUTH)_?KEY)\Z")
_LONGEST_COMMAND = 100
_LONGEST_VALUE = 10_000
_LONGEST_GRACE = 30


def is_reference(value: str) -> bool:
    """Say whether the value of a variable is a reference to a secret, and not the value itself."""
    return value.startswith(_SCHEMES)


def _folder(value: str) -> str:
    if not value.startswith("/"):
        raise problem("must be an absolute path")
    return value


def _short(command: tuple[str, ...]) -> tuple[str, ...]:
    if len(command) > _LONGEST_COMMAND:
        raise problem(f"must have at most {_LONGEST_COMMAND} words")
    return command


def _variables(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _VARIABLE.match(name):
            raise problem("must be the name of an environment variable", name if name.isidentifier() else "")
        if _SECRET.search(name.upper()) and value and not is_reference(value):
            raise problem(f"holds a secret by its name: write a reference, {REFERENCES}", name)
    return values


def _grace(value: int) -> int:
    if value > _LONGEST_GRACE:
        raise problem(f"must be at most {_LONGEST_GRACE}s")
    return value


def _value(value: str) -> str:
    if "\0" in value or len(value) > _LONGEST_VALUE:
        raise problem(f"must be at most {_LONGEST_VALUE} characters without NUL")
    return parse_reference(value) if is_reference(value) else value


Command = Annotated[tuple[Line, ...], Field(min_length=1), AfterValidator(_short)]
Environment = Annotated[dict[str, Annotated[str, AfterValidator(_value)]], AfterValidator(_variables)]
Folder = Annotated[Line, AfterValidator(_folder)]


class Limits(Strict):
    """What one server may use, and how many of them a connection has. Sizes in bytes, durations in seconds."""

    memory: Size = 1 << 30  # of all its processes together
    processes: Count = 64
    open_files: Count = 1024
    idle: Duration = 600  # after which a server that nobody speaks to is ended
    grace: Annotated[Duration, AfterValidator(_grace)] = 2  # for its end: after its input, and after SIGTERM
    children: Count = 16
