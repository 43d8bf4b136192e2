"""What differs between two configurations, line by line, for people. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from approvals.config.document import Change


@dataclass(frozen=True, slots=True)
class Difference:
    """One named part that differs; each line with its sign: `+`, `-` or a space."""

    title: str
    lines: tuple[tuple[str, str], ...]


def differences(changes: Iterable[Change]) -> list[Difference]:
    """Return the changes as lines of YAML."""
    return [Difference(str(change), tuple(_lines(change.before, change.after))) for change in changes]


def _lines(before: Any, after: Any) -> Iterable[tuple[str, str]]:
    found = difflib.ndiff(_yaml(before), _yaml(after))
    return [(line[0], line[2:]) for line in found if line[0] in "+- "]


def _yaml(part: Any) -> list[str]:
    return [] if part is None else yaml.safe_dump(part, sort_keys=True, allow_unicode=True).splitlines()
