"""The admin's pages about masking: what governs and what it hid, and a text on which it is tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.config.loader import ConfigError
from approvals.database import database_now
from approvals.masks.counting import behind
from approvals.masks.form import MaskForm
from approvals.masks.overview import DAYS, figures, rule_lines, seen_lines
from approvals.masks.trying import Found, try_masking
from approvals.runtime import runtime
from masking.engine import MaskingFailed

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """Show the rules and detectors in force, what they hid by day, and who saw what. No value is ever shown."""
    config = runtime().policies.reload().policy.config
    now = database_now()
    context = admin.site.each_context(request) | {
        "title": "Masking",
        "rules": rule_lines(config),
        "detectors": config.detectors,
        "hide": config.channels.hide,
        "figures": figures(now),
        "seen": seen_lines(now),
        "behind": behind(),
        "window": DAYS,
    }
    return render(request, "admin/approvals/masking.html", context)


def try_text(request: HttpRequest) -> HttpResponse:
    """Show the form, and what masking makes of the text in it. Nothing is stored."""
    form = MaskForm(request.POST or None)
    found, problems = None, []
    if request.method == "POST" and form.is_valid():
        try:
            found = _found(form.cleaned_data)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
        except MaskingFailed:
            form.add_error("text", "This cannot be masked: it is nested too deeply. An answer like it is withheld.")
    context = admin.site.each_context(request) | {
        "title": "Try masking",
        "form": form,
        "found": found,
        "problems": problems,
    }
    failed = bool(problems or form.errors)
    return render(request, "admin/approvals/mask_try.html", context, status=400 if failed else 200)


def _found(asked: dict[str, Any]) -> Found:
    return try_masking(
        asked["text"],
        drafts=asked["judged_by"] == "drafts",
        connection=asked["connection"],
        groups=asked["groups"],
        view=asked["view"],
        detector=asked.get("detector"),
    )
