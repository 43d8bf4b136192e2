"""Masking over the API: a text on which it is tried. Nothing is stored."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.policy import require_role
from approvals.api.serializers import RefusalSerializer, refusal
from approvals.config.loader import ConfigError
from approvals.config.problems import schema_problems
from approvals.masks.form import LONGEST_TEXT, detector_of
from approvals.masks.trial import VIEWS
from approvals.masks.trying import try_masking
from masking.custom import CHECKSUMS, LONGEST_PATTERN
from masking.engine import MaskingFailed


class DetectorSerializer(serializers.Serializer[Any]):
    """A detector that is not in the configuration."""

    pattern = serializers.CharField(max_length=LONGEST_PATTERN, trim_whitespace=False)
    checksum = serializers.ChoiceField(list(CHECKSUMS), required=False, allow_null=True)
    names = serializers.ListField(child=serializers.CharField(max_length=100), required=False, max_length=20)


class MaskTrySerializer(serializers.Serializer[Any]):
    """What is tried."""

    text = serializers.CharField(max_length=LONGEST_TEXT, trim_whitespace=False, allow_blank=True)
    connection = serializers.CharField(max_length=63, required=False, default="", allow_blank=True)
    groups = serializers.ListField(child=serializers.CharField(max_length=200), required=False, max_length=100)
    view = serializers.ChoiceField(list(VIEWS), default="caller")
    drafts = serializers.BooleanField(default=False)
    detector = DetectorSerializer(required=False, allow_null=True)


class MaskTriedSerializer(serializers.Serializer[Any]):
    """What came of it: the masked text, counts by what was hidden, and what each own detector finds by itself."""

    masked = serializers.CharField()
    hits = serializers.DictField(child=serializers.IntegerField())
    found = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))


class Try(APIView):
    """Masking tried on a text."""

    @extend_schema(
        operation_id="masking_try",
        request=MaskTrySerializer,
        responses={200: MaskTriedSerializer, 400: RefusalSerializer, 403: RefusalSerializer},
    )
    def post(self, request: Request) -> Response:
        """Mask a text by what is in force, or by the drafts, with a new detector if one is given."""
        require_role(request, "admin")
        asked = MaskTrySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        try:
            found = try_masking(
                given["text"],
                drafts=given["drafts"],
                connection=given["connection"],
                groups=frozenset(given.get("groups", ())),
                view=given["view"],
                detector=_detector(given.get("detector")),
            )
        except ConfigError as error:
            return _refused([str(problem) for problem in error.problems])
        except ValidationError as error:
            return _refused([f"detector.{where[0]}: {reason}" for where, reason in schema_problems(error)])
        except MaskingFailed as error:
            return _refused([f"text: {error}"])
        said = {"masked": found.trial.shown, "hits": dict(found.trial.hits), "found": dict(found.pieces)}
        return Response(said)


def _detector(given: dict[str, Any] | None) -> Any:
    if given is None:
        return None
    return detector_of(given["pattern"], given.get("checksum") or "", list(given.get("names", ())))


def _refused(messages: list[str]) -> Response:
    return Response(refusal("invalid_request", "; ".join(messages)) | {"messages": messages}, status=400)
