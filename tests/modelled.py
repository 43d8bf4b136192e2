"""What must be true of one approval request, by a model that knows the documents and not the code."""

from __future__ import annotations

from dataclasses import dataclass, field

from approvals.holding import Ask
from approvals.models import ApprovalRequest
from approvals.states import Status

EXPIRES, COLLECT, ESCALATES = 30, 10, 20  # minutes
REMINDERS = (15, 27)
OPEN = {Status.PENDING, Status.APPROVED, Status.EXECUTING}


@dataclass
class Modelled:
    """What must be true of one request, by the model. Minutes are counted since the moment named."""

    row: ApprovalRequest
    asked: Ask
    tool: str
    terms: int  # which wording of its rule held it
    status: Status = Status.PENDING
    votes: dict[str, str] = field(default_factory=dict)
    story: list[str] = field(default_factory=lambda: ["approval.requested"])
    token: str = ""
    claimed_by: str = ""
    age: int = 0
    approved_ago: int = 0
    ended_ago: int = 0
    has_result: bool = False
    alone: bool = False  # approved by one person who broke the glass
    reviewed: bool = False
    rested: int = 0  # since it was asked or nudged
    reminded: int = 0
    escalated: bool = False
    version: int = 1
    told: int = 0  # of the story

    @property
    def overdue(self) -> Status | None:
        """Where the passing of time alone leads."""
        if self.status is Status.PENDING and self.age >= EXPIRES:
            return Status.EXPIRED
        return Status.LAPSED if self.status is Status.APPROVED and self.approved_ago >= COLLECT else None

    @property
    def prompts(self) -> list[str]:
        """Return what a sweep would say of it while it is pending."""
        if self.status is not Status.PENDING or self.overdue:
            return []
        escalates = not self.escalated and self.age >= ESCALATES
        reminds = sum(self.age >= after for after in REMINDERS) > self.reminded
        return ["approval.escalated"] * escalates + ["approval.reminded"] * reminds

    @property
    def is_met(self) -> bool:
        """Whether its handle leads the identical call back to it."""
        if self.status in OPEN:
            return self.overdue is None
        if self.status in {Status.EXECUTED, Status.FAILED}:
            return self.has_result and self.ended_ago < COLLECT
        return self.status is Status.OUTCOME_UNKNOWN or (self.status is Status.DENIED and self.age < EXPIRES)
