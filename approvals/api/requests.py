"""The approvals API.

List, detail with waiting, decide, cancel. Statuses and shapes are those of the contract.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status as http
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import services
from approvals.api.listing import Listing
from approvals.api.serializers import (
    ApprovalSerializer,
    ApprovalsSerializer,
    DecisionSerializer,
    RefusalSerializer,
    approval_document,
    refusal,
)
from approvals.models import ApprovalRequest
from approvals.policy import Policy
from approvals.runtime import runtime
from approvals.selectors import visible_to
from approvals.states import TERMINAL, Status
from approvals.ties import tied
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable, RecordUncertain

MAX_WAIT = 60
RETRY_AFTER = 5

_WAIT = OpenApiParameter("wait", OpenApiTypes.INT, description="Seconds, at most 60, to wait for another status.")
_LISTED = [
    OpenApiParameter(name, OpenApiTypes.STR, description=text)
    for name, text in (
        ("status", "one of the statuses"),
        ("connection", "name of a connection"),
        ("caller", "`iss|sub`, or a subject"),
        ("since", "RFC 3339, inclusive"),
        ("until", "RFC 3339, exclusive"),
        ("cursor", "`next` of the page before"),
    )
]
OUTCOMES = {
    200: ApprovalSerializer,
    400: RefusalSerializer,
    403: RefusalSerializer,
    404: RefusalSerializer,
    409: ApprovalSerializer,
    503: RefusalSerializer,
}


def viewer(request: Request) -> tuple[Caller, Policy]:
    """Return who calls, and the policy in force."""
    policy = runtime().policies.current.policy
    request.auth = tied(cast("Caller", request.auth), policy)  # looked up once for every row of a list
    return request.auth, policy


def visible(request: Request) -> QuerySet[ApprovalRequest]:
    """Return what this caller may see."""
    return visible_to(*viewer(request)).prefetch_related("votes")


def found(request: Request, approval_id: str) -> ApprovalRequest:
    """Return one approval. Raises NotFound also for one that the caller may not see."""
    row = visible(request).filter(pk=approval_id).first()
    if row is None:
        raise NotFound
    return row


def rendered(request: Request, row: ApprovalRequest) -> dict[str, Any]:
    """Return the approval as this caller may see it."""
    return approval_document(row, *viewer(request), public_url=runtime().public_url)


class Approvals(APIView):
    """Every approval that the caller may see, newest first."""

    @extend_schema(operation_id="approvals_list", parameters=_LISTED, responses=ApprovalsSerializer)
    def get(self, request: Request) -> Response:
        """List approvals."""
        listing = Listing.of(request.query_params)
        rows = listing.page(listing.filtered(visible(request)))
        return Response(listing.answer(rows, lambda row: rendered(request, row)))


class Approval(APIView):
    """One approval."""

    @extend_schema(parameters=[_WAIT], responses={200: ApprovalSerializer, 404: RefusalSerializer})
    def get(self, request: Request, approval_id: str) -> Response:
        """Return the approval; with `wait`, as soon as its status differs from the one at arrival."""
        seconds(request.query_params.get("wait"))
        return Response(rendered(request, found(request, approval_id)))


def seconds(text: str | None) -> float:
    """Return how long to wait, at most 60 seconds. Raises ValidationError for what is no number."""
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValidationError({"wait": ["must be a whole number of seconds"]})
    return min(int(text), MAX_WAIT)


_approval = Approval.as_view()


async def approval(request: HttpRequest, approval_id: str) -> Response:
    """Answer for one approval, waiting in the event loop if that was asked for.

    Each rendering is a call of the plain view, which checks anew who may see it; no thread and no connection
    to the database is at work in between.
    """
    view = sync_to_async(_approval, thread_sensitive=True)
    response = await view(request, approval_id=approval_id)
    if response.status_code != http.HTTP_200_OK or request.method != "GET" or "wait" not in request.GET:
        return response
    before = response.data["status"]
    if Status(before) in TERMINAL:
        return response
    deadline = time.monotonic() + seconds(request.GET["wait"])
    waiting = runtime().waiting
    with waiting.watch(approval_id, response.data["version"]) as event:
        while True:
            # Registered first, then read: no decision falls in between.
            response = await view(request, approval_id=approval_id)
            left = deadline - time.monotonic()
            is_over = left <= 0 or waiting.stopping
            if is_over or response.status_code != http.HTTP_200_OK or response.data["status"] != before:
                return response
            await _let_go()
            try:
                await asyncio.wait_for(event.wait(), left)
            except TimeoutError:
                continue
            event.clear()


async def _let_go() -> None:
    """Give back the thread and the database connection that Django keeps for the length of a request.

    Under ASGI each request has a one-thread executor of its own (asgiref's ThreadSensitiveContext); idle, it
    would still cost a thread and a connection for each waiter. The next rendering gets a new one.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is None:
        return
    await sync_to_async(connections.close_all, thread_sensitive=True)()
    executor = SyncToAsync.context_to_thread_executor.pop(context, None)
    if executor is not None:
        executor.shutdown(wait=False)


# What Django and the schema look for on a class-based view.
approval.cls = Approval  # type: ignore[attr-defined]
approval.initkwargs = {}  # type: ignore[attr-defined]
approval.csrf_exempt = True  # type: ignore[attr-defined] # the session authentication checks CSRF itself


class Decide(APIView):
    """A person's decision."""

    @extend_schema(request=DecisionSerializer, responses=OUTCOMES)
    def post(self, request: Request, approval_id: str) -> Response:
        """Approve, deny, or resolve an unknown outcome. The same vote again changes nothing."""
        row = found(request, approval_id)
        body = DecisionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        ballot = body.validated_data
        try:
            outcome = services.decide(
                runtime(),
                approval_id=approval_id,
                approver=cast("Caller", request.auth),
                decision=ballot["decision"],
                comment=ballot["comment"],
                via="api",
                version=ballot["version"],
                remember=ballot["remember"],
            )
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case services.NotFound():
                raise NotFound
            case services.NotEligible(reason):
                return Response(refusal("forbidden", reason, request=row), status=403)
            case services.CommentMissing(reason) | services.NotOffered(reason):
                return Response(refusal("invalid_request", reason, request=row), status=400)
            case services.TooLate() | services.VersionMoved():
                return Response(rendered(request, found(request, approval_id)), status=409)
            case _:
                return Response(rendered(request, found(request, approval_id)))


class Cancel(APIView):
    """The requester takes a request back."""

    @extend_schema(request=None, responses=OUTCOMES)
    def post(self, request: Request, approval_id: str) -> Response:
        """Withdraw a request that has not begun to run."""
        row = found(request, approval_id)
        try:
            outcome = services.cancel(runtime(), approval_id=approval_id, caller=cast("Caller", request.auth))
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case services.NotFound():
                return Response(refusal("forbidden", "Only the requester can withdraw it.", request=row), status=403)
            case services.TooLate():
                return Response(rendered(request, found(request, approval_id)), status=409)
            case _:
                return Response(rendered(request, found(request, approval_id)))


def unrecorded(row: ApprovalRequest, error: RecordUnavailable) -> Response:
    """Answer that the record could not be written: nothing was counted, or that is not known yet."""
    return unavailable(error, row)


def unavailable(error: RecordUnavailable, row: ApprovalRequest | None = None) -> Response:
    """Answer the same of anything that is recorded."""
    body = refusal("record_unavailable", services.unrecorded(error), request=row)
    if isinstance(error, RecordUncertain):
        body["executed"] = "unknown"
    return Response(body | {"retry_after": RETRY_AFTER}, status=503, headers={"Retry-After": str(RETRY_AFTER)})
