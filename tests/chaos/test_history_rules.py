"""The history checker can fail: a sound history passes, and each way of doctoring it breaks the rule that is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sessions.leaf import Leaf
from tests.history import leaks
from tests.history_rules import RULES, Asked, History, Reply, Sighting, faults_of

CALL, HELD, APPROVAL, BINDING = "call-1", "call-2", "approval-1", "b" * 64


def entry(kind: str, call: str = HELD, **facts: Any) -> Leaf:
    blank = dict.fromkeys(Leaf._fields, "")
    fields = {**blank, "kind": kind, "call": call, "connection": "orders-db", "facts": facts, "payloads": {}, "n": 0}
    return Leaf(**fields)  # type: ignore[arg-type]


def about(what: str, **facts: Any) -> Leaf:
    return entry(f"approval.{what}", approval=APPROVAL, binding=BINDING, **facts)


def seen(nth: int, marker: str, intents: int | None) -> Sighting:
    return Sighting("orders-db", "tools/call", marker, nth, 1, intents, 1)


# One call that was allowed, and one that was held, approved and done.
REQUESTED, APPROVED = about("requested"), about("approved")
MEMORY: dict[str, Any] = {"remember_scope": "same_tool", "remember_max_age": 60, "remember_max_uses": 1}
VOTED = about("voted", decision="approve", **MEMORY)
CLAIMED = entry("call.intent", verdict="hold", approval=APPROVAL, binding=BINDING)
ENTRIES = (
    entry("call.intent", CALL, verdict="allow"),
    entry("call.result", CALL, executed="true"),
    REQUESTED,
    VOTED,
    APPROVED,
    CLAIMED,
    entry("call.result", executed="true", approval=APPROVAL),
)
# The vote was remembered, and another call ran by that.
COVERED, NEXT = "approval-9", "call-9"
GRANT = {"grant": "grant-1", "covers": "d" * 64}
MADE = entry("grant.made", approval=APPROVAL, **GRANT, **MEMORY)
USED = entry("grant.used", NEXT, approval=COVERED, **GRANT)
GIVEN = entry("approval.approved", NEXT, approval=COVERED, binding=BINDING, grant="grant-1")
REMEMBERED = (
    MADE,
    entry("approval.requested", NEXT, approval=COVERED, binding=BINDING),
    USED,
    GIVEN,
    entry("call.intent", NEXT, verdict="hold", approval=COVERED, binding=BINDING),
    entry("call.result", NEXT, executed="true", approval=COVERED),
)
REVOKED = entry("grant.revoked", approval=APPROVAL, **GRANT)
SOUND = History(
    entries=ENTRIES,
    sightings=(seen(1, "m1", 1), seen(2, "m2", 2)),
    approvals=(Asked(APPROVAL, "executed", BINDING, HELD),),
    replies=(Reply(CALL), Reply(HELD, approval=APPROVAL)),
    asked=(APPROVAL,),
    decisions=((APPROVAL, "approve"),),
)


def without(history: History, *gone: Leaf) -> History:
    return replace(history, entries=[one for one in history.entries if not any(one is leaf for leaf in gone)])


def instead(history: History, old: Leaf, *new: Leaf) -> History:
    entries: list[Leaf] = []
    for one in history.entries:
        entries += new if one is old else [one]
    return replace(history, entries=entries)


def remembered(*entries: Leaf) -> History:
    """Return the sound history with a grant and its use."""
    rows = (*SOUND.approvals, Asked(COVERED, "executed", BINDING, NEXT))
    return replace(SOUND, entries=[*ENTRIES, *entries], approvals=rows)


def opened(window: str) -> Leaf:
    return entry("approval.approved", "call-8", approval=window)


def over(window: str) -> Leaf:
    return entry("approval.revoked", "call-8", approval=window)


def it_rests_on(history: History, window: str, *before: Leaf) -> History:
    """Return the history with these entries before its first call, whose access rests on that window."""
    first = ENTRIES[0]
    return instead(history, first, *before, first._replace(facts={**first.facts, "access": window}))


def changed(old: Leaf, **facts: Any) -> Callable[[History], History]:
    """Return what doctors the facts of one entry of the grant."""
    return lambda it: instead(remembered(*REMEMBERED), old, old._replace(facts={**old.facts, **facts}))


def status(history: History, value: str) -> History:
    return replace(history, approvals=(Asked(APPROVAL, value, BINDING, HELD),))


RESULT, HELD_RESULT = ENTRIES[1], ENTRIES[6]
OTHER = about("requested")._replace(facts={"approval": "approval-2", "binding": BINDING})
DOCTORED: dict[str, tuple[str, Callable[[History], History]]] = {
    "sent without an intent": ("intent_first", lambda it: replace(it, sightings=[seen(1, "m1", 0)])),
    "sent twice": ("intent_first", lambda it: replace(it, sightings=[*it.sightings, seen(3, "m3", 2)])),
    "sent twice while nobody could look": ("intent_first", lambda it: replace(it, sightings=[seen(3, "m3", None)])),
    "one marker sent twice": (
        "intent_first",
        lambda it: replace(it, sightings=[replace(seen(2, "m1", 2), nth_of_marker=2)]),
    ),
    "no end": ("one_end", lambda it: without(it, RESULT)),
    "two ends": ("one_end", lambda it: replace(it, entries=[*it.entries, entry("call.unknown", CALL)])),
    "an end without an intent": ("one_end", lambda it: without(it, ENTRIES[0])),
    "two intents": ("one_end", lambda it: instead(it, ENTRIES[0], ENTRIES[0], ENTRIES[0])),
    "the end before the intent": ("one_end", lambda it: replace(it, entries=[RESULT, ENTRIES[0], *ENTRIES[2:]])),
    "open and ended": ("one_end", lambda it: replace(it, open={CALL})),
    "claimed before the decision": (
        "bound_decision",
        lambda it: replace(it, entries=[*ENTRIES[:4], CLAIMED, APPROVED, HELD_RESULT]),
    ),
    "claimed without a decision": ("bound_decision", lambda it: without(it, APPROVED)),
    "claimed under another call's decision": (
        "bound_decision",
        lambda it: instead(it, CLAIMED, CLAIMED._replace(facts={**CLAIMED.facts, "binding": "c" * 64})),
    ),
    "approved without a vote": ("bound_decision", lambda it: without(it, VOTED)),
    "approved with a denial": (
        "bound_decision",
        lambda it: instead(it, VOTED, about("voted", decision="deny")),
    ),
    "approved, but what was asked was another call": (
        "bound_decision",
        lambda it: instead(it, REQUESTED, REQUESTED._replace(facts={"approval": APPROVAL, "binding": "c" * 64})),
    ),
    "one approval for two calls": (
        "bound_decision",
        lambda it: instead(it, HELD_RESULT, HELD_RESULT, CLAIMED._replace(call="call-3")),
    ),
    "an answer without its entry": ("nothing_lost", lambda it: replace(it, replies=[Reply("call-9")])),
    "a refusal without its entry": ("nothing_lost", lambda it: replace(it, replies=[Reply("call-9", "pending")])),
    "an answer of a call that has only an intent": ("nothing_lost", lambda it: without(it, RESULT)),
    "a request that was named and is gone": ("nothing_lost", lambda it: without(it, REQUESTED)),
    "a decision that was acknowledged and is gone": ("nothing_lost", lambda it: without(it, VOTED)),
    "the opposite of what was decided": ("nothing_lost", lambda it: replace(it, decisions=[(APPROVAL, "deny")])),
    "told that nothing was executed": (
        "told_truly",
        lambda it: replace(it, replies=[Reply(CALL, "record_unavailable", "false")]),
    ),
    "pending in the table, executed in the record": ("stands_as_recorded", lambda it: status(it, "pending")),
    "executed in the table, pending in the record": (
        "stands_as_recorded",
        lambda it: replace(it, entries=[*ENTRIES[:3]]),
    ),
    "a pending request whose row is gone": (
        "stands_as_recorded",
        lambda it: replace(it, entries=[*it.entries, OTHER]),
    ),
    "a row that nobody asked for": (
        "stands_as_recorded",
        lambda it: replace(it, approvals=[*it.approvals, Asked("approval-2", "pending", BINDING, "call-4")]),
    ),
    "unknown in the table, a result in the record of another call": (
        "stands_as_recorded",
        lambda it: status(instead(it, HELD_RESULT, HELD_RESULT._replace(call="call-4")), "outcome_unknown"),
    ),
    "approved by a grant that was not used": (
        "bound_decision",
        lambda it: without(remembered(*REMEMBERED), USED),
    ),
    "approved by another grant than the one that was used": ("bound_decision", changed(GIVEN, grant="grant-2")),
    "a grant that nobody made": ("kept_memory", lambda it: without(remembered(*REMEMBERED), MADE)),
    "a grant of a vote that asked for none": (
        "kept_memory",
        lambda it: instead(remembered(*REMEMBERED), VOTED, about("voted", decision="approve")),
    ),
    "a grant that lasts longer than was asked for": ("kept_memory", changed(MADE, remember_max_age=61)),
    "a grant for another call": ("kept_memory", changed(USED, covers="e" * 64)),
    "a grant that is used too often": ("kept_memory", lambda it: remembered(*REMEMBERED, USED)),
    "a grant that is used after its end": (
        "kept_memory",
        lambda it: remembered(MADE, REVOKED, *REMEMBERED[1:]),
    ),
    "a call through a window that nobody opened": ("open_access", lambda it: it_rests_on(it, "approval-8")),
    "a call through a window that was over": (
        "open_access",
        lambda it: it_rests_on(it, "approval-8", opened("approval-8"), over("approval-8")),
    ),
    "a finding of the verifier": ("provable", lambda it: replace(it, findings=["deleted: log index 7"])),
}


def test_a_sound_history_has_no_fault() -> None:
    assert faults_of(SOUND) == []
    assert faults_of(remembered(*REMEMBERED, REVOKED)) == []
    assert not [fault for fault in faults_of(it_rests_on(SOUND, "w", opened("w"))) if "open_access" in fault]


def test_a_call_that_runs_and_what_is_heard_of_one_after_its_end_are_no_faults() -> None:
    running = status(replace(without(SOUND, HELD_RESULT), open={HELD}, replies=[Reply(CALL)]), "executing")
    unknown = entry("call.unknown", executed="unknown", approval=APPROVAL)
    late = instead(SOUND, HELD_RESULT, unknown, entry("call.late", executed="true", approval=APPROVAL))
    late = replace(late, replies=[Reply(CALL), Reply(HELD, "outcome_unknown", "unknown", APPROVAL)])

    assert faults_of(running) == []
    assert faults_of(status(late, "outcome_unknown")) == []


@pytest.mark.parametrize("doctored", sorted(DOCTORED))
def test_a_doctored_history_breaks_the_rule_that_is_meant(doctored: str) -> None:
    rule, doctor = DOCTORED[doctored]

    broken = {fault.split(":")[0] for fault in faults_of(doctor(SOUND))}

    assert rule in broken


def test_every_rule_is_tried_here() -> None:
    assert {rule for rule, _ in DOCTORED.values()} == {rule.__name__.lstrip("_") for rule in RULES}


@pytest.mark.parametrize("content", [b"4111", b"x 4111 1111 y", b"NDExMSAxMTEx", b"343131312031313131"])
def test_a_secret_is_found_as_it_is_in_base64_and_in_hex(content: bytes) -> None:
    found = list(leaks([("card", "4111 1111")], [("the log", content)]))

    assert found == ([] if content == b"4111" else ["card in the log"])
