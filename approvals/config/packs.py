"""Packs: rules and masking that come with this version of the gateway, by name."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Annotated, Final

from pydantic import AfterValidator

from approvals.config.masking import Masking
from approvals.config.reading import read
from approvals.config.rules import Rule
from approvals.config.values import Line, Strict, distinct, problem, shown

NAMES: Final = ("destructive-sql", "filesystem-writes", "payment-cards", "personal-data", "secrets")


def _known(value: str) -> str:
    if value not in NAMES:
        raise problem(f"{shown(value)} is no pack; there are {', '.join(NAMES)}")
    return value


PackNames = Annotated[tuple[Annotated[Line, AfterValidator(_known)], ...], AfterValidator(distinct("pack"))]


class Pack(Strict):
    """What one pack holds. Each of its names begins with the pack's."""

    description: Line
    rules: tuple[Rule, ...] = ()
    masking: tuple[Masking, ...] = ()


def _text(name: str) -> str:
    return resources.files("approvals.packs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


@cache
def pack(name: str) -> Pack:
    """Return a pack of NAMES. Raises ValueError when its file is not as it was shipped."""
    document = read(_text(name))
    if document.problems:
        raise ValueError(f"the pack {name} cannot be read: {document.problems[0]}")
    return Pack.model_validate(document.data)


def packs_digest(names: tuple[str, ...]) -> str:
    """Return a hex digest of what these packs say in this version; the record tells it where a process begins."""
    return hashlib.sha256("\0".join(_text(name) for name in sorted(names)).encode()).hexdigest()
