"""The shapes of the approvals API: what goes out, and what a decision looks like coming in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from pydantic_core import PydanticCustomError
from rest_framework import serializers

from approvals.config.values import parse_duration
from approvals.database import database_now
from approvals.models import ApprovalRequest, Review
from approvals.policy import Policy
from approvals.revealing import places_for
from approvals.rules.emergency import BROKEN
from approvals.rules.remembering import SCOPES, Wish
from approvals.selectors import sees_payload
from approvals.states import Status
from approvals.verdicts import Caller


class RequesterSerializer(serializers.Serializer[Any]):
    """Who asks. `person` is `iss|sub` of the human being behind, where known."""

    iss = serializers.CharField()
    sub = serializers.CharField()
    kind = serializers.CharField()
    display = serializers.CharField()
    person = serializers.CharField(allow_null=True)


class VoteSerializer(serializers.Serializer[Any]):
    """What one person said. `by` is `iss|sub`; `on_behalf_of` that of whoever was away and let them decide."""

    by = serializers.CharField()
    on_behalf_of = serializers.CharField(allow_null=True)
    display = serializers.CharField()
    decision = serializers.ChoiceField(["approve", "deny"])
    comment = serializers.CharField()
    via = serializers.CharField()
    at = serializers.DateTimeField()


class EscalationSerializer(serializers.Serializer[Any]):
    """When these groups will be able to decide too, unless it is decided before."""

    at = serializers.DateTimeField()
    add_groups = serializers.ListField(child=serializers.CharField())


class ClosedSerializer(serializers.Serializer[Any]):
    """Who looked at a break-glass afterwards, and what they found."""

    by = serializers.CharField()
    display = serializers.CharField()
    comment = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()


class RevokedSerializer(serializers.Serializer[Any]):
    """Who took an approval back before it ran."""

    display = serializers.CharField()
    comment = serializers.CharField()
    at = serializers.DateTimeField()


class ReviewSerializer(serializers.Serializer[Any]):
    """One person approved alone, in an emergency; `closed` says what the second person found, null until then."""

    approval = serializers.CharField()
    by = serializers.CharField()
    display = serializers.CharField()
    reason = serializers.CharField(allow_null=True)
    via = serializers.CharField()
    at = serializers.DateTimeField()
    closed = ClosedSerializer(allow_null=True)


class ReviewsSerializer(serializers.Serializer[Any]):
    """A page of break-glasses; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = ReviewSerializer(many=True)


class HiddenSerializer(serializers.Serializer[Any]):
    """A hidden value that the caller may have shown."""

    place = serializers.CharField()
    name = serializers.CharField()


class ApprovalSerializer(serializers.Serializer[Any]):
    """One approval. `arguments` and `reason` are masked, and null for a person who is only admin.

    `hidden` are the masked arguments that the caller may have shown (`reveal/`), nothing for most. `grant` names the
    remembered decision that approved it, if no votes did.
    """

    id = serializers.CharField()
    status = serializers.ChoiceField([status for status, _ in ApprovalRequest.STATUSES])
    connection = serializers.CharField()
    method = serializers.CharField()
    tool = serializers.CharField()
    arguments = serializers.JSONField(allow_null=True)
    hidden = HiddenSerializer(many=True)
    reason = serializers.CharField(allow_null=True)
    requester = RequesterSerializer()
    rule = serializers.CharField()
    require = serializers.JSONField()
    escalate = EscalationSerializer(many=True)
    votes = VoteSerializer(many=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    revoked = RevokedSerializer(allow_null=True)
    approved_through = serializers.ChoiceField(["quorum", "grant", "break_glass"], allow_null=True)
    break_glass = ReviewSerializer(allow_null=True)
    call_id = serializers.CharField()
    url = serializers.CharField()
    version = serializers.IntegerField()
    executed = serializers.ChoiceField(["true", "false", "unknown"])
    grant = serializers.CharField(allow_null=True)


class ApprovalsSerializer(serializers.Serializer[Any]):
    """A page of a list; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = ApprovalSerializer(many=True)


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "example": "1h"}]})
class DurationField(serializers.Field[int, Any, Any, Any]):
    """Seconds, or a duration as the configuration spells it."""

    def to_internal_value(self, data: Any) -> int:
        """Return seconds."""
        try:
            return cast("int", parse_duration(data))
        except PydanticCustomError as error:
            raise serializers.ValidationError(error.message()) from error

    def to_representation(self, value: Any) -> Any:
        """Return seconds."""
        return value


class StrictSerializer(serializers.Serializer[Any]):
    """A body in which a member that nobody knows is an error: a misspelt limit must not be no limit."""

    def to_internal_value(self, data: Any) -> Any:
        """Return what was sent. Raises ValidationError, also for unknown members."""
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            raise serializers.ValidationError({str(name): ["unknown member"] for name in unknown})
        return super().to_internal_value(data)


class WishSerializer(StrictSerializer):
    """What an approver wants remembered: as much as the rule allows, or less. `max_age` in seconds or as `1h`."""

    scope = serializers.ChoiceField(list(SCOPES))
    max_age = DurationField(required=False, allow_null=True, default=None)
    max_uses = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)


class DecisionSerializer(serializers.Serializer[Any]):
    """The body of a decision."""

    decision = serializers.ChoiceField(["approve", "deny", "resolve"])
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    remember = WishSerializer(required=False, allow_null=True, default=None)

    def validate_remember(self, value: dict[str, Any] | None) -> Wish | None:
        """Return what is to be remembered; what the rule allows is looked at when the vote is counted."""
        return None if value is None else Wish(**value)


class AloneSerializer(serializers.Serializer[Any]):
    """The body of an approval in an emergency."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)


class CommentSerializer(serializers.Serializer[Any]):
    """The body of what takes no more than a comment."""

    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)


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
        "hidden": _hidden(request, caller, policy),
        "reason": request.reason if shown else None,
        "requester": {
            "iss": request.requester_iss,
            "sub": request.requester_sub,
            "kind": request.requester_kind,
            "display": request.requester_display,
            "person": request.requester_person or None,
        },
        "rule": request.rule,
        "require": request.quorum.document(),
        "escalate": [
            {"at": request.created_at + timedelta(seconds=step.after), "add_groups": step.groups}
            for step in request.timetable.escalations[request.escalated :]
        ],
        "votes": [
            {
                "by": vote.key,
                "on_behalf_of": vote.on_behalf_of or None,
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
        "revoked": {"display": request.ended_by, "comment": request.ended_comment, "at": request.ended_at}
        if request.status == Status.REVOKED
        else None,
        "approved_through": request.source if request.execute_by else None,
        "break_glass": review_document(request.review, shown=shown) if request.source == BROKEN else None,
        "call_id": request.call_id,
        "url": f"{public_url}/approvals/{request.pk}/",
        "version": request.version,
        "executed": request.executed,
        "grant": request.grant_id,
    }
    return dict(ApprovalSerializer(document).data)


def _hidden(request: ApprovalRequest, caller: Caller, policy: Policy) -> list[dict[str, str]]:
    places = places_for(request, caller, policy, database_now(), via="api") if request.terms.get("reveal_to") else []
    return [{"place": one.id, "name": one.name} for one in places]


def review_document(review: Review, *, shown: bool) -> dict[str, Any]:
    """Return a break-glass and its review; what people wrote is there for who may see what the call carries."""
    closed = {
        "by": f"{review.closed_iss}|{review.closed_sub}",
        "display": review.closed_by,
        "comment": review.comment if shown else None,
        "at": review.closed_at,
    }
    document = {
        "approval": review.pk,
        "by": f"{review.iss}|{review.sub}",
        "display": review.display,
        "reason": review.reason if shown else None,
        "via": review.via,
        "at": review.opened_at,
        "closed": None if review.is_open else closed,
    }
    return dict(ReviewSerializer(document).data)


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
