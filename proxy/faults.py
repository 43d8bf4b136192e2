"""How a call ends that could not be done: with one refusal, recorded as far as the record could be reached.

`proxy.errors` are the faults themselves; the steps record them and raise `CallFailed`, which `proxy.responder` turns
into an answer in one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxy.refusals import Refusal

if TYPE_CHECKING:
    from proxy.refusals import Executed

RETRY_SECONDS = 5.0


class CallFailed(Exception):
    """The call ends here. `status` is the HTTP status where it is not the usual one of the refusal's shape.

    `receipt` is that of the entry that says so, where there is one.
    """

    def __init__(self, refusal: Refusal, *, status: int | None = None, receipt: Any = None) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.status = status
        self.receipt = receipt


def record_unavailable(call_id: str, executed: Executed) -> CallFailed:
    """Return the end of a call whose entry could not be committed: nothing may go on that relies on it."""
    before = executed == "false"
    message = "The record could not be written, so the call was stopped." if before else "The record failed."
    return CallFailed(
        Refusal(
            reason="record_unavailable",
            executed=executed,
            message=message,
            call_id=call_id,
            retry_after=RETRY_SECONDS if before else None,
        ),
        status=503 if before else None,
    )
