"""The admin's page on which a call is tried: what the rules say of it and why. Nothing is forwarded or recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.shortcuts import render

from approvals.config.loader import ConfigError
from approvals.drafts import config_from_drafts
from approvals.pages.try_form import TryForm
from approvals.runtime import runtime
from approvals.tried import NO_RULE, NOT_RECORDED, Tried, Typed, has_rule, try_recorded, try_typed

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


def try_call(request: HttpRequest) -> HttpResponse:
    """Show the form, and what came of the call in it."""
    form = TryForm(request.POST or None)
    tried, problems = None, []
    if request.method == "POST" and form.is_valid():
        try:
            tried = _tried(form)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
    context = admin.site.each_context(request) | {
        "title": "Try a call",
        "form": form,
        "tried": tried,
        "problems": problems,
    }
    failed = bool(problems or form.errors)
    return render(request, "admin/approvals/try.html", context, status=400 if failed else 200)


def _tried(form: TryForm) -> Tried | None:
    """Judge the call of a valid form; None with an error at its field. Raises ConfigError."""
    asked = form.cleaned_data
    drafts = asked["judged_by"] == "drafts"
    config = config_from_drafts() if drafts else runtime().policies.reload().policy.config
    if asked["rule"] and not has_rule(config, asked["rule"]):
        form.add_error("rule", NO_RULE)
        return None
    tried = try_recorded(config, asked["recorded"]) if asked["recorded"] else try_typed(config, _typed(asked))
    if tried is None:
        form.add_error("recorded", NOT_RECORDED)
        return None
    return tried.of_rule(asked["rule"])


def _typed(asked: dict[str, Any]) -> Typed:
    return Typed(
        connection=asked["connection"],
        method=asked["method"] or "tools/call",
        name=asked["name"],
        arguments=asked["arguments"],
        who=asked["who"],
        kind=asked["kind"] or "person",
        groups=asked["groups"],
    )
