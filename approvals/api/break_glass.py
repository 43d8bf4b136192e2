"""The API of emergencies: approving alone, the debts that this leaves, and closing them."""

from __future__ import annotations

from typing import cast

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals import services
from approvals.api.listing import Listing
from approvals.api.requests import OUTCOMES, found, rendered, unrecorded, viewer, visible
from approvals.api.serializers import (
    AloneSerializer,
    CommentSerializer,
    RefusalSerializer,
    ReviewSerializer,
    ReviewsSerializer,
    refusal,
    review_document,
)
from approvals.break_glass import Breaking, break_glass, close_review
from approvals.models import Review
from approvals.runtime import runtime
from approvals.selectors import sees_payload
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

_LISTED = [
    OpenApiParameter("open", OpenApiTypes.BOOL, description="only those that nobody has looked at yet, or only others"),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before"),
]


class BreakGlass(APIView):
    """One person approves alone, in an emergency."""

    @extend_schema(request=AloneSerializer, responses=OUTCOMES)
    def post(self, request: Request, approval_id: str) -> Response:
        """Approve alone, for whom the rule's `break_glass` names. A reason is required, and a review is owed."""
        row = found(request, approval_id)
        body = AloneSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        person, said = cast("Caller", request.auth), body.validated_data
        breaking = Breaking(person, said["reason"], "api", said["version"])
        try:
            outcome = break_glass(runtime(), approval_id, breaking)
        except RecordUnavailable as error:
            return unrecorded(row, error)
        match outcome:
            case services.NotFound():
                raise NotFound
            case services.NotEligible(reason):
                return Response(refusal("forbidden", reason, request=row), status=403)
            case services.CommentMissing(reason):
                return Response(refusal("invalid_request", reason, request=row), status=400)
            case services.TooLate() | services.VersionMoved():
                return Response(rendered(request, found(request, approval_id)), status=409)
            case _:
                return Response(rendered(request, found(request, approval_id)))


def _reviews(request: Request) -> QuerySet[Review]:
    return Review.objects.filter(request__in=visible(request)).select_related("request")


def _rendered(request: Request, review: Review) -> dict[str, object]:
    return review_document(review, shown=sees_payload(review.request, *viewer(request)))


class Reviews(APIView):
    """Every break-glass whose request the caller may see, newest first."""

    @extend_schema(operation_id="reviews_list", parameters=_LISTED, responses=ReviewsSerializer)
    def get(self, request: Request) -> Response:
        """List break-glasses and their reviews."""
        listing = Listing.of(request.query_params, ("open",))
        wanted = listing.filters.get("open")
        if wanted not in {None, "true", "false"}:
            raise ValidationError({"open": ["must be true or false"]})
        rows = _reviews(request)
        if wanted is not None:
            rows = rows.filter(closed_at__isnull=wanted == "true")
        return Response(listing.answer(listing.page(rows), lambda row: _rendered(request, row)))


class CloseReview(APIView):
    """A second person looks at a break-glass."""

    @extend_schema(
        request=CommentSerializer,
        responses={**OUTCOMES, 200: ReviewSerializer, 409: ReviewSerializer, 404: RefusalSerializer},
    )
    def post(self, request: Request, approval_id: str) -> Response:
        """Close the review, with a comment; for whoever may decide such requests, never for who approved alone."""
        body = CommentSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        review = _reviews(request).filter(pk=approval_id).first()
        if review is None:
            raise NotFound
        person, comment = cast("Caller", request.auth), body.validated_data["comment"]
        try:
            outcome = close_review(runtime(), approval_id=approval_id, person=person, comment=comment, via="api")
        except RecordUnavailable as error:
            return unrecorded(review.request, error)
        match outcome:
            case services.NotEligible(reason):
                return Response(refusal("forbidden", reason, request=review.request), status=403)
            case services.CommentMissing(reason):
                return Response(refusal("invalid_request", reason, request=review.request), status=400)
            case services.TooLate() | services.NotFound():
                return Response(_rendered(request, _reviews(request).get(pk=approval_id)), status=409)
            case services.Decided():
                return Response(_rendered(request, _reviews(request).get(pk=approval_id)))
