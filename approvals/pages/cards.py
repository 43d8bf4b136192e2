"""Approval requests as people see them: the card of the inbox. The page of one is `sheet`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from approvals.eligibility import has_asked, is_own, stood_for
from approvals.legible import Piece, glance
from approvals.models import ApprovalRequest, Vote
from approvals.policy import Policy
from approvals.seen import view_digest
from approvals.selectors import may_decide, sees_payload
from approvals.states import Status
from approvals.ties import tied
from approvals.verdicts import Caller

KINDS = {"person": "a person", "agent": "an agent", "ci": "a CI job"}
# Status: how it looks, its label, and what it means in one sentence.
STANDINGS: dict[Status, tuple[str, str, str]] = {
    Status.PENDING: ("wait", "Waiting for a decision", "Nothing was run. The call waits."),
    Status.APPROVED: ("go", "Approved, not yet run", "It runs once, when its caller collects it."),
    Status.DENIED: ("stop", "Denied", "Nothing was run."),
    Status.EXPIRED: ("", "Expired", "Nobody decided in time. Nothing was run; the caller may ask again."),
    Status.CANCELLED: ("", "Withdrawn", "The requester took it back. Nothing was run."),
    Status.SUPERSEDED: (
        "",
        "Superseded",
        "The rule, the tool or somebody's standing changed. Nothing was run under this request.",
    ),
    Status.LAPSED: (
        "",
        "Lapsed",
        "It was approved, but its caller did not come back in time. Nothing was run.",
    ),
    Status.REVOKED: ("stop", "Revoked", "The approval was taken back before anything was run."),
    Status.EXECUTING: ("wait", "Running", "It was approved and is running now."),
    Status.EXECUTED: ("go", "Approved and run", "It was run once, and the upstream answered."),
    Status.FAILED: ("stop", "Run, and failed", "It was run once, and the upstream answered with an error."),
    Status.OUTCOME_UNKNOWN: (
        "stop",
        "Outcome unknown",
        "It was sent, and no complete answer came back. Whether it took effect is not known.",
    ),
}
# The same where access was asked for: approved, it is open.
ACCESS_STANDINGS: dict[Status, tuple[str, str, str]] = {
    **STANDINGS,
    Status.PENDING: ("wait", "Waiting for a decision", "Nothing is open yet."),
    Status.APPROVED: (
        "go",
        "Open",
        "Its holder may use the connection; rules hold and deny calls as they do for everybody.",
    ),
    Status.DENIED: ("stop", "Denied", "Nothing was opened."),
    Status.EXPIRED: ("", "Expired", "Nobody decided in time. Nothing was opened; the caller may ask again."),
    Status.CANCELLED: ("", "Ended", "Whoever asked took it back or ended it."),
    Status.SUPERSEDED: ("", "Superseded", "The terms of access, or somebody's standing, changed."),
    Status.LAPSED: ("", "Over", "Its time is over."),
    Status.REVOKED: ("stop", "Revoked", "The access was taken back, with held and running calls that rested on it."),
}


@dataclass(frozen=True, slots=True)
class Need:
    """So many people of any of these groups, and how many of them have approved."""

    groups: tuple[str, ...]
    count: int
    have: int

    @property
    def is_met(self) -> bool:
        return self.have >= self.count


@dataclass(frozen=True, slots=True)
class Part:
    """What one rule requires: any one of its needs, or all of them."""

    needs: tuple[Need, ...]
    all_needed: bool


def parts_of(require: dict[str, Any], votes: list[Vote]) -> tuple[Part, ...]:
    """Return who must decide, with the approvals so far."""
    # Who is away and who votes in their place fill one place: the later of them adds nothing.
    approving = [
        set(vote.groups) for vote in {vote.right: vote for vote in votes if vote.decision == "approve"}.values()
    ]

    def need(place: dict[str, Any]) -> Need:
        have = sum(not groups.isdisjoint(place["groups"]) for groups in approving)
        return Need(tuple(place["groups"]), place["count"], min(have, place["count"]))

    return tuple(
        Part(tuple(need(place) for place in part.get("any_of") or part["all_of"]), bool(part.get("all_of")))
        for part in require.get("each", [require])
    )


class Card:
    """One request as one person sees it now."""

    def __init__(self, request: ApprovalRequest, caller: Caller, policy: Policy, now: datetime) -> None:
        self.request = request
        self.caller = tied(caller, policy)
        self.policy = policy
        self.now = now
        self.identical: list[Card] = []
        """Identical calls that may be decided together, this one among them; told to one of them alone."""

    @cached_property
    def status(self) -> Status:
        """The status; overdue counts as expired although no sweep has come by yet."""
        if self.request.status == Status.PENDING and self.request.expires_at <= self.now:
            return Status.EXPIRED
        return Status(self.request.status)

    @property
    def _standing(self) -> tuple[str, str, str]:
        return (ACCESS_STANDINGS if self.request.is_access else STANDINGS)[self.status]

    @property
    def tone(self) -> str:
        return self._standing[0]

    @property
    def label(self) -> str:
        return self._standing[1]

    @property
    def meaning(self) -> str:
        return self._standing[2]

    @property
    def is_pending(self) -> bool:
        return self.status is Status.PENDING

    @property
    def is_open(self) -> bool:
        """Whether it may still run, and has not begun to."""
        return self.status in {Status.PENDING, Status.APPROVED}

    @cached_property
    def why_not(self) -> str:
        """Why the viewer may not decide it; empty when they may."""
        return may_decide(self.request, self.caller, self.policy)

    @cached_property
    def is_own(self) -> bool:
        return is_own(self.request, self.caller)

    @property
    def may_withdraw(self) -> bool:
        """Say whether the viewer asked, under this account or a linked one; an equal address gives no right."""
        return has_asked(self.request, self.caller)

    @cached_property
    def sees_payload(self) -> bool:
        return sees_payload(self.request, self.caller, self.policy)

    @cached_property
    def votes(self) -> list[Vote]:
        return list(self.request.votes.all())

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return parts_of(self.request.quorum.document(), self.votes)

    @property
    def joining(self) -> list[tuple[str, datetime]]:
        """Who will be able to decide too, and from when on; nobody once it is decided."""
        request = self.request
        steps = request.timetable.escalations[request.escalated :] if self.is_pending else ()
        return [(" and ".join(step.groups), request.created_at + timedelta(seconds=step.after)) for step in steps]

    @cached_property
    def approved_already(self) -> bool:
        """Whether the viewer has approved, and others must too."""
        mine = (self.caller.iss, self.caller.sub)
        return any((vote.iss, vote.sub) == mine and vote.decision == "approve" for vote in self.votes)

    @property
    def is_decidable(self) -> bool:
        """Whether the viewer may vote on it now and has not approved yet."""
        return self.is_pending and not self.why_not and not self.approved_already

    @cached_property
    def stands_for(self) -> str:
        """In whose place the viewer would decide; empty in their own right."""
        away = stood_for(self.request, self.caller) if not self.why_not else None
        return away.display if away is not None else ""

    @property
    def view(self) -> str:
        """The digest of what the page shows, which the form of a decision carries."""
        return view_digest(self.request)

    @property
    def age(self) -> float:
        """Seconds since it was asked."""
        return (self.now - self.request.created_at).total_seconds()

    @property
    def deadline(self) -> datetime | None:
        """The moment that the countdown runs to, if anything still runs."""
        if self.is_pending:
            return self.request.expires_at
        return self.request.execute_by if self.status is Status.APPROVED else None

    @property
    def total_seconds(self) -> int:
        """The whole of the time of which the countdown shows the rest."""
        begin = self.request.created_at if self.is_pending else self.request.decided_at
        return int((self.deadline - begin).total_seconds()) if self.deadline and begin else 0

    @property
    def seconds_left(self) -> int:
        return max(0, int((self.deadline - self.now).total_seconds())) if self.deadline else 0

    @property
    def glance(self) -> tuple[Piece, ...]:
        return glance(self.request.arguments) if self.sees_payload else ()

    @property
    def asker(self) -> str:
        return self.request.requester_display or self.request.requester_sub

    @property
    def kind(self) -> str:
        return KINDS.get(self.request.requester_kind, self.request.requester_kind)

    @property
    def state(self) -> str:
        """What changes exactly when the live page must show something else."""
        return f"{self.request.pk}:{self.request.version}:{self.status}"
