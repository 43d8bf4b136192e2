"""The life of an approval request. Pure: one table says every transition; models, services and tests read it.

pending ──► approved ──► executing ──► executed
   │           │             ├───────► failed            the upstream answered with an error
   │           │             └───────► outcome_unknown   bytes were sent and no answer is known
   │           ├──► lapsed      nobody came to collect it
   │           ├──► revoked     taken back before it ran
   │           └──► superseded  policy, tool or standing changed
   ├──► denied
   ├──► expired
   ├──► cancelled               the requester withdrew it
   ├──► superseded
   └──► revoked                 the access under which it came has ended
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where an approval request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    LAPSED = "lapsed"
    REVOKED = "revoked"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    OUTCOME_UNKNOWN = "outcome_unknown"


TRANSITIONS: frozenset[tuple[Status, Status]] = frozenset(
    {
        (Status.PENDING, Status.APPROVED),
        (Status.PENDING, Status.DENIED),
        (Status.PENDING, Status.EXPIRED),
        (Status.PENDING, Status.CANCELLED),
        (Status.PENDING, Status.SUPERSEDED),
        # The access under which the call came has ended.
        (Status.PENDING, Status.REVOKED),
        (Status.APPROVED, Status.EXECUTING),
        (Status.APPROVED, Status.LAPSED),
        (Status.APPROVED, Status.REVOKED),
        (Status.APPROVED, Status.CANCELLED),
        (Status.APPROVED, Status.SUPERSEDED),
        (Status.EXECUTING, Status.EXECUTED),
        (Status.EXECUTING, Status.FAILED),
        (Status.EXECUTING, Status.OUTCOME_UNKNOWN),
        # An eligible approver found out what happened and says so; nothing is sent again.
        (Status.OUTCOME_UNKNOWN, Status.EXECUTED),
        (Status.OUTCOME_UNKNOWN, Status.FAILED),
    }
)

UNDECIDED = frozenset({Status.PENDING})
LIVE = frozenset({Status.PENDING, Status.APPROVED, Status.EXECUTING})
TERMINAL = frozenset(Status) - LIVE


def is_allowed(old: Status, new: Status) -> bool:
    """Say whether a request may go from one status to the other."""
    return (old, new) in TRANSITIONS
