"""The shapes of the approvals API: what goes out, and what a decision looks like coming in."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers

from approvals.models import ApprovalRequest
from approvals.policy import Policy
from approvals.selectors import sees_payload
from approvals.verdicts import Caller


class RequesterSerializer(serializers.Serializer[Any]):
    """Who asks. `person` is `iss|sub` of the human being behind, where known."""

    iss = serializers.CharField()
    sub = serializers.CharField()
    kind = serializers.CharField()
    display = serializers.CharField()
    person = serializers.CharField(allow_null=True)


class VoteSerializer(serializers.Serializer[Any]):
    """What one person said. `by` is `iss|sub`."""

    by = serializers.CharField()
    display = serializers.CharField()
    decision = serializers.ChoiceField(["approve", "deny"])
    comment = serializers.CharField()
    via = serializers.CharField()
    at = serializers.DateTimeField()


class ApprovalSerializer(serializers.Serializer[Any]):
    """One approval. `arguments` and `reason` are masked, and null for a person who is only admin."""

    id = serializers.CharField()
    status = serializers.ChoiceField([status for status, _ in ApprovalRequest.STATUSES])
    connection = serializers.CharField()
    method = serializers.CharField()
    tool = serializers.CharField()
    arguments = serializers.JSONField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    requester = RequesterSerializer()
    rule = serializers.CharField()
    require = serializers.JSONField()
    votes = VoteSerializer(many=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    call_id = serializers.CharField()
    url = serializers.CharField()
    version = serializers.IntegerField()
    executed = serializers.ChoiceField(["true", "false", "unknown"])


class ApprovalsSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = ApprovalSerializer(many=True)


class DecisionSerializer(serializers.Serializer[Any]):
    """The body of a decision."""

    decision = serializers.ChoiceField(["approve", "deny", "resolve"])
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    remember = serializers.DictField(required=False, allow_null=True, default=None)

    def validate_remember(self, value: dict[str, Any] | None) -> None:
        """Refuse what no rule of this version can offer, rather than forgetting it silently."""
        if value is not None:
            raise serializers.ValidationError("The rule does not offer to remember a decision.")


class RefusalSerializer(serializers.Serializer[Any]):
    """Why something was not done."""

    reason = serializers.CharField()
    executed = serializers.ChoiceField(["true", "false", "unknown"])
    call_id = serializers.CharField(allow_null=True)
    rule = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    retry_after = serializers.IntegerField(allow_null=True)
    url = serializers.CharField(allow_null=True)


def approval_document(request: ApprovalRequest, caller: Caller, policy: Policy, *, public_url: str) -> dict[str, Any]:
    """Return an approval as this caller may see it."""
    shown = sees_payload(request, caller, policy)
    document = {
        "id": request.pk,
        "status": request.status,
        "connection": request.connection,
        "method": request.method,
        "tool": request.tool,
        "arguments": _arguments(request) if shown else None,
        "reason": request.reason if shown else None,
        "requester": {
            "iss": request.requester_iss,
            "sub": request.requester_sub,
            "kind": request.requester_kind,
            "display": request.requester_display,
            "person": request.requester_person or None,
        },
        "rule": request.rule,
        "require": request.terms["require"],
        "votes": [
            {
                "by": f"{vote.iss}|{vote.sub}",
                "display": vote.display,
                "decision": vote.decision,
                "comment": vote.comment,
                "via": vote.via,
                "at": vote.at,
            }
            for vote in request.votes.all()
        ],
        "created_at": request.created_at,
        "expires_at": request.expires_at,
        "decided_at": request.decided_at,
        "call_id": request.call_id,
        "url": f"{public_url}/approvals/{request.pk}/",
        "version": request.version,
        "executed": request.executed,
    }
    return dict(ApprovalSerializer(document).data)


def _arguments(request: ApprovalRequest) -> Any:
    try:
        return json.loads(request.arguments)
    except ValueError:
        return request.arguments


def refusal(
    reason: str, message: str, *, request: ApprovalRequest | None = None, url: str | None = None
) -> dict[str, Any]:
    """Return the refusal object of the contract: nothing was executed by what was refused here."""
    return {
        "reason": reason,
        "executed": "false",
        "call_id": request.call_id if request else None,
        "rule": request.rule if request else None,
        "message": message,
        "retry_after": None,
        "url": url,
    }
