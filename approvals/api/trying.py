"""Trying one call over the API, by the engine of the admin's page. Nothing is forwarded, recorded or changed."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.policy import require_role
from approvals.api.serializers import RefusalSerializer, StrictSerializer, refusal
from approvals.config.identity import KINDS
from approvals.config.loader import ConfigError, load
from approvals.config.rules import METHODS
from approvals.config.schema import Config
from approvals.drafts import config_from_drafts
from approvals.rules.tracing import Finding
from approvals.rules.trying import Heard
from approvals.runtime import runtime
from approvals.tried import NO_RULE, NOT_RECORDED, Tried, Typed, has_rule, try_recorded, try_typed
from masking.detectors import DETECTORS


class TrySerializer(StrictSerializer):
    """A call, and by what it is judged: what is in force, the drafts, or the `configuration` that comes with it.

    The id of a `recorded` call, or `connection`, `name` and whatever else is known of one that nobody made.
    """

    judged_by = serializers.ChoiceField(["force", "drafts", "configuration"], default="force")
    configuration = serializers.DictField(required=False, help_text="As holdgate.yaml has it.")
    rule = serializers.CharField(required=False, default="", max_length=63, help_text="Tell of this rule alone.")
    recorded = serializers.CharField(required=False, max_length=64)
    connection = serializers.CharField(required=False, max_length=63)
    method = serializers.ChoiceField(list(METHODS), default="tools/call")
    name = serializers.CharField(required=False, max_length=2000, help_text="Of the tool or prompt, or the address.")
    arguments = serializers.JSONField(required=False, default=dict)
    who = serializers.CharField(
        required=False, default="", max_length=1000, help_text="E-mail or name of a person, or iss|sub."
    )
    kind = serializers.ChoiceField(list(KINDS), default="person")
    groups = serializers.ListField(child=serializers.CharField(max_length=200), default=list, max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one call, and for the configuration where that is to judge."""
        if not attrs.get("recorded"):
            missing = {key: ["is required without `recorded`"] for key in ("connection", "name") if not attrs.get(key)}
            if missing:
                raise serializers.ValidationError(missing)
        if (attrs["judged_by"] == "configuration") != ("configuration" in attrs):
            raise serializers.ValidationError(
                {"configuration": ["belongs to `judged_by: configuration`, and to it alone"]}
            )
        return attrs


class PlaceSerializer(serializers.Serializer[Any]):
    """A value that fits: its path, the part that was found, and what stands around it."""

    name = serializers.CharField()
    before = serializers.CharField()
    quoted = serializers.CharField()
    after = serializers.CharField()


class FindingSerializer(serializers.Serializer[Any]):
    """One condition that holds, in words. Of a recorded call no place is told."""

    path = serializers.CharField()
    says = serializers.CharField()
    operand = serializers.CharField()
    places = PlaceSerializer(many=True)


class HeardSerializer(serializers.Serializer[Any]):
    """One rule: what of it holds, or in words why it does not match."""

    rule = serializers.CharField()
    action = serializers.CharField()
    mode = serializers.CharField()
    matches = serializers.BooleanField()
    findings = FindingSerializer(many=True)
    missed = serializers.ListField(child=serializers.CharField())


class TriedSerializer(serializers.Serializer[Any]):
    """What came of it: `unknown` where what decides is masked or erased. `was` is the verdict of then."""

    verdict = serializers.ChoiceField(["allow", "deny", "hold", "unknown"])
    would = serializers.ChoiceField(["allow", "deny", "hold"], allow_null=True)
    message = serializers.CharField()
    approvers = serializers.ListField(child=serializers.CharField())
    was = serializers.CharField(allow_null=True)
    rules = HeardSerializer(many=True)


class Try(APIView):
    """What the rules say of one call."""

    @extend_schema(
        request=TrySerializer,
        responses={
            200: TriedSerializer,
            400: RefusalSerializer,
            403: RefusalSerializer,
            404: RefusalSerializer,
        },
    )
    def post(self, request: Request) -> Response:
        """Judge one call, typed or recorded, rule by rule; nothing is forwarded, recorded or changed."""
        require_role(request, "admin")
        body = TrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        try:
            config = _config(asked)
        except ConfigError as error:
            messages = [str(problem) for problem in error.problems]
            return Response(refusal("invalid_request", "; ".join(messages)) | {"messages": messages}, status=400)
        if asked["rule"] and not has_rule(config, asked["rule"]):
            raise serializers.ValidationError({"rule": [NO_RULE]})
        recorded = asked.get("recorded")
        tried = try_recorded(config, recorded) if recorded else try_typed(config, _typed(asked))
        if tried is None:
            raise NotFound(NOT_RECORDED)
        return Response(TriedSerializer(document(tried.of_rule(asked["rule"]))).data)


def _config(asked: dict[str, Any]) -> Config:
    match asked["judged_by"]:
        case "drafts":
            return config_from_drafts()
        case "configuration":
            return load(json.dumps(asked["configuration"]), detectors=DETECTORS)
    return runtime().policies.reload().policy.config


def _typed(asked: dict[str, Any]) -> Typed:
    plain = {key: asked[key] for key in ("connection", "method", "name", "arguments", "who", "kind")}
    return Typed(**plain, groups=frozenset(asked["groups"]))


def document(tried: Tried) -> dict[str, Any]:
    """Return what came of it as the API gives it."""
    return {
        "verdict": tried.word,
        "would": tried.verdict and tried.verdict.would,
        "message": tried.message,
        "approvers": list(tried.approvers),
        "was": tried.was or None,
        "rules": [_heard(one) for one in tried.rules],
    }


def _heard(one: Heard) -> dict[str, Any]:
    return {
        "rule": one.rule.name,
        "action": one.rule.action,
        "mode": one.rule.mode,
        "matches": one.matches,
        "findings": [_finding(finding) for finding in one.findings],
        "missed": list(one.missed),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    places = [
        {"name": place.name, "before": place.before, "quoted": place.quoted, "after": place.after}
        for place in finding.places
    ]
    return {"path": finding.path, "says": finding.says, "operand": finding.operand, "places": places}
