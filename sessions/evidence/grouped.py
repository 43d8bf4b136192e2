"""The tables that put several entries together: a row per call, and a row per request with who decided and what ran.

Pure but for the files it writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from sessions.content import Leaf
from sessions.evidence.gwverify.populations import CALL_KINDS, ENDS
from sessions.evidence.tables import Read, Table

_CALL: Final = (
    "call", "log_index", "received_at", "session", "connection", "method", "tool", "actor", "opened_by", "rules",
    "approval", "policy_revision", "policy_digest", "forwarded_at", "ended_at", "outcome", "reason", "executed",
    "masked", "request_commitment", "answer_commitment",
)  # fmt: skip
_REQUEST: Final = (
    "approval", "log_index", "requested_at", "requester", "call", "session", "connection", "method", "tool", "rule",
    "expires_at", "approvals", "denials", "voters", "on_behalf_of", "decided_at", "outcome", "executed_at",
    "requested_digest", "approved_digest", "executed_digest", "same_call", "requester_voted",
)  # fmt: skip
_TOLD: Final = ("approval", "rules", "reason", "executed", "masked")
_OVER: Final = frozenset({"call.blocked", "call.refused", "call.repeated", *ENDS})
_DECIDED: Final = frozenset(
    {"approval.approved", "approval.denied", "approval.expired", "approval.cancelled", "approval.superseded",
     "approval.lapsed", "approval.revoked"}
)  # fmt: skip


class Calls:
    """`population/calls.csv`: each call that something of the period begins, once."""

    def __init__(self, folder: Path) -> None:
        self._table = Table(folder / "population" / "calls.csv", _CALL)
        self._open: dict[str, dict[str, Any]] = {}
        self._written: set[str] = set()

    @property
    def rows(self) -> int:
        """Return how many calls were written."""
        return self._table.rows

    def entry(self, read: Read, *, counts: bool) -> bool:
        """Take an entry; only one that `counts` (it is of the period) begins a row. Say whether it did."""
        leaf = read.leaf
        if leaf.call in self._written:
            return False
        row = self._open.get(leaf.call)
        begins = row is None
        if row is None:
            if not counts or leaf.kind not in CALL_KINDS or not leaf.call:
                return False
            row = self._open[leaf.call] = _call_row(read)
        _goes_on(row, leaf)
        if leaf.kind in _OVER:
            self._write(leaf.call, {**row, "ended_at": leaf.ts, "outcome": leaf.kind})
        return begins

    def close(self) -> None:
        """Write the calls that have no end yet, and finish the file."""
        for call in list(self._open):
            self._write(call, {**self._open[call], "outcome": "open"})
        self._table.close()

    def _write(self, call: str, row: dict[str, Any]) -> None:
        self._table.add(row)
        self._written.add(call)
        del self._open[call]


def _call_row(read: Read) -> dict[str, Any]:
    leaf = read.leaf
    return {
        **_about(leaf),
        "log_index": read.place,
        "received_at": leaf.ts,
        "actor": leaf.actor,
        "opened_by": leaf.kind,
        "policy_revision": leaf.revision,
        "policy_digest": leaf.digest,
        "request_commitment": _commitment(leaf, "request"),
    }


def _goes_on(row: dict[str, Any], leaf: Leaf) -> None:
    told = {name: leaf.facts[name] for name in _TOLD if name in leaf.facts}
    row.update(told)
    if leaf.kind == "call.intent":
        row["forwarded_at"] = leaf.ts
    if found := _commitment(leaf, "answer"):
        row["answer_commitment"] = found


class Requests:
    """`population/approvals.csv`: each request for a decision made in the period, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self._table = Table(folder / "population" / "approvals.csv", _REQUEST)
        self._all: dict[str, dict[str, Any]] = {}

    @property
    def rows(self) -> int:
        """Return how many requests there are."""
        return len(self._all)

    @property
    def decided_by_requester(self) -> int:
        """Return how many requests count a vote of who made them. It must be 0."""
        return sum(row["requester"] in row["voters"] for row in self._all.values())

    @property
    def different_calls(self) -> int:
        """Return how many requests had something else run than what was asked for or approved. It must be 0."""
        return sum(_same(row) is False for row in self._all.values())

    def entry(self, read: Read, *, counts: bool) -> None:
        """Take an entry; only one that `counts` (it is of the period) begins a row."""
        leaf, approval = read.leaf, read.leaf.facts.get("approval")
        if not isinstance(approval, str):
            return
        if leaf.kind == "approval.requested" and counts:
            self._all.setdefault(approval, _request_row(read, approval))
        if (row := self._all.get(approval)) is not None:
            _follow(row, leaf)

    def close(self) -> None:
        """Write all requests, in the order in which they were made, and finish the file."""
        for row in self._all.values():
            voted = row["requester"] in row["voters"]
            self._table.add({**row, "same_call": _same(row), "requester_voted": voted})
        self._table.close()


def _request_row(read: Read, approval: str) -> dict[str, Any]:
    leaf = read.leaf
    return {
        **_about(leaf),
        "approval": approval,
        "log_index": read.place,
        "requested_at": leaf.ts,
        "requester": leaf.actor,
        "rule": leaf.facts.get("rule"),
        "expires_at": leaf.facts.get("expires_at"),
        "requested_digest": leaf.facts.get("call"),
        "approvals": 0,
        "denials": 0,
        "voters": [],
        "on_behalf_of": [],
        "outcome": "pending",
    }


def _follow(row: dict[str, Any], leaf: Leaf) -> None:
    if leaf.kind in {"approval.voted", "approval.break_glass"}:
        row["denials" if leaf.facts.get("decision") == "deny" else "approvals"] += 1
        row["voters"] = _with(row["voters"], leaf.actor)
        row["on_behalf_of"] = _with(row["on_behalf_of"], leaf.facts.get("on_behalf_of"))
    elif leaf.kind in _DECIDED:
        row["outcome"] = leaf.kind.removeprefix("approval.")
        row.setdefault("decided_at", leaf.ts)
        if leaf.kind == "approval.approved":
            row["approved_digest"] = leaf.facts.get("call")
    elif leaf.kind == "call.intent":
        row["executed_at"], row["executed_digest"] = leaf.ts, leaf.facts.get("call")


def _with(names: list[str], name: Any) -> list[str]:
    return [*names, name] if isinstance(name, str) and name and name not in names else names


def _same(row: dict[str, Any]) -> bool | None:
    """Say whether what was asked for, approved and run is one call; None while nothing ran."""
    digests: Iterable[Any] = (row.get("requested_digest"), row.get("approved_digest"), row.get("executed_digest"))
    return len(set(digests)) == 1 if row.get("executed_at") else None


def _about(leaf: Leaf) -> dict[str, Any]:
    return {name: getattr(leaf, name) for name in ("call", "session", "connection", "method", "tool")}


def _commitment(leaf: Leaf, name: str) -> str:
    found = leaf.payloads.get(name)
    return "" if found is None else found.digest
