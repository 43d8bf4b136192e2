"""The admin's page of a publication that waits for a second admin: what it changes, confirm, withdraw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals.config.document import diff, parse_document
from approvals.config.loader import ConfigError
from approvals.four_eyes import NotYours, confirm, why_not, withdraw
from approvals.models import Person
from approvals.proposals import Proposal
from approvals.publication import RevisionConflict
from approvals.revision_diff import differences
from approvals.rules.lint import lint
from approvals.rules.loosening import loosenings
from approvals.runtime import runtime
from approvals.standing import caller_of
from sessions.journal import RecordUnavailable, RecordUncertain

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from approvals.config.schema import Config
    from approvals.verdicts import Caller


@require_http_methods(["GET", "POST"])
def proposal(request: HttpRequest, proposal_id: str) -> HttpResponse:
    """Show what a proposal changes; let another admin confirm it, and any withdraw it."""
    row = Proposal.objects.filter(pk=proposal_id).first()
    if row is None or not isinstance(request.user, Person):
        raise Http404
    policy = runtime().policies.reload().policy
    admin_here = caller_of(request.user, policy)
    if request.method == "POST":
        return _decide(request, row, admin_here)
    context = admin.site.each_context(request) | {
        "title": "A publication that waits for a second admin",
        "proposal": row,
        "is_stale": row.base != policy.revision,
        "bar": why_not(row, admin_here, policy),
        **changes(policy.config, row),
    }
    return render(request, "admin/approvals/proposal.html", context)


def changes(current: Config, row: Proposal) -> dict[str, Any]:
    """Return what a proposal would change now, for the page."""
    try:
        wanted = parse_document(row.document)
    except ConfigError as error:
        return {"problems": [str(problem) for problem in error.problems]}
    return {
        "differences": differences(diff(current, wanted)),
        "looser": loosenings(current, wanted),
        "strange": lint(wanted),
    }


def _decide(request: HttpRequest, row: Proposal, person: Caller) -> HttpResponse:
    try:
        if request.POST.get("do") == "confirm":
            published = confirm(runtime(), row, person)
            messages.success(request, f"Revision {published.revision} is in force, for the very next call.")
        else:
            withdraw(runtime(), row, person)
            messages.success(request, "It is withdrawn. Nothing was published.")
    except RevisionConflict:
        messages.error(request, "The policy moved since this was proposed. Withdraw it, and propose it anew.")
        return redirect(request.path)
    except RecordUncertain:
        messages.warning(request, "It is not known yet whether anything was changed. Look again.")
        return redirect(request.path)
    except (NotYours, ConfigError, RecordUnavailable) as error:
        messages.error(request, f"Nothing was changed. {error}")
        return redirect(request.path)
    return redirect("admin:approvals_configitem_changelist")
