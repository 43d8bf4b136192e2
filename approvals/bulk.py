"""Several requests at once: denied with one comment, or approved where they are one and the same call.

The page before it lists every item. Each is decided by itself, in its own transaction, and has its own result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.request import QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from approvals import services
from approvals.database import database_now
from approvals.pages.requests import told, viewer
from approvals.pages.sheet import Sheet
from approvals.runtime import runtime
from approvals.second_factor import SignIn
from approvals.selectors import visible_to
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.policy import Policy
    from approvals.verdicts import Caller

MOST = {"approve": 20, "deny": 100}


@dataclass(frozen=True, slots=True)
class Item:
    """One request of the bulk; `result` is how it looks and what came of it, once it was decided."""

    sheet: Sheet
    result: tuple[str, str] = ("", "")


@require_http_methods(["GET", "POST"])
@login_required
def bulk(request: HttpRequest) -> HttpResponse:
    """List every chosen request with one box for a comment; on POST decide each, and say what came of each."""
    caller, policy = viewer(request)
    given = request.POST if request.method == "POST" else request.GET
    decision = given.get("decision", "")
    sheets = _signed_in(request, _chosen(given, caller, policy))
    if decision not in MOST or not sheets:
        return redirect("inbox")
    comment = given.get("comment", "") if request.method == "POST" else ""
    problem = _why_not_together(decision, sheets, len(given.getlist("id")))
    if request.method == "POST" and not problem:
        problem = _comment_missing(decision, comment, sheets)
    context: dict[str, Any] = {"decision": decision, "problem": problem, "comment": comment, "is_done": False}
    items = [Item(sheet) for sheet in sheets]
    if request.method == "POST" and not problem:
        items = [_decided(sheet, decision, comment, given) for sheet in sheets]
        context["is_done"] = True
    status = 400 if problem and request.method == "POST" else 200
    return render(request, "approvals/bulk.html", context | {"items": items, "first": sheets[0]}, status=status)


def _chosen(given: QueryDict, caller: Caller, policy: Policy) -> list[Sheet]:
    """Return the chosen requests that the viewer may see, expiring first."""
    ids = given.getlist("id")[: max(MOST.values())]
    rows = visible_to(caller, policy).filter(pk__in=ids).prefetch_related("votes").order_by("expires_at", "pk")
    now = database_now()
    return [Sheet(row, caller, policy, now) for row in rows]


def _signed_in(request: HttpRequest, sheets: list[Sheet]) -> list[Sheet]:
    """Tell each how the viewer signed in, for rules that ask for a second factor."""
    for sheet in sheets:
        sheet.sign_in = SignIn.kept(request.session)
    return sheets


def _why_not_together(decision: str, sheets: Sequence[Sheet], asked_for: int) -> str:
    """Return why these cannot be decided at once; empty when they can."""
    if asked_for > MOST[decision]:
        return f"At most {MOST[decision]} requests can be decided at once."
    if decision == "deny":
        return ""
    calls = {(sheet.request.call_digest, sheet.request.rule_fingerprint) for sheet in sheets}
    if len(calls) > 1:
        return "Only identical calls can be approved together: one tool, rule, caller and the same arguments."
    if sheets[0].request.terms["mfa"] == "required":
        return "This rule wants a fresh second factor for each decision; open the requests one by one."
    return ""


def _comment_missing(decision: str, comment: str, sheets: Sequence[Sheet]) -> str:
    rules = {sheet.request.terms["comment"] for sheet in sheets if sheet.is_decidable}
    wanted = "required" in rules or (decision == "deny" and "required_on_deny" in rules)
    return "Say why in a comment; the rule asks for one." if wanted and not comment.strip() else ""


def _decided(sheet: Sheet, decision: str, comment: str, given: QueryDict) -> Item:
    """Decide one, as its own form would."""
    if not sheet.is_decidable:
        return Item(sheet, ("", sheet.why_not or f"It was no longer open: {sheet.label.lower()}."))
    version = given.get(f"version-{sheet.request.pk}", "")
    try:
        outcome = services.decide(
            runtime(),
            approval_id=sheet.request.pk,
            approver=sheet.caller,
            decision=cast("Literal['approve', 'deny']", decision),
            comment=comment,
            via="dashboard",
            version=int(version) if version.isascii() and version.isdigit() else 0,
            view=given.get(f"view-{sheet.request.pk}", ""),
            sign_in=sheet.sign_in,
        )
    except RecordUnavailable as error:
        return Item(sheet, ("stop", services.unrecorded(error)))
    return Item(sheet, told(outcome, sheet))
