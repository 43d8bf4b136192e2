"""Remembered decisions as people and programs see them."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from approvals.memory import Grant
from approvals.revocation import why_not
from approvals.selectors import visible_to

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.models import ApprovalRequest, Vote
    from approvals.policy import Policy
    from approvals.verdicts import Caller

# Standing: how it looks, its label, and what it means.
STANDINGS = {
    "active": ("go", "In use", "Calls that it covers run without asking."),
    "used_up": ("", "Used up", "Every use is taken. The next such call asks people again."),
    "expired": ("", "Expired", "Its time is over. The next such call asks people again."),
    "revoked": ("stop", "Revoked", "It was taken back. The next such call asks people again."),
    "void": ("", "Void", "The rule that it was given for is gone or was changed. The next such call is judged anew."),
}


def grants_for(caller: Caller, policy: Policy) -> QuerySet[Grant]:
    """Return the grants that a caller may see: those of the requests that they may see."""
    rows = Grant.objects.filter(request__in=visible_to(caller, policy))
    return rows.select_related("request").prefetch_related("request__votes")


class GrantCard:
    """One grant as one person sees it now."""

    def __init__(self, grant: Grant, caller: Caller, policy: Policy, now: datetime) -> None:
        self.grant = grant
        self.caller = caller
        self.policy = policy
        self.now = now

    @property
    def request(self) -> ApprovalRequest:
        """The request that was approved with it."""
        return self.grant.request

    @cached_property
    def standing(self) -> str:
        """One of STANDINGS."""
        grant = self.grant
        if grant.revoked_at is not None:
            return "revoked"
        if grant.expires_at <= self.now:
            return "expired"
        rules = self.request.terms["rules"]
        if self.policy.fingerprint_of(rules, self.request.connection) != grant.rule_fingerprint:
            return "void"
        return "used_up" if grant.uses >= grant.max_uses else "active"

    @property
    def tone(self) -> str:
        return STANDINGS[self.standing][0]

    @property
    def label(self) -> str:
        return STANDINGS[self.standing][1]

    @property
    def meaning(self) -> str:
        return STANDINGS[self.standing][2]

    @property
    def seconds_left(self) -> int:
        return max(0, int((self.grant.expires_at - self.now).total_seconds()))

    @property
    def asker(self) -> str:
        return self.request.requester_display or self.request.requester_sub

    @cached_property
    def approvals(self) -> list[Vote]:
        """The votes of those who let it be remembered."""
        return [vote for vote in self.request.votes.all() if vote.decision == "approve"]

    @property
    def may_revoke(self) -> bool:
        """Say whether there is still something to take back, and the viewer may."""
        open_still = self.standing in {"active", "used_up", "void"}
        return open_still and not why_not(self.request, self.caller, self.policy)

    @property
    def state(self) -> str:
        """What changes exactly when the live page must show something else."""
        return f"{self.grant.pk}:{self.standing}:{self.grant.uses}"

    def document(self, public_url: str) -> dict[str, Any]:
        """Return the grant as the API gives it."""
        grant, request = self.grant, self.request
        return {
            "id": grant.pk,
            "standing": self.standing,
            "sentence": str(grant),
            "scope": grant.scope,
            "connection": request.connection,
            "method": request.method,
            "tool": request.tool,
            "requester": f"{request.requester_iss}|{request.requester_sub}",
            "run": request.requester_run,
            "rule": request.rule,
            "approval": request.pk,
            "granted_by": [f"{vote.iss}|{vote.sub}" for vote in self.approvals],
            "max_uses": grant.max_uses,
            "uses": grant.uses,
            "made_at": grant.made_at,
            "expires_at": grant.expires_at,
            "revoked_at": grant.revoked_at,
            "revoked_by": grant.revoked_by or None,
            "url": f"{public_url}/approvals/{request.pk}/",
        }
