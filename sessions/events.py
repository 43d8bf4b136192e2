"""What the other parts hand to the record: events, and payloads that went through masking. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType

Payload = NewType("Payload", bytes)
"""Bytes that may be written down. Only the masking outlet (approvals/outlet.py) makes them."""

Fact = str | int | bool | None | list[str]
"""Identifiers, enumerations and counts. Never text of a person or of an upstream: a leaf is never erased."""

INTENT = "call.intent"
ABANDONED = "call.abandoned"
LATE = "call.late"
SESSION_STARTED = "session.started"
ERASED = "payload.erased"
PROCESS_STARTED = "process.started"
PROCESS_STOPPED = "process.stopped"
RESTORED = "log.restored"

ENDS = frozenset({"call.result", "call.failed", "call.unknown", "call.cancelled", ABANDONED})
"""Kinds that end what was forwarded: a call.intent stays open until one of them is committed for its call_id."""

TERMINAL_KINDS = ENDS | {"call.blocked", "call.refused"}
"""Kinds after which a caller has their answer. Who is refused because the identical call of another attempt still runs
shares its call_id, so these two end nothing that was forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, before it is an entry of the record.

    `kind` is dotted lower case. Text fields hold identifiers (`tool` already masked, `actor` a keyed digest).
    `payloads` are stored apart under salted commitments and can be erased; `facts` go into the leaf for good.
    `recover_after` belongs to `call.intent` alone: seconds from the commit on after which a call without a
    terminal event counts as unknown.
    A `session.started` event may bring the payload `run`, the (masked) name of the run it groups.
    A `payload.erased` event names the commitments it erased in the fact `commitments`, as hex.
    """

    kind: str
    call_id: str = ""
    session: str = ""
    connection: str = ""
    method: str = ""
    tool: str = ""
    actor: str = ""
    policy_revision: int = 0
    policy_digest: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    payloads: Mapping[str, Payload] = field(default_factory=dict)
    recover_after: float | None = None

    @property
    def ends_call(self) -> bool:
        """Whether this event closes the call that a `call.intent` opened."""
        return self.kind in ENDS and bool(self.call_id)


def with_late_ends(events: Sequence[Event], open_calls: Collection[str]) -> Sequence[Event]:
    """Return the events with `call.late` in place of every end of a call that is not open any more.

    Another process ended that call when this one was silent for too long. A call has one end; what came after it is
    told with the same facts and payloads, and in `instead_of` the kind that it would have had.
    """
    if not any(event.ends_call for event in events):
        return events
    told, begun, ended = [], set(), set()
    for event in events:
        if event.kind == INTENT:
            begun.add(event.call_id)
        elif event.ends_call:
            call = event.call_id
            if call in ended or not (call in open_calls or call in begun):
                event = replace(event, kind=LATE, facts={**event.facts, "instead_of": event.kind})
            ended.add(call)
        told.append(event)
    return told
