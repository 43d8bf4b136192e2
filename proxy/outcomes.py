"""What a caller hears when a held call was not run: the refusal that follows from the request's status. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.states import Status
from proxy.refusals import Refusal

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest

_MESSAGES = {
    Status.PENDING: "Approval {id} waits for a person in {groups}.",
    Status.EXECUTING: "Approval {id} was given and the call is running.",
    Status.DENIED: "Approval {id} was denied{comment}.",
    Status.EXPIRED: "Nobody decided approval {id} in time.",
    Status.CANCELLED: "Approval {id} was withdrawn.",
    Status.SUPERSEDED: "Approval {id} no longer fits: the rules or the tool changed.",
    Status.LAPSED: "Approval {id} was given, but nobody collected it in time.",
    Status.REVOKED: "Approval {id} was taken back{comment}.",
    Status.OUTCOME_UNKNOWN: "The call of approval {id} was interrupted while it ran; somebody must look what it did.",
}
_REASONS = {
    Status.EXECUTING: "pending",
    Status.EXECUTED: "lapsed",
    Status.FAILED: "lapsed",
}


def refusal_of(
    request: ApprovalRequest, call_id: str, public_url: str, comment: str, *, retry_after: float, stopping: bool
) -> Refusal:
    """Return the refusal for a held call that is not run now. `comment` is what people said who denied
    it or took it back."""
    status = Status(request.status)
    waiting = status in {Status.PENDING, Status.EXECUTING}
    template = _MESSAGES.get(status, "The result of approval {id} was fetched or is no longer kept.")
    said = f": {comment.rstrip('.')}" if comment else ""
    message = template.format(id=request.id, groups=", ".join(sorted(request.quorum.groups)), comment=said)
    if waiting and stopping:
        message = f"The gateway is stopping. {message}"
    return Refusal(
        reason=_REASONS.get(status, status.value),
        executed="unknown" if status in {Status.OUTCOME_UNKNOWN, Status.EXECUTING} else "false",
        message=message,
        call_id=call_id,
        rule=request.rule or None,
        retry_after=retry_after if waiting else None,
        url=f"{public_url}/approvals/{request.id}/",
    )
