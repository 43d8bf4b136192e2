"""What a leaf says, as values. Pure, and of the standard library alone: the verifier of a bundle reads leaves too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Commitment(NamedTuple):
    """A salted commitment to a payload: `digest` as 64 hex digits, `length` of the payload in bytes."""

    digest: str
    length: int


class Leaf(NamedTuple):  # made for every entry: a frozen dataclass takes three times as long to fill
    """The content of one entry. `ts` is RFC 3339, UTC, microseconds; `n` counts a writer's entries from 0."""

    origin: str
    kind: str
    ts: str
    writer: str
    n: int
    build: str
    revision: int
    digest: str
    call: str
    session: str
    connection: str
    method: str
    tool: str
    actor: str
    facts: Mapping[str, Any]
    payloads: Mapping[str, Commitment]


def from_document(document: Mapping[str, Any]) -> Leaf:
    """Return the leaf of a parsed one, its form not checked. Raises KeyError, TypeError."""
    policy = document["policy"]
    return Leaf(
        document["origin"], document["kind"], document["ts"], document["writer"], document["n"], document["build"],
        policy["revision"], policy["digest"], document["call"], document["session"], document["connection"],
        document["method"], document["tool"], document["actor"], document["facts"],
        {name: Commitment(one["c"], one["len"]) for name, one in document["payloads"].items()},
    )  # fmt: skip
