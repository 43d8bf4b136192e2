"""The ten promises of the house: id, sentence, and the SOC 2 criteria (2017, revised 2022) it serves.

This is their only list. Tests carry the ids (`@pytest.mark.promise("fail-closed")`), README.md prints the
sentences, and the evidence page counts what the record says of each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that Holdgate does always, whatever happens around it."""

    id: str
    sentence: str
    criteria: tuple[str, ...]


PROMISES = (
    Promise(
        "intent-first",
        "No byte reaches an upstream before the intent is committed to the record.",
        ("CC7.2", "CC8.1"),
    ),
    Promise(
        "bound-decision",
        "A held call is forwarded only under a decision bound to exactly that call (caller and run, "
        "connection, tool, tool definition, arguments, policy), and one approval runs at most once.",
        ("CC6.3", "CC8.1"),
    ),
    Promise(
        "masked-everywhere",
        "Nothing that a masking rule covers leaves the gateway or is written down in readable form: "
        "answers, errors, notifications, the record, Slack, logs, exports.",
        ("CC6.7", "C1.1"),
    ),
    Promise(
        "fail-closed",
        "When record, policy, masking or identity is unavailable the call is refused, with a clear error "
        "that says whether anything was executed.",
        ("CC6.6", "CC7.4"),
    ),
    Promise(
        "nothing-lost",
        "Killed at any moment, every acknowledged event is still there, every pending approval is still "
        "pending, and a call whose outcome is not known says so; it is never silently run again.",
        ("CC7.5", "A1.2"),
    ),
    Promise(
        "no-self-approval",
        "The requester never decides: not as an admin, not through a linked second account, and not the "
        "person who started the CI job; where that person cannot be known, the owners of the CI identity "
        "count.",
        ("CC6.3", "CC5.1"),
    ),
    Promise(
        "secrets-stay",
        "Callers never see upstream credentials; the caller's token never travels upstream.",
        ("CC6.1",),
    ),
    Promise(
        "rule-at-once",
        "A changed rule governs the very next call; what was recorded before is untouched; every call "
        "names the policy revision that judged it; every change of configuration is itself recorded.",
        ("CC7.1", "CC8.1"),
    ),
    Promise(
        "provable",
        "Altered, deleted, inserted, reordered or truncated records are found offline by someone who has "
        "only the bundle and our public key.",
        ("CC4.1", "CC7.2"),
    ),
    Promise(
        "unchanged-clients",
        "A standard MCP client of any supported revision works by changing the endpoint only; what passes"
        " the protocol's conformance suite directly passes it through the gateway.",
        ("CC2.3",),
    ),
)
