"""Why a recorded call was allowed, held or denied, and why not otherwise: rule by rule, by the policy of then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.config.document import parse_document
from approvals.config.loader import ConfigError
from approvals.models import PolicyRevision
from approvals.replay import readable, reads_all, record_read, sees_payloads
from approvals.tried import Tried, try_recorded
from approvals.views import viewer
from sessions.calls import recorded_call

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from sessions.calls import RecordedCall


@require_GET
@login_required
def why(request: HttpRequest, session_id: str, call_id: str) -> HttpResponse:
    """Show which rules were read for a call, which spoke and on what, and why the others did not.

    For auditors and admins: it shows rules, which are not told to callers; to an admin it shows no value of the call.
    """
    caller, policy = viewer(request)
    row, call = readable(session_id, caller, policy), recorded_call(call_id)
    if row is None or call is None or call.session != row.pk or not reads_all(caller, policy):
        raise Http404
    if not record_read(caller, policy, row):
        return render(request, "503.html", status=503)
    tried = _tried(call, shows_values=sees_payloads(row, caller, policy))
    return render(request, "sessions/why.html", {"session": row, "call": call, "tried": tried})


def _tried(call: RecordedCall, *, shows_values: bool) -> Tried | None:
    """Judge the call by the revision that judged it; None where that cannot be read any more."""
    row = PolicyRevision.objects.filter(number=call.revision).first()
    try:
        config = parse_document(row.document if row else None)
    except ConfigError:
        return None
    return try_recorded(config, call.call_id, shows_values=shows_values)
