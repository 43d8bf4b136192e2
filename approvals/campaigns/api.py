"""The API of reviews of access."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.listing import Listing
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, StrictSerializer, refusal
from approvals.campaigns import services
from approvals.campaigns.models import Campaign, Line
from approvals.models import Person
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable


class NewCampaignSerializer(StrictSerializer):
    """What is reviewed until when, and by whom: `iss|sub` of people who have signed in."""

    title = serializers.CharField(max_length=200)
    due = serializers.DateField()
    reviewers = serializers.ListField(child=serializers.CharField(), min_length=1, max_length=services.MAX_REVIEWERS)


class LineDecisionSerializer(StrictSerializer):
    """What a reviewer says of a line; a comment is required where it needs follow-up."""

    decision = serializers.ChoiceField(Line.Decision.values)
    comment = serializers.CharField(max_length=services.MAX_COMMENT, default="", allow_blank=True)


class SettlingSerializer(StrictSerializer):
    """What was done about a line."""

    comment = serializers.CharField(max_length=services.MAX_COMMENT)


class LineSerializer(serializers.Serializer[Any]):
    """What one group may use, what its people used in the 90 days before, and what was said and done about it."""

    number = serializers.IntegerField()
    group = serializers.CharField()
    connection = serializers.CharField(allow_blank=True)
    role = serializers.CharField(allow_blank=True)
    tools = serializers.ListField(child=serializers.CharField())
    kinds = serializers.ListField(child=serializers.CharField())
    members = serializers.ListField(child=serializers.CharField())
    calls = serializers.IntegerField()
    last_call = serializers.DateTimeField(allow_null=True)
    decision = serializers.CharField(allow_blank=True)
    comment = serializers.CharField(allow_blank=True)
    decided_by = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    settled = serializers.CharField(allow_blank=True)
    settled_by = serializers.CharField(allow_blank=True)
    settled_at = serializers.DateTimeField(allow_null=True)
    is_open = serializers.BooleanField()


class CampaignSerializer(serializers.Serializer[Any]):
    """A review of access, without its lines; `open` of them are."""

    id = serializers.CharField(source="pk")
    title = serializers.CharField()
    policy_revision = serializers.IntegerField()
    due = serializers.DateField()
    reviewers = serializers.JSONField()
    started_by = serializers.CharField()
    started_at = serializers.DateTimeField()
    closed_by = serializers.CharField(allow_blank=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    open = serializers.SerializerMethodField()

    def get_open(self, row: Campaign) -> int:
        """Return how many lines are open."""
        return sum(line.is_open for line in row.lines.all())


class WholeCampaignSerializer(CampaignSerializer):
    """A review of access with its lines."""

    lines = LineSerializer(many=True)


class CampaignsSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = CampaignSerializer(many=True)


_REFUSED = {400: RefusalSerializer, 403: RefusalSerializer, 404: RefusalSerializer, 503: RefusalSerializer}


class Campaigns(APIView):
    """Reviews of access."""

    @extend_schema(
        operation_id="access_reviews_list",
        parameters=[OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before")],
        responses=CampaignsSerializer,
    )
    def get(self, request: Request) -> Response:
        """List them, newest first: all for admins and auditors, for others those that they are to do."""
        listing = Listing.of(request.query_params, ())
        rows = listing.page(services.visible(*_viewer(request)).prefetch_related("lines"))
        return Response(listing.answer(rows, lambda row: CampaignSerializer(row).data))

    @extend_schema(request=NewCampaignSerializer, responses={201: WholeCampaignSerializer, **_REFUSED})
    def post(self, request: Request) -> Response:
        """Start a review of all access that the policy in force gives."""
        body = NewCampaignSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        people = [_person(account) for account in said["reviewers"]]
        try:
            outcome = services.start(
                runtime(), _viewer(request)[0], title=said["title"], due=said["due"], reviewers=people
            )
        except RecordUnavailable as error:
            return unavailable(error)
        return _answer(outcome, status=201)


class OneCampaign(APIView):
    """One review of access."""

    @extend_schema(operation_id="access_review", responses={200: WholeCampaignSerializer, 404: RefusalSerializer})
    def get(self, request: Request, campaign_id: str) -> Response:
        """Return it with its lines."""
        return _answer(_found(request, campaign_id))


class Decide(APIView):
    """A decision on one line."""

    @extend_schema(request=LineDecisionSerializer, responses={200: LineSerializer, **_REFUSED})
    def post(self, request: Request, campaign_id: str, number: int) -> Response:
        """Keep, remove, or say that it needs follow-up; never on one's own access where another reviewer can."""
        body = LineDecisionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        line = _line(request, campaign_id, number)
        try:
            return _answer(services.decide(runtime(), _viewer(request)[0], line, **body.validated_data))
        except RecordUnavailable as error:
            return unavailable(error)


class Settle(APIView):
    """The end of what a line left to do."""

    @extend_schema(request=SettlingSerializer, responses={200: LineSerializer, **_REFUSED})
    def post(self, request: Request, campaign_id: str, number: int) -> Response:
        """Say what was done; access that was to be removed must be gone from the policy in force."""
        body = SettlingSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        line = _line(request, campaign_id, number)
        try:
            return _answer(services.settle(runtime(), _viewer(request)[0], line, **body.validated_data))
        except RecordUnavailable as error:
            return unavailable(error)


class Close(APIView):
    """The end of a review."""

    @extend_schema(request=None, responses={200: WholeCampaignSerializer, **_REFUSED})
    def post(self, request: Request, campaign_id: str) -> Response:
        """Close a review in which nothing is open; for admins and auditors."""
        row = _found(request, campaign_id)
        try:
            return _answer(services.close(runtime(), _viewer(request)[0], row))
        except RecordUnavailable as error:
            return unavailable(error)


def _viewer(request: Request) -> tuple[Caller, Any]:
    return cast("Caller", request.auth), runtime().policies.current.policy


def _found(request: Request, campaign_id: str) -> Campaign:
    row = services.visible(*_viewer(request)).filter(pk=campaign_id).first()
    if row is None:
        raise NotFound
    return row


def _line(request: Request, campaign_id: str, number: int) -> Line:
    line = _found(request, campaign_id).lines.select_related("campaign").filter(number=number).first()
    if line is None:
        raise NotFound
    return line


def _person(account: str) -> str:
    """The id of a person; what is nobody's is refused with the others."""
    issuer, _, subject = account.partition("|")
    return Person.objects.filter(iss=issuer, sub=subject).values_list("pk", flat=True).first() or account


def _answer(outcome: Campaign | Line | services.Refused, status: int = 200) -> Response:
    if isinstance(outcome, services.Refused):
        reason = "forbidden" if outcome.is_forbidden else "invalid_request"
        return Response(refusal(reason, outcome.message), status=403 if outcome.is_forbidden else 400)
    if isinstance(outcome, Line):
        return Response(LineSerializer(outcome).data)
    return Response(WholeCampaignSerializer(_with_lines(outcome)).data, status=status)


def _with_lines(row: Campaign) -> Campaign:
    return Campaign.objects.prefetch_related("lines").get(pk=row.pk)
