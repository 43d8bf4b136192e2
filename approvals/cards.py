"""Approval requests as people see them: the card of the inbox and the sheet of the detail page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import QuerySet

from approvals.eligibility import has_asked, is_own
from approvals.legible import Field, Piece, fields, glance
from approvals.models import ApprovalRequest, Vote
from approvals.policy import Policy
from approvals.selectors import may_decide, sees_payload, visible_to
from approvals.standing import roles_of
from approvals.states import Status
from approvals.verdicts import Caller

EARLIER = 3
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
    approving = [set(vote.groups) for vote in votes if vote.decision == "approve"]

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
        self.caller = caller
        self.policy = policy
        self.now = now

    @cached_property
    def status(self) -> Status:
        """The status; overdue counts as expired although no sweep has come by yet."""
        if self.request.status == Status.PENDING and self.request.expires_at <= self.now:
            return Status.EXPIRED
        return Status(self.request.status)

    @property
    def tone(self) -> str:
        return STANDINGS[self.status][0]

    @property
    def label(self) -> str:
        return STANDINGS[self.status][1]

    @property
    def meaning(self) -> str:
        return STANDINGS[self.status][2]

    @property
    def is_pending(self) -> bool:
        return self.status is Status.PENDING

    @cached_property
    def why_not(self) -> str:
        """Why the viewer may not decide it; empty when they may."""
        return may_decide(self.request, self.caller, self.policy)

    @cached_property
    def is_own(self) -> bool:
        return is_own(self.request, self.caller, self.policy.config)

    @property
    def may_withdraw(self) -> bool:
        """Say whether the viewer asked, under this account or a linked one; an equal address gives no right."""
        return has_asked(self.request, self.caller, self.policy.config)

    @cached_property
    def sees_payload(self) -> bool:
        return sees_payload(self.request, self.caller, self.policy)

    @cached_property
    def votes(self) -> list[Vote]:
        return list(self.request.votes.all())

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return parts_of(self.request.terms["require"], self.votes)

    @cached_property
    def approved_already(self) -> bool:
        """Whether the viewer has approved, and others must too."""
        mine = (self.caller.iss, self.caller.sub)
        return any((vote.iss, vote.sub) == mine and vote.decision == "approve" for vote in self.votes)

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


class Sheet(Card):
    """The whole of one request: everything on one screen that a decision needs."""

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        return fields(self.request.arguments) if self.sees_payload else ()

    @property
    def is_long(self) -> bool:
        return any(field.is_long for field in self.fields)

    @property
    def run(self) -> list[tuple[str, str]]:
        return sorted(self.request.requester_run.items())

    @property
    def person(self) -> str:
        """The subject of the person behind the caller, as far as it is somebody else."""
        person = self.request.requester_person
        own = f"{self.request.requester_iss}|{self.request.requester_sub}"
        return person.partition("|")[2] if person and person != own else ""

    @property
    def may_resolve(self) -> bool:
        return self.status is Status.OUTCOME_UNKNOWN and not self.why_not

    @property
    def reads_session(self) -> bool:
        """Whether the viewer may open the recorded session that the call belongs to."""
        is_caller = self.request.requester_iss == self.caller.iss and self.request.requester_sub == self.caller.sub
        return is_caller or bool(roles_of(self.caller, self.policy) & {"auditor", "admin"})

    @property
    def code(self) -> str:
        """The short code by which approver and caller can compare what they have before them."""
        return self.request.binding[:12]

    @cached_property
    def twins(self) -> list[ApprovalRequest]:
        """Identical calls that are waiting too; each needs its own decision."""
        same = visible_to(self.caller, self.policy).filter(call_digest=self.request.call_digest, status=Status.PENDING)
        return list(same.exclude(pk=self.request.pk)[:EARLIER])

    @cached_property
    def earlier(self) -> list[Card]:
        """How the newest requests of this caller for this tool ended."""
        request = self.request
        rows: QuerySet[ApprovalRequest] = visible_to(self.caller, self.policy).filter(
            connection=request.connection,
            tool=request.tool,
            requester_iss=request.requester_iss,
            requester_sub=request.requester_sub,
            id__lt=request.pk,
        )
        decided = rows.exclude(status=Status.PENDING).prefetch_related("votes").order_by("-id")[:EARLIER]
        return [Card(row, self.caller, self.policy, self.now) for row in decided]
