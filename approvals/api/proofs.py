"""Proofs of the log over the API, for auditors and admins: in the formats of C2SP, so that others' tools check them."""

from __future__ import annotations

import base64
from typing import cast

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.runtime import runtime
from approvals.searching import reads_all
from approvals.verdicts import Caller
from sessions import proving

TEXT = "text/plain; charset=utf-8"


class Checkpoint(APIView):
    """The newest signed checkpoint."""

    @extend_schema(responses={200: OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponse:
        """Return it as a C2SP checkpoint; 404 while nothing is signed."""
        _require_reader(request)
        try:
            return HttpResponse(proving.newest(), content_type=TEXT)
        except proving.NotProvable as error:
            raise NotFound(str(error)) from error


class EntryProof(APIView):
    """The proof that an entry is in the log."""

    @extend_schema(responses={200: OpenApiTypes.STR})
    def get(self, request: Request, leaf_hash: str) -> HttpResponse:
        """Return a C2SP tlog-proof; 404 for a hash of no entry, and while the entry waits for its place."""
        _require_reader(request)
        try:
            return HttpResponse(proving.entry(bytes.fromhex(leaf_hash)), content_type=TEXT)
        except (proving.NotProvable, ValueError) as error:
            raise NotFound("No entry under a checkpoint has this hash.") from error


class Consistency(APIView):
    """The proof that the log goes on from a tree that somebody knows."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, old: int) -> Response:
        """Return hashes (RFC 6962 §2.1.2, base64) from a tree of `old` entries to the newest checkpoint."""
        _require_reader(request)
        try:
            proof = proving.consistency(old)
        except proving.NotProvable as error:
            raise ValidationError({"old": [str(error)]}) from error
        hashes = [base64.b64encode(one).decode() for one in proof.hashes]
        return Response({"old": proof.old, "new": proof.new, "proof": hashes, "checkpoint": proof.note})


def _require_reader(request: Request) -> None:
    """Raise NotFound for those who may not read the record of others: each proof costs a look at the whole log."""
    if not reads_all(cast("Caller", request.auth), runtime().policies.current.policy):
        raise NotFound
