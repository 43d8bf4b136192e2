"""Which entry belongs to which table of a bundle: one list, by which tables are written and checked. Pure."""

from __future__ import annotations

import functools

# File of population/ -> what the kinds of its entries begin with. Each entry of the period is a row of one of them.
POPULATIONS: dict[str, tuple[str, ...]] = {
    "votes": ("approval.voted", "approval.vote_refused", "approval.click_refused"),
    "break_glass": ("approval.break_glass", "approval.reviewed"),
    "decisions": ("approval.",),
    "blocked": ("call.blocked", "call.refused"),
    "incidents": ("call.unknown", "call.late", "log.restored", "record.restored"),  # the last: before its name changed
    "executions": ("call.",),
    "policy_changes": ("policy.",),
    "tool_changes": ("tool.",),
    "grants": ("grant.",),
    "sign_ins": ("person.signed_", "person.sign_in_failed"),
    "people_changes": ("account.", "delegation.", "person."),
    "erasures": ("payload.",),
    "access_reviews": ("review.",),
    "record_access": ("record.", "evidence."),
    "processes": ("process.", "log."),
    "credential_rotations": ("credential.",),
    "outages": ("server.down", "server.up"),
    "refused_at_the_door": ("access.",),
    "notifications": ("notification.",),
    "other": ("",),
}
# A call is a row of population/calls.csv when one of these speaks of it within the period.
CALL_KINDS = ("call.intent", "call.blocked", "call.refused", "call.repeated", "approval.requested")
ENDS = ("call.result", "call.failed", "call.unknown", "call.cancelled", "call.abandoned")


@functools.cache
def population_of(kind: str) -> str:
    """Return the population to which entries of this kind belong: the first whose beginning fits."""
    return next(name for name, starts in POPULATIONS.items() if kind.startswith(starts))
