"""What the record says when another process begins to sign the log."""

from __future__ import annotations

import logging

from approvals.runtime import runtime
from sessions.events import Event

log = logging.getLogger("holdgate.process")


def elected(epoch: int) -> None:
    """Record that this process signs the log from now on; `epoch` is the number of its term."""
    try:
        house = runtime()
        snapshot = house.policies.current
        house.journal.append_now(
            Event(
                kind="log.led", policy_revision=snapshot.revision, policy_digest=snapshot.digest, facts={"epoch": epoch}
            )
        )
    except Exception as error:  # noqa: BLE001 - the log is signed all the same
        log.warning("that this process signs the log could not be recorded: %s", error)
