"""Signs of life for a caller who waits: comments, and progress notes where the caller asked for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import replies
from proxy.pipeline import Pulse

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from proxy.exchange import Exchange


def waiting(exchange: Exchange, request: ApprovalRequest, waited: float) -> Pulse:
    """Say for which approval the caller waits, who decides, and since how many seconds."""
    groups = ", ".join(sorted(request.quorum.groups))
    return sign_of_life(exchange, f"Waiting for approval {request.id} by {groups} ({int(waited)} s)")


def sign_of_life(exchange: Exchange, text: str) -> Pulse:
    """Return a sign of life; with a progress note when the caller gave a token, always rising."""
    exchange.pulses += 1
    token = exchange.message.progress_token
    note = None if token is None else replies.progress(token, exchange.pulses, text)
    return Pulse(comment=text, progress=note)
