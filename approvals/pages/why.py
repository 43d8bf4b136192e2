"""Why a recorded call was allowed, held or denied, and why not otherwise.

First what was kept of the verdict when it was come to; then every rule of that revision, worked out now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.decorators import login_required
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.pages.requests import viewer
from approvals.replay import readable, record_read, sees_payloads
from approvals.rules import judged
from approvals.searching import reads_all
from approvals.tracing_calls import config_of
from approvals.tried import Tried, try_recorded
from sessions.calls import recorded_call

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from approvals.config.schema import Config
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
    config, shows_values = config_of(call.revision), sees_payloads(row, caller, policy)
    tried = None if config is None else try_recorded(config, call.call_id, shows_values=shows_values)
    kept, then = judged.read(call.judged), _then(call, config, tried, shows_values=shows_values)
    return render(
        request, "sessions/why.html", {"session": row, "call": call, "tried": tried, "kept": kept, "then": then}
    )


def _then(call: RecordedCall, config: Config | None, tried: Tried | None, *, shows_values: bool) -> list[judged.Told]:
    rules = {} if config is None else {rule.name: rule for rule in config.in_force.rules}
    arguments = tried.call.arguments if tried is not None and tried.call is not None else None
    return judged.told_of(judged.read(call.judged), rules, arguments, with_places=shows_values)
