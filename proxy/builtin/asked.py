"""The caller's own approval requests, as the gateway's tools tell of them. Reads the database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import orjson

from approvals import access as windows
from approvals.database import database_now
from approvals.expectation import usual_seconds
from approvals.models import ApprovalRequest
from approvals.selectors import asked_by
from approvals.states import Status
from proxy.builtin.next_steps import next_step
from proxy.builtin.question import Mistaken
from proxy.builtin.shapes import AccessSaid, Approvals, ApprovalSaid, WaitSaid

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from proxy.builtin.question import Question
    from proxy.builtin.shapes import Awaited, Listed, Wanted
    from proxy.refusals import Executed

UNKNOWN_ID = "You have no approval request of that id."


def listed(question: Question, given: Listed) -> Approvals:
    """Return a page of the caller's own requests, newest first."""
    rows = mine(question).prefetch_related("votes")
    if given.status is not None:
        rows = rows.filter(status=given.status.value)
    if given.connection is not None:
        rows = rows.filter(connection=given.connection)
    if given.cursor is not None:
        rows = rows.filter(pk__lt=given.cursor)
    found = list(rows.order_by("-pk")[: given.limit + 1])
    page = found[: given.limit]
    return Approvals(
        approvals=tuple(said(question, row) for row in page),
        next=page[-1].pk if len(found) > given.limit else None,
    )


def awaited(question: Question, given: Awaited) -> WaitSaid:
    """Return where a request stands now, after the wait."""
    return WaitSaid(waited=round(question.waited, 1), approval=said(question, own(question, given.approval_id)))


def mine(question: Question) -> QuerySet[ApprovalRequest]:
    """Return all requests of the caller's own, also what the same person asked for under another account."""
    return ApprovalRequest.objects.filter(asked_by(question.caller, question.policy))


def access(question: Question, given: Wanted) -> AccessSaid:
    """Ask people for access for a while. Raises Mistaken where it cannot be asked for, RecordUnavailable."""
    outcome = windows.ask(
        question.house,
        question.caller,
        connection=given.connection,
        seconds=given.seconds,
        reason=given.reason,
        tools=given.tools,
    )
    if isinstance(outcome, windows.Refused):
        raise Mistaken(outcome.message, outcome.reason)
    return AccessSaid(joined=outcome.joined, approval=said(question, outcome.request))


def own(question: Question, approval_id: str) -> ApprovalRequest:
    """Return a request of the caller's own. Raises Mistaken, also for those of others."""
    row = mine(question).filter(pk=approval_id).first()
    if row is None:
        raise Mistaken(UNKNOWN_ID)
    return row


def said(question: Question, request: ApprovalRequest) -> ApprovalSaid:
    """Return one of the caller's own requests with what to do about it."""
    votes = request.votes.all()
    return ApprovalSaid(
        id=request.pk,
        status=Status(request.status),
        connection=request.connection,
        method=request.method,
        tool=request.tool,
        arguments=_arguments(question, request),
        reason=request.reason or None,
        rule=request.rule or None,
        who_decides=request.quorum.sentence,
        comments=tuple(f"{vote.decision}: {vote.comment}" for vote in votes if vote.comment),
        created_at=request.created_at,
        expires_at=request.expires_at,
        decided_at=request.decided_at,
        execute_by=request.execute_by,
        executed=cast("Executed", request.executed),
        call_id=request.call_id,
        url=f"{question.public_url}/approvals/{request.pk}/",
        usually_decided_in=usual_seconds(request) if request.status == Status.PENDING else None,
        next_step=next_step(request, database_now()),
    )


def _arguments(question: Question, request: ApprovalRequest) -> Any:
    """Return what was asked for, masked by the rules that hold today for its connection and this caller."""
    outlet = question.snapshot.outlet(request.connection, question.caller.groups)
    try:
        return json.loads(outlet.for_caller(orjson.dumps(json.loads(request.arguments))).body)
    except ValueError:
        return outlet.text(request.arguments)
