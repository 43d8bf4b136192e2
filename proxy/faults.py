"""Faults of the data path: exceptions that end a call, each carrying the refusal that its caller gets.

    Fault             the call ends; what it did is recorded as far as the record could be reached
    └── NotRecorded   the record did not take an entry, so nothing may go on

`proxy.endpoint` is the one place that turns them into an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.refusals import Refusal

if TYPE_CHECKING:
    from proxy.refusals import Executed

RETRY_SECONDS = 5.0


class Fault(Exception):
    """A call that ends here with this refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class NotRecorded(Fault):
    """The record is unavailable. `executed` in the refusal says on which side of the forwarding that was."""


def record_unavailable(call_id: str, executed: Executed) -> NotRecorded:
    """Return the fault of a commit that failed or came too late."""
    message = "The record could not be written" + (", so the call was stopped." if executed == "false" else ".")
    return NotRecorded(
        Refusal(
            reason="record_unavailable",
            executed=executed,
            message=message,
            call_id=call_id,
            retry_after=RETRY_SECONDS if executed == "false" else None,
        )
    )
