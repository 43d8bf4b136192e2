"""What a tool of the gateway is asked: by whom, under which policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller


class Mistaken(Exception):
    """The question cannot be answered; the message says why, and is safe for the caller.

    `reason` is one of the refusals: invalid_request, forbidden or rate_limited.
    """

    def __init__(self, message: str, reason: str = "invalid_request") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who asks, under which policy; `waited` is for how many seconds it was waited before."""

    caller: Caller
    snapshot: Snapshot
    house: Runtime
    waited: float = 0.0

    @property
    def public_url(self) -> str:
        """Return the gateway's own address."""
        return self.house.public_url

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        return self.snapshot.policy
