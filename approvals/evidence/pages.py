"""The evidence page: how the record stands, what it says of each promise, and bundles to take away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_POST

from approvals.database import database_now, in_database
from approvals.evidence import bundles
from approvals.evidence.coverage import Covered, Seen, covered
from approvals.pages.requests import viewer
from approvals.runtime import runtime
from approvals.services import unrecorded
from approvals.standing import roles_of
from sessions import installation
from sessions.evidence import standing
from sessions.evidence.criteria import CATEGORIES, OUT_OF_SCOPE, Mapped, mapped
from sessions.journal import RecordUnavailable
from sessions.outside import feeding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from approvals.policy import Policy
    from approvals.verdicts import Caller

DAYS: Final = 30
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything that is told of the record now."""

    now: datetime
    since: datetime
    proof: standing.Proof
    kinds: Mapping[str, int]
    promises: list[Covered]
    criteria: list[Mapped]


def stand(policy: Policy) -> Standing:
    """Return how the record stands, and what its last days hold."""
    now = database_now()
    since = now - timedelta(days=DAYS)
    proof, kinds = standing.proof(installation.anchor()), standing.counted(since)
    promises = covered(Seen(kinds, since, now, proof, policy))
    return Standing(now, since, proof, kinds, promises, list(mapped(standing.counted_tables(kinds))))


def reads(caller: Caller, policy: Policy) -> bool:
    """Say whether this person may see how the record stands: auditors, admins and operators."""
    return bool(roles_of(caller, policy) & {"auditor", "admin", "operator"})


@require_GET
@login_required
def evidence(request: HttpRequest) -> HttpResponse:
    """Show how the record stands, what its last days hold, and the bundles that were made."""
    return _page(request)


@require_POST
@login_required
def make(request: HttpRequest) -> HttpResponse:
    """Ask for the bundle of a period."""
    caller, policy = _exporter(request)
    since, until = _day(request.POST.get("since", "")), _day(request.POST.get("until", ""))
    if since is None or until is None:
        return _page(request, "Both ends of the period must be dates.", 400)
    # Who fills in the form means the last day to be in it.
    outcome = bundles.ask(
        caller, policy, since=since, until=until + timedelta(days=1), payloads="payloads" in request.POST
    )
    if isinstance(outcome, bundles.Refused):
        return _page(request, outcome.message, 400)
    messages.success(request, "The bundle is being made. You may leave this page; it will wait for you here.")
    return redirect("evidence")


@require_GET
@login_required
def download(request: HttpRequest, bundle_id: str) -> HttpResponse | StreamingHttpResponse:
    """Hand out a bundle's file; the record says who got it."""
    caller, policy = _exporter(request)
    try:
        answer = file_of(request, bundle_id, caller, policy)
    except RecordUnavailable:
        return render(request, "503.html", status=503)
    if answer is None:
        raise Http404
    return answer


@require_POST
@login_required
def delete(request: HttpRequest, bundle_id: str) -> HttpResponse:
    """Delete a bundle's file, or stop making it."""
    caller, _ = _exporter(request)
    job = bundles.listed().filter(pk=bundle_id).first()
    if job is None:
        raise Http404
    try:
        done = bundles.delete(runtime(), job, caller)
    except RecordUnavailable as error:
        return _page(request, unrecorded(error), 503)
    messages.success(request, "The file is deleted." if done else "It was over already.")
    return redirect("evidence")


def file_of(request: HttpRequest, bundle_id: str, caller: Caller, policy: Policy) -> StreamingHttpResponse | None:
    """Return the answer that carries a bundle's file; None when there is none for this person.

    Raises RecordUnavailable.
    """
    job = bundles.listed().filter(pk=bundle_id).first()
    pieces = None if job is None else bundles.handed_out(runtime(), job, caller, policy)
    if job is None or pieces is None:
        return None
    # Under ASGI a plain iterator would be read to its end first, all of it in memory.
    body = _beside_the_loop(pieces) if isinstance(request, ASGIRequest) else pieces
    return StreamingHttpResponse(
        body,
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{job.name}"',
            "Content-Length": str(job.size),
            "Cache-Control": "no-store",
        },
    )


async def _beside_the_loop(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await in_database(lambda: next(pieces, b"")):
        yield piece


def _exporter(request: HttpRequest) -> tuple[Caller, Policy]:
    caller, policy = viewer(request)
    if not bundles.may_export(caller, policy):
        raise Http404
    return caller, policy


def _day(text: str) -> datetime | None:
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return None if day is None else datetime.combine(day, time(), UTC)


def _page(request: HttpRequest, problem: str = "", status: int = 200) -> HttpResponse:
    caller, policy = viewer(request)
    if not reads(caller, policy):
        raise Http404
    stood = stand(policy)
    jobs = list(bundles.listed()[:SHOWN])
    last_month = stood.now.date().replace(day=1) - timedelta(days=1)
    context: dict[str, Any] = {
        "stood": stood,
        "proof": stood.proof,
        "gaps": [*stood.proof.gaps(stood.now), *feeding.problems(installation.places(), stood.now)],
        "kinds": sorted(stood.kinds.items()),
        "days": DAYS,
        "categories": [
            (name, [one for one in stood.criteria if one.criterion.category == name]) for name in CATEGORIES
        ],
        "out_of_scope": OUT_OF_SCOPE,
        "exports": bundles.may_export(caller, policy),
        "payloads": bundles.may_have_payloads(caller, policy),
        "jobs": jobs,
        "jobs_state": " ".join(f"{job.state}:{job.done}" for job in jobs),
        "working": any(job.state in {"wanted", "making", "made"} for job in jobs),
        "since": _given(request, "since", last_month.replace(day=1)),
        "until": _given(request, "until", last_month),
        "problem": problem,
    }
    return render(request, "approvals/evidence.html", context, status=status)


def _given(request: HttpRequest, name: str, usual: date) -> str:
    return request.POST.get(name) or f"{usual:%F}"
