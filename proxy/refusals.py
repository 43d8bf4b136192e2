"""Why a call was not answered: every `reason` of the contract, its numbers, and what a caller should do next.
Pure.

The table is part of the public face and is rendered in the documentation. JSON-RPC codes are -33000 - n:
outside the range that JSON-RPC 2.0 and MCP reserve, never renumbered, new reasons go to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Executed = Literal["true", "false", "unknown"]

EXECUTED_TEXT: Mapping[Executed, str] = MappingProxyType(
    {
        "true": "The call WAS executed.",
        "false": "Nothing was executed.",
        "unknown": "It is NOT KNOWN whether the call was executed.",
    }
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: `number` gives the JSON-RPC code, `status` the HTTP status where the body is the refusal
    object.
    """

    number: int
    status: int
    headline: str
    next_step: str

    @property
    def code(self) -> int:
        """The JSON-RPC error code of this reason."""
        return -33000 - self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a call was refused or failed: the machine-readable fields that every shape of answer carries.

    `executed` says whether the upstream ran it, `message` is safe for the caller to read, `retry_after` is in
    seconds.
    """

    reason: str
    executed: Executed
    message: str
    call_id: str = ""
    rule: str | None = None
    retry_after: float | None = None
    url: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the refusal as the JSON object of the contract; fields without a value are left out."""
        found = {
            "reason": self.reason,
            "executed": self.executed,
            "call_id": self.call_id or None,
            "rule": self.rule,
            "message": self.message,
            "retry_after": self.retry_after,
            "url": self.url,
        }
        return {name: value for name, value in found.items() if value is not None}

    def text(self) -> str:
        """Return what a person or a model reads: what happened, whether anything was executed, what to do
        next.
        """
        row = REASONS[self.reason]
        wait = f" Try again in {self.retry_after:g} s." if self.retry_after is not None else ""
        where = f" See {self.url}" if self.url else ""
        return f"{row.headline}: {self.message} {EXECUTED_TEXT[self.executed]} {row.next_step}{wait}{where}"


_ROWS = (
    ("unauthenticated", 1, 401, "NOT SIGNED IN", "Get a valid token and call again."),
    ("forbidden", 2, 403, "NOT ALLOWED", "Do not retry; ask for access."),
    ("invalid_request", 3, 400, "INVALID REQUEST", "Correct the request; the same one fails again."),
    ("too_large", 4, 413, "TOO LARGE", "Send a smaller request."),
    ("blocked", 5, 403, "BLOCKED BY A RULE", "Do not retry this call."),
    (
        "reason_required",
        6,
        403,
        "A REASON IS REQUIRED",
        "Send the call again with Holdgate-Reason or holdgate/reason in _meta.",
    ),
    ("denied", 7, 403, "DENIED BY A PERSON", "Do not retry this call unless the reason has changed."),
    (
        "pending",
        8,
        202,
        "WAITING FOR APPROVAL",
        "Send exactly the same call again to wait on and to get its result.",
    ),
    ("expired", 9, 403, "THE APPROVAL EXPIRED", "Send the call again to ask anew."),
    ("cancelled", 10, 409, "CANCELLED", "Send the call again if it is still wanted."),
    ("superseded", 11, 409, "THE APPROVAL NO LONGER FITS", "A new approval is needed; send the call again."),
    ("lapsed", 12, 409, "APPROVED BUT NOT COLLECTED IN TIME", "Send the call again to ask anew."),
    ("revoked", 13, 403, "THE APPROVAL WAS REVOKED", "Do not retry; ask the approver."),
    ("tool_changed", 14, 409, "THE TOOL CHANGED", "An administrator must accept its new definition first."),
    ("rate_limited", 15, 429, "TOO MANY CALLS", "Slow down."),
    (
        "idempotency_conflict",
        16,
        409,
        "THE IDEMPOTENCY KEY BELONGS TO ANOTHER CALL",
        "Use a new Idempotency-Key for a new call.",
    ),
    (
        "credential_unavailable",
        17,
        502,
        "THE UPSTREAM CREDENTIAL IS NOT AVAILABLE",
        "Do what it says, or tell the operator of the gateway.",
    ),
    (
        "record_unavailable",
        18,
        503,
        "THE RECORD IS NOT AVAILABLE",
        "No call runs unrecorded; try again later.",
    ),
    ("policy_unavailable", 19, 503, "THE POLICY IS NOT AVAILABLE", "No call runs unjudged; try again later."),
    (
        "masking_failed",
        20,
        502,
        "THE ANSWER COULD NOT BE MASKED",
        "It is withheld; do not simply repeat a call that writes.",
    ),
    ("upstream_unavailable", 21, 502, "THE SERVER CANNOT BE REACHED", "Try again later."),
    (
        "upstream_timeout",
        22,
        504,
        "THE SERVER DID NOT ANSWER IN TIME",
        "Check what happened before you repeat a call that writes.",
    ),
    (
        "upstream_invalid",
        23,
        502,
        "THE SERVER'S ANSWER WAS NOT VALID",
        "Check what happened before you repeat a call that writes.",
    ),
    (
        "outcome_unknown",
        24,
        502,
        "THE OUTCOME IS NOT KNOWN",
        "Do not repeat it before somebody has checked what happened.",
    ),
    ("shutting_down", 25, 503, "THE GATEWAY IS STOPPING", "Send the call again in a moment."),
)
REASONS: Mapping[str, Reason] = MappingProxyType(
    {name: Reason(number, status, headline, then) for name, number, status, headline, then in _ROWS}
)
