"""The API of evidence: how the record stands, and bundles in the background."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, cast

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.listing import Listing
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, StrictSerializer
from approvals.evidence import bundles
from approvals.evidence.pages import DAYS, file_of, reads, stand
from approvals.policy import Policy
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.evidence.criteria import OUT_OF_SCOPE
from sessions.journal import RecordUnavailable
from sessions.models import BundleJob

_SHOWN: Final = (
    "id", "state", "since", "until", "payloads", "asked_at", "done", "total", "problem", "name", "size", "expires_at",
)  # fmt: skip


class WantedBundleSerializer(StrictSerializer):
    """A period: `since` is in it, `until` is not. `payloads` (auditors alone): with masked arguments and answers."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    payloads = serializers.BooleanField(default=False)


class BundleSerializer(serializers.Serializer[Any]):
    """A bundle. `done` of `total` entries are written; `url` is where the file is, once `state` is ready."""

    id = serializers.CharField()
    state = serializers.ChoiceField(BundleJob.State.values)
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    payloads = serializers.BooleanField()
    asked_at = serializers.DateTimeField()
    asked_by = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    problem = serializers.CharField()
    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    url = serializers.CharField(allow_null=True)


class BundlesSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = BundleSerializer(many=True)


class Evidence(APIView):
    """How the record stands."""

    @extend_schema(operation_id="evidence_retrieve", responses={200: OpenApiTypes.OBJECT, 404: RefusalSerializer})
    def get(self, request: Request) -> Response:
        """Return proof, promises with what was counted and what is open, criteria with their tables; no payloads."""
        caller, policy = _viewer(request)
        if not reads(caller, policy):
            raise NotFound
        stood = stand(policy)
        return Response(
            {
                "days": DAYS,
                "proof": asdict(stood.proof) | {"gaps": stood.proof.gaps(stood.now)},
                "kinds": dict(stood.kinds),
                "promises": [
                    {"id": one.promise.id, "sentence": one.promise.sentence, "criteria": one.promise.criteria,
                     "counted": one.counted, "gaps": one.gaps}
                    for one in stood.promises
                ],
                "criteria": [
                    asdict(one.criterion) | {"files": [{"path": path, "rows": rows} for path, rows in one.rows]}
                    for one in stood.criteria
                ],
                "out_of_scope": [{"criteria": ids, "what": what} for ids, what in OUT_OF_SCOPE],
            }
        )  # fmt: skip


class Bundles(APIView):
    """Bundles of evidence, for auditors and admins."""

    @extend_schema(
        operation_id="bundles_list",
        parameters=[OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before")],
        responses={200: BundlesSerializer, 404: RefusalSerializer},
    )
    def get(self, request: Request) -> Response:
        """List bundles, newest first; deleted and failed ones for thirty days."""
        _exporter(request)
        listing = Listing.of(request.query_params, ())
        return Response(listing.answer(listing.page(bundles.listed()), _document))

    @extend_schema(
        request=WantedBundleSerializer,
        responses={202: BundleSerializer, 400: RefusalSerializer, 404: RefusalSerializer},
    )
    def post(self, request: Request) -> Response:
        """Ask for the bundle of a period; it is made in the background."""
        caller, policy = _exporter(request)
        body = WantedBundleSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        outcome = bundles.ask(caller, policy, **body.validated_data)
        if isinstance(outcome, bundles.Refused):
            raise ValidationError({outcome.field: [outcome.message]})
        return Response(_document(outcome), status=202)


class Bundle(APIView):
    """One bundle."""

    @extend_schema(operation_id="bundle_retrieve", responses={200: BundleSerializer, 404: RefusalSerializer})
    def get(self, request: Request, bundle_id: str) -> Response:
        """Return how far it is."""
        _exporter(request)
        return Response(_document(_found(bundle_id)))

    @extend_schema(responses={200: BundleSerializer, 404: RefusalSerializer, 503: RefusalSerializer})
    def delete(self, request: Request, bundle_id: str) -> Response:
        """Delete its file before its time, or stop making it."""
        caller, _ = _exporter(request)
        try:
            bundles.delete(runtime(), _found(bundle_id), caller)
        except RecordUnavailable as error:
            return unavailable(error)
        return Response(_document(_found(bundle_id)))


class BundleFile(APIView):
    """The file of a bundle."""

    @extend_schema(
        responses={
            (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY),
            404: RefusalSerializer,
            503: RefusalSerializer,
        }
    )
    def get(self, request: Request, bundle_id: str) -> Response | StreamingHttpResponse:
        """Return it; the record says who got it. One with payloads is for auditors alone."""
        caller, policy = _exporter(request)
        try:
            answer = file_of(request._request, bundle_id, caller, policy)
        except RecordUnavailable as error:
            return unavailable(error)
        if answer is None:
            raise NotFound
        return answer


def _viewer(request: Request) -> tuple[Caller, Policy]:
    return cast("Caller", request.auth), runtime().policies.current.policy


def _exporter(request: Request) -> tuple[Caller, Policy]:
    caller, policy = _viewer(request)
    if not bundles.may_export(caller, policy):
        raise NotFound
    return caller, policy


def _found(bundle_id: str) -> BundleJob:
    job = bundles.listed().filter(pk=bundle_id).first()
    if job is None:
        raise NotFound
    return job


def _document(job: BundleJob) -> dict[str, Any]:
    is_ready = job.state == BundleJob.State.READY
    told: dict[str, Any] = {name: getattr(job, name) for name in _SHOWN}
    told |= {"asked_by": f"{job.asked_by['iss']}|{job.asked_by['sub']}", "sha256": job.digest}
    url = f"{runtime().public_url}/api/v1/evidence/bundles/{job.pk}/file/" if is_ready else None
    return dict(BundleSerializer({**told, "url": url}).data)
