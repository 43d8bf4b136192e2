"""Publications that wait for a second admin, over the API: list, read, confirm, withdraw."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.listing import Listing
from approvals.api.policy import require_role
from approvals.api.requests import unavailable
from approvals.api.serializers import RefusalSerializer, refusal
from approvals.config.document import diff, parse_document
from approvals.config.loader import ConfigError
from approvals.config.schema import Config
from approvals.four_eyes import NotYours, confirm, why_not, withdraw
from approvals.policy import Policy
from approvals.proposals import Proposal
from approvals.publication import RevisionConflict
from approvals.rules.lint import lint
from approvals.rules.loosening import loosenings
from approvals.runtime import runtime
from approvals.verdicts import Caller
from sessions.journal import RecordUnavailable

STALE = "The policy moved since this was proposed. Withdraw it, and propose it anew."
_LISTED = [
    OpenApiParameter("status", OpenApiTypes.STR, description="one of the statuses"),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before"),
]


class ProposalSerializer(serializers.Serializer[Any]):
    """One proposal. `author` and `ended_by` are `iss|sub`; `base` is the revision on top of which it was made."""

    id = serializers.CharField()
    status = serializers.ChoiceField(Proposal.Status.values)
    base = serializers.IntegerField()
    reverts = serializers.IntegerField(allow_null=True)
    author = serializers.CharField()
    display = serializers.CharField()
    proposed_at = serializers.DateTimeField()
    ended_by = serializers.CharField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    is_stale = serializers.BooleanField()


class ProposalsSerializer(serializers.Serializer[Any]):
    """A page of proposals; `next` is the value for `?cursor=`, null at the end."""

    next = serializers.CharField(allow_null=True)
    results = ProposalSerializer(many=True)


class ChangeSerializer(serializers.Serializer[Any]):
    """One difference to what is in force."""

    kind = serializers.CharField()
    name = serializers.CharField()
    action = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class WholeProposalSerializer(ProposalSerializer):
    """One proposal, with what it would change now. `bar` says why the caller may not confirm it; empty: they may."""

    bar = serializers.CharField()
    diff = ChangeSerializer(many=True)
    loosens = serializers.ListField(child=serializers.CharField())
    findings = serializers.ListField(child=serializers.CharField(), help_text="What `policy lint` says of it.")
    problems = serializers.ListField(child=serializers.CharField(), help_text="Why it cannot be published any more.")


class PublishedSerializer(serializers.Serializer[Any]):
    """What is in force now."""

    revision = serializers.IntegerField()
    changed = serializers.ListField(child=serializers.CharField())
    loosened = serializers.ListField(child=serializers.CharField())


class Proposals(APIView):
    """Every proposal."""

    @extend_schema(
        operation_id="proposals_list",
        parameters=_LISTED,
        responses={200: ProposalsSerializer, 400: RefusalSerializer, 403: RefusalSerializer},
    )
    def get(self, request: Request) -> Response:
        """List proposals, newest first, whatever became of them."""
        require_role(request, "admin", "auditor")
        listing = Listing.of(request.query_params, ("status",), Proposal.Status.values)
        revision = runtime().policies.reload().revision
        rows = listing.page(Proposal.objects.filter(**listing.filters))
        return Response(listing.answer(rows, lambda row: ProposalSerializer(_document(row, revision)).data))


class OneProposal(APIView):
    """One proposal with what it would change."""

    @extend_schema(responses={200: WholeProposalSerializer, 403: RefusalSerializer, 404: RefusalSerializer})
    def get(self, request: Request, proposal_id: str) -> Response:
        """Return a proposal, and its differences to what is in force now."""
        caller = require_role(request, "admin", "auditor")
        row, policy = found(proposal_id), runtime().policies.reload().policy
        whole = {
            **_document(row, policy.revision),
            "bar": _bar(row, caller, policy),
            **changes(policy.config, row.document),
        }
        return Response(WholeProposalSerializer(whole).data)


class Confirm(APIView):
    """The word of a second admin."""

    @extend_schema(
        request=None,
        responses={
            200: PublishedSerializer,
            400: RefusalSerializer,
            403: RefusalSerializer,
            404: RefusalSerializer,
            409: RefusalSerializer,
            503: RefusalSerializer,
        },
    )
    def post(self, request: Request, proposal_id: str) -> Response:
        """Bring a proposal into force; for another admin than its author. 409 when the policy moved since."""
        admin = require_role(request, "admin")
        try:
            published = confirm(runtime(), found(proposal_id), admin)
        except NotYours as error:
            return Response(refusal("forbidden", str(error)), status=403)
        except RevisionConflict as conflict:
            return Response(refusal("invalid_request", STALE) | {"revision": conflict.current}, status=409)
        except ConfigError as error:
            messages = [str(problem) for problem in error.problems]
            return Response(refusal("invalid_request", "; ".join(messages)) | {"messages": messages}, status=400)
        except RecordUnavailable as error:
            return unavailable(error)
        body = {
            "revision": published.revision,
            "changed": [str(change) for change in published.changes],
            "loosened": [str(one) for one in published.loosened],
        }
        return Response(PublishedSerializer(body).data, headers={"ETag": f'"{published.revision}"'})


class Withdraw(APIView):
    """The end of a proposal."""

    @extend_schema(
        request=None,
        responses={200: ProposalSerializer, 403: RefusalSerializer, 404: RefusalSerializer, 503: RefusalSerializer},
    )
    def post(self, request: Request, proposal_id: str) -> Response:
        """End a proposal without publishing it; every admin may."""
        admin, row = require_role(request, "admin"), found(proposal_id)
        try:
            withdraw(runtime(), row, admin)
        except NotYours as error:
            return Response(refusal("forbidden", str(error)), status=403)
        except RecordUnavailable as error:
            return unavailable(error)
        row.refresh_from_db()
        return Response(ProposalSerializer(_document(row, runtime().policies.current.revision)).data)


def found(proposal_id: str) -> Proposal:
    """Return the proposal of this id. Raises NotFound."""
    row = Proposal.objects.filter(pk=proposal_id).first()
    if row is None:
        raise NotFound
    return row


def changes(current: Config, wanted: str) -> dict[str, list[Any]]:
    """Return what a proposed document would change now, in words and as differences."""
    made: dict[str, list[Any]] = {"diff": [], "loosens": [], "findings": [], "problems": []}
    try:
        config = parse_document(wanted)
    except ConfigError as error:
        return made | {"problems": [str(problem) for problem in error.problems]}
    return made | {
        "diff": diff(current, config),
        "loosens": [str(one) for one in loosenings(current, config)],
        "findings": [f"{one.where}: {one.says}" for one in lint(config)],
    }


def _bar(row: Proposal, caller: Caller, policy: Policy) -> str:
    if row.status == Proposal.Status.WAITING and row.base != policy.revision:
        return STALE
    return why_not(row, caller, policy)


def _document(row: Proposal, revision: int) -> dict[str, Any]:
    plain = ("status", "base", "reverts", "author", "display", "proposed_at", "ended_at")
    return {
        "id": row.pk,
        **{name: getattr(row, name) for name in plain},
        "ended_by": row.ended_by or None,
        "is_stale": row.status == Proposal.Status.WAITING and row.base != revision,
    }
