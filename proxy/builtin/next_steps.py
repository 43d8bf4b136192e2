"""What a caller can do now about a request of their own, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from approvals.states import Status
from proxy.refusals import REASONS

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest

_AGAIN = "Send exactly the same call again"
_OF_A_CALL: Mapping[Status, str] = {
    Status.PENDING: f"Nothing was executed. {_AGAIN} to wait on and to get its result, or use wait_for_approval.",
    Status.APPROVED: f"{_AGAIN} now: it runs when you do, until execute_by.",
    Status.EXECUTING: f"It is running. {_AGAIN} to get its result.",
    Status.EXECUTED: "It was run once; it is over.",
    Status.FAILED: "It was run once, and failed; it is over.",
}
_OF_ACCESS: Mapping[Status, str] = {
    Status.PENDING: "Nothing is open yet. Use wait_for_approval.",
    Status.APPROVED: "Access is open until execute_by: call the connection.",
    Status.LAPSED: "The time is over. Ask for access again if you need it.",
}


def next_step(request: ApprovalRequest, now: datetime) -> str:
    """Return the sentence for where the request stands at this time."""
    status = Status(request.status)
    if status is Status.PENDING and request.expires_at <= now:
        status = Status.EXPIRED
    if status in {Status.EXECUTED, Status.FAILED} and request.result is not None and request.delivered_at is None:
        return f"It was run once. {_AGAIN} to fetch its result."
    told = (_OF_ACCESS if request.is_access else _OF_A_CALL).get(status)
    return told or REASONS[status.value].next_step
