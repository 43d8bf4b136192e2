"""The configuration over the API: read it, replace it, and see its revisions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import IO, Any, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from approvals.api.listing import Listing
from approvals.api.serializers import refusal
from approvals.config.document import diff, document, dump, parse_document
from approvals.config.loader import ConfigError, load
from approvals.config.schema import Config
from approvals.database import database_now
from approvals.drafts import replace_drafts
from approvals.four_eyes import SecondPersonNeeded, guard, propose
from approvals.models import PolicyRevision
from approvals.publication import RevisionConflict, publish
from approvals.runtime import runtime
from approvals.services import remember_person
from approvals.standing import roles_of
from approvals.verdicts import Caller
from masking.detectors import DETECTORS
from sessions.journal import RecordUnavailable, RecordUncertain

MAX_DOCUMENT = 4 << 20
_ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')


class _Text(BaseParser):
    """Hands the body on as text.

    The loader of holdgate.yaml reads JSON too, and says line and key of a problem.
    """

    def parse(self, stream: IO[Any], media_type: str | None = None, context: Mapping[str, Any] | None = None) -> Any:
        """Return the body. Bytes that are not UTF-8 become characters that the loader refuses."""
        return str(stream.read(MAX_DOCUMENT + 1).decode("utf-8", "replace"))


class YamlText(_Text):
    """`application/yaml`."""

    media_type = "application/yaml"


class JsonText(_Text):
    """`application/json`."""

    media_type = "application/json"


class YamlRenderer(BaseRenderer):
    """Writes text that is YAML already; an error goes out as JSON, which is YAML too."""

    media_type = "application/yaml"
    format = "yaml"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return the bytes of the answer."""
        return (data if isinstance(data, str) else json.dumps(data, default=str)).encode()


def require_role(request: Request, *roles: str) -> Caller:
    """Return the caller if they have one of these roles. Raises PermissionDenied."""
    caller = cast("Caller", request.auth)
    if not roles_of(caller, runtime().policies.current.policy) & set(roles):
        raise PermissionDenied(f"This needs the role {' or '.join(roles)}.")
    return caller


class PolicyView(APIView):
    """The configuration in force, in the language of holdgate.yaml."""

    parser_classes = [YamlText, JsonText]
    renderer_classes = [JSONRenderer, YamlRenderer]
    content_negotiation_class = DefaultContentNegotiation

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return the configuration as JSON, or as YAML when that is accepted; the ETag is the revision."""
        require_role(request, "admin", "auditor")
        policy = runtime().policies.reload().policy
        is_yaml = isinstance(request.accepted_renderer, YamlRenderer)
        body = dump(policy.config) if is_yaml else json.loads(document(policy.config))
        return Response(body, headers={"ETag": f'"{policy.revision}"'})

    @extend_schema(
        request=OpenApiTypes.OBJECT,
        parameters=[OpenApiParameter("If-Match", OpenApiTypes.STR, OpenApiParameter.HEADER, description="the ETag")],
        responses=dict.fromkeys((200, 202, 400, 412), OpenApiTypes.OBJECT),
    )
    def put(self, request: Request) -> Response:
        """Replace the configuration; it governs the very next call."""
        caller = require_role(request, "admin")
        text = cast("str", request.data)
        if len(text) > MAX_DOCUMENT:
            return Response(refusal("too_large", f"The document is larger than {MAX_DOCUMENT} bytes."), status=413)
        try:
            config = load(text, detectors=DETECTORS)
        except ConfigError as error:
            return _wrong(error)
        expected, problem = _expected(request.headers.get("If-Match"))
        if problem is not None:
            return problem
        return _published(config, caller, expected)


def _wrong(error: ConfigError) -> Response:
    messages = [str(problem) for problem in error.problems]
    return Response(refusal("invalid_request", "; ".join(messages)) | {"messages": messages}, status=400)


def _published(config: Config, caller: Caller, expected: int | None) -> Response:
    """Bring the configuration into force, or keep it for a second admin."""
    house = runtime()
    try:
        published = publish(
            house.journal,
            house.policies,
            lambda: _drafted(config),
            author=caller.key,
            expected=expected,
            guard=guard,
        )
    except ConfigError as error:
        return _wrong(error)
    except SecondPersonNeeded:
        return _proposed(config, caller, expected)
    except RevisionConflict as conflict:
        return Response(refusal("invalid_request", str(conflict)) | {"revision": conflict.current}, status=412)
    except RecordUnavailable as error:
        unknown = isinstance(error, RecordUncertain)
        effect = "whether anything changed is not known yet, read it again." if unknown else "nothing changed."
        return Response(refusal("record_unavailable", f"The record cannot be written; {effect}"), status=503)
    changed = [str(change) for change in published.changes]
    body = {
        "revision": published.revision,
        "changed": changed,
        "loosened": [str(one) for one in published.loosened],
    }
    return Response(body, headers={"ETag": f'"{published.revision}"'})


def _proposed(config: Config, caller: Caller, expected: int | None) -> Response:
    """Keep the configuration for a second admin."""
    display, house = caller.display or caller.sub, runtime()

    def kept() -> Config:
        # Who came with a token need not have signed in; so another account of the same address is known as theirs.
        remember_person(caller, house.policies.current, database_now())
        return config

    try:
        made = propose(house, kept, author=caller.key, display=display, expected=expected, replaces_drafts=True)
    except RevisionConflict as conflict:
        return Response(refusal("invalid_request", str(conflict)) | {"revision": conflict.current}, status=412)
    except RecordUnavailable:
        return Response(refusal("record_unavailable", "The record cannot be written; nothing changed."), status=503)
    return Response({"revision": made.base, "proposal": made.pk, "status": made.status}, status=202)


def _drafted(config: Config) -> Config:
    """Make the drafts equal to the configuration, in the transaction that publishes it."""
    replace_drafts(config)
    return config


def _expected(header: str | None) -> tuple[int | None, Response | None]:
    """Read If-Match.

    The revision that the caller has read, None for any; or the answer to a header of another form.
    """
    if header is None or header.strip() == "*":
        return None, None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        return None, Response(refusal("invalid_request", 'If-Match must be a revision such as "7".'), status=400)
    return int(found[1]), None


class Revisions(APIView):
    """Every revision that was ever in force."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """List revisions, newest first.

        Number, author, time, digest, and what changed against the one before.
        """
        require_role(request, "admin", "auditor")
        listing = Listing.of(request.query_params, ())
        if listing.cursor and not listing.cursor.isdecimal():
            return Response(refusal("invalid_request", "The cursor is not one of this list."), status=400)
        rows = listing.page(PolicyRevision.objects.all())
        answer = listing.answer(rows, _revision)
        return Response(answer | {"next": str(answer["next"]) if answer["next"] is not None else None})


def _revision(row: PolicyRevision) -> dict[str, Any]:
    before = PolicyRevision.objects.filter(number=row.number - 1).first()
    changes = diff(parse_document(before.document if before else None), parse_document(row.document))
    return {
        "revision": row.number,
        "author": row.author,
        "created_at": row.created_at.isoformat(),
        "digest": row.digest,
        "diff": [
            {"kind": c.kind, "name": c.name, "action": c.action, "before": c.before, "after": c.after} for c in changes
        ],
    }
