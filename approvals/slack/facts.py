"""What of a request goes into its card: everything masked once more, by the policy in force now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.conf import settings

from approvals.pages.cards import ACCESS_STANDINGS, KINDS, STANDINGS, parts_of
from approvals.rules.emergency import BROKEN
from approvals.rules.remembering import offers
from approvals.seen import view_digest
from approvals.slack.card import Facts, Said
from approvals.states import Status
from approvals.ties import name_behind

if TYPE_CHECKING:
    from datetime import datetime

    from approvals.models import ApprovalRequest, Vote
    from approvals.outlet import Outlet
    from approvals.pages.cards import Part
    from approvals.publication import Snapshot

EMERGENCY = "One person approved this alone, in an emergency, and a second one must look at it. "
_TITLES = {
    Status.PENDING: "Approval needed",
    Status.APPROVED: "Approved",
    Status.EXECUTED: "Approved and run",
    Status.FAILED: "Run, and failed",
    Status.OUTCOME_UNKNOWN: "Outcome unknown",
}


def facts_of(request: ApprovalRequest, snapshot: Snapshot, now: datetime) -> Facts:
    """Return what the card of a request shows now. Raises MaskingFailed when it cannot be masked."""
    outlet = snapshot.notices
    votes = list(request.votes.all())
    status = Status(request.status)
    if status is Status.PENDING and request.expires_at <= now:
        status = Status.EXPIRED
    _, label, meaning = (ACCESS_STANDINGS if request.is_access else STANDINGS)[status]
    in_emergency = request.source == BROKEN
    arguments, hides_more = _arguments(request.arguments, outlet, snapshot.outlet(request.connection))
    return Facts(
        approval=request.pk,
        version=request.version,
        url=f"{settings.PUBLIC_URL}/approvals/{request.pk}/" if settings.PUBLIC_URL else "",
        status=status.value,
        title=_title(request, status, label),
        standing=f"{EMERGENCY if in_emergency else ''}{label}. {meaning}",
        is_open=status is Status.PENDING,
        decides="slack" in request.terms["decide_in"] and request.terms["mfa"] != "required",
        tool=outlet.text(request.tool),
        connection=request.connection,
        asker=outlet.text(request.requester_display or request.requester_sub),
        kind=KINDS.get(request.requester_kind, request.requester_kind),
        person=outlet.text(name_behind(request, snapshot.policy.config)),
        run=tuple((name, outlet.text(value)) for name, value in sorted(request.requester_run.items())),
        reason=outlet.text(request.reason),
        rule=request.rule,
        message=outlet.text(request.terms["message"]),
        needs=tuple(_need(part) for part in parts_of(request.terms["require"], votes)),
        votes=tuple(_said(vote, outlet) for vote in votes),
        arguments=arguments,
        hides_more=hides_more,
        code=request.binding[:12],
        expires=int(request.expires_at.timestamp()),
        until=f"{request.expires_at:%Y-%m-%d %H:%M} UTC",
        remembers=bool(offers(request.terms)),
        view=view_digest(request),
    )


def _title(request: ApprovalRequest, status: Status, label: str) -> str:
    if request.source == BROKEN and status in (Status.APPROVED, Status.EXECUTING, Status.EXECUTED):
        return "Break-glass"
    return label if request.is_access and status is not Status.PENDING else _TITLES.get(status, label)


def _arguments(document: str, outlet: Outlet, on_the_page: Outlet) -> tuple[str, bool]:
    """Mask again, for a masking rule may be newer than the request; what it does not touch stays letter for letter.

    Return also whether more is hidden than an approver sees on the page.
    """
    try:
        value: Any = json.loads(document)
    except ValueError:
        return outlet.text(document), False  # they were erased
    masked = outlet.for_notice(value)
    more = masked not in (value, on_the_page.for_approver(value))
    return (document if masked == value else json.dumps(masked, ensure_ascii=False)), more


def _need(part: Part) -> str:
    between = " and " if part.all_needed else " or "
    return between.join(f"{need.have} of {need.count} from {', '.join(need.groups)}" for need in part.needs)


def _said(vote: Vote, outlet: Outlet) -> Said:
    return Said(outlet.text(vote.who), vote.decision, outlet.text(vote.comment), vote.via)
