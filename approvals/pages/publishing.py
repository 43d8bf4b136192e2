"""The admin's pages that bring a configuration into force: the drafts, or an older revision once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals.config.document import diff, parse_document
from approvals.config.loader import ConfigError
from approvals.config.schema import Config
from approvals.drafts import config_from_drafts, replace_drafts
from approvals.four_eyes import SecondPersonNeeded, guard, propose
from approvals.models import Person, PolicyRevision
from approvals.proposals import Proposal
from approvals.publication import RevisionConflict, publish
from approvals.revision_diff import differences
from approvals.rules.lint import lint
from approvals.rules.loosening import loosenings
from approvals.runtime import runtime
from approvals.stdio_commands import require_same
from sessions.journal import RecordUnavailable, RecordUncertain

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Intended:
    """What a page would bring into force. `read` changes nothing; `prepare` runs in the transaction that publishes."""

    title: str
    read: Callable[[], Config]
    prepare: Callable[[], Config]
    reverts: int | None = None


@require_http_methods(["GET", "POST"])
def publish_drafts(request: HttpRequest) -> HttpResponse:
    """Show what the drafts would change, and bring them into force."""
    # The drafts are read again inside the transaction that publishes them.
    return _page(request, Intended("Publish the drafts", config_from_drafts, config_from_drafts))


@require_http_methods(["GET", "POST"])
def revert(request: HttpRequest, number: int) -> HttpResponse:
    """Show what going back to an older revision would change, and publish it once more, as a new revision."""
    row = PolicyRevision.objects.filter(number=number).first()
    if row is None:
        raise Http404

    def read() -> Config:
        return parse_document(row.document)

    def prepare() -> Config:
        config = read()
        replace_drafts(config)
        return config

    return _page(request, Intended(f"Go back to revision {number}", read, prepare, reverts=number))


def _page(request: HttpRequest, intended: Intended) -> HttpResponse:
    current = runtime().policies.reload().policy
    found: dict[str, Any] = {"problems": []}
    needs_second = False
    try:
        wanted = intended.read()
        found |= {
            "differences": differences(diff(current.config, wanted)),
            "strange": lint(wanted),
            "looser": loosenings(current.config, wanted),
        }
        require_same(current.config, wanted)
        guard(current.config, wanted)
    except SecondPersonNeeded:
        needs_second = True
    except ConfigError as error:
        found["problems"] = [str(problem) for problem in error.problems]
    if request.method == "POST" and not found["problems"]:
        return _publish(request, intended)
    context = admin.site.each_context(request) | {
        "title": intended.title,
        "revision": current.revision,
        "reverts": intended.reverts,
        "proposals": Proposal.objects.filter(status=Proposal.Status.WAITING),
        "needs_second": needs_second,
        **found,
    }
    return render(request, "admin/approvals/publish.html", context, status=400 if found["problems"] else 200)


def _publish(request: HttpRequest, intended: Intended) -> HttpResponse:
    house, shown = runtime(), request.POST.get("revision", "")
    author = request.user.key if isinstance(request.user, Person) else ""
    again = redirect(request.path)
    try:
        published = publish(
            house.journal,
            house.policies,
            intended.prepare,
            author=author,
            expected=int(shown) if shown.isdecimal() else -1,
            facts={} if intended.reverts is None else {"reverts": intended.reverts},
            guard=guard,
        )
    except SecondPersonNeeded:
        return _propose(request, intended, author)
    except RevisionConflict:
        messages.error(request, "Somebody else published in the meantime. Look at the differences again.")
        return again
    except RecordUncertain:
        messages.warning(request, "It is not known yet whether it was published. Look at the revision in force.")
        return again
    except (ConfigError, RecordUnavailable) as error:
        messages.error(request, f"Nothing was published. {error}")
        return again
    messages.success(request, f"Revision {published.revision} is in force, for the very next call.")
    return redirect("admin:approvals_configitem_changelist")


def _propose(request: HttpRequest, intended: Intended, author: str) -> HttpResponse:
    shown = request.POST.get("revision", "")
    try:
        made = propose(
            runtime(),
            intended.read,
            author=author,
            display=str(request.user),
            expected=int(shown) if shown.isdecimal() else -1,
            reverts=intended.reverts,
            replaces_drafts=intended.reverts is not None,
        )
    except RevisionConflict:
        messages.error(request, "Somebody else published in the meantime. Look at the differences again.")
        return redirect(request.path)
    except RecordUncertain:
        messages.warning(request, "It is not known yet whether it was proposed. Look again.")
        return redirect(request.path)
    except (ConfigError, RecordUnavailable) as error:
        messages.error(request, f"Nothing was proposed. {error}")
        return redirect(request.path)
    messages.success(request, "It waits for a second admin. Nothing changes before somebody else has confirmed it.")
    return redirect("admin:approvals_proposal", made.pk)
