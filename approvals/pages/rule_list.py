"""The admin's list of all rules: what each does, whose it is, how it stands to its draft, and how often it spoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic import ValidationError

from approvals.config.packs import NAMES, pack
from approvals.config.rules import Rule
from approvals.database import database_now
from approvals.models import ConfigItem
from approvals.rule_hits import rule_hits
from approvals.runtime import runtime

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

    from approvals.rule_hits import Hits

_ACTIONS = ("deny", "hold", "allow")


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as the list shows it. `hits` is None where nobody counts: it is not in force."""

    name: str
    action: str
    mode: str
    owner: str
    state: str
    item: int | None
    hits: int | None
    last: datetime | None


@require_GET
def rules(request: HttpRequest) -> HttpResponse:
    """Show all rules, own ones and those of packs, the strictest action first."""
    config = runtime().policies.reload().policy.config
    hits = rule_hits(database_now())
    in_force = {rule.name: rule for rule in config.rules}
    items = list(ConfigItem.objects.filter(kind=ConfigItem.Kind.RULE))
    drafted = {item.name for item in items}
    lines = [_line(item, in_force.get(item.name), hits) for item in items]
    # Published by a program that knows no drafts, or before there were any.
    lines += [_shown(rule, "", "in force, without a draft", hits) for rule in config.rules if rule.name not in drafted]
    lines += _of_packs(config.packs, in_force, hits)
    context = admin.site.each_context(request) | {
        "title": "Rules",
        "lines": sorted(lines, key=lambda line: (_ACTIONS.index(line.action), line.name)),
        "hits": hits,
    }
    return render(request, "admin/approvals/rules.html", context)


def _line(item: ConfigItem, current: Rule | None, hits: Hits) -> Line:
    draft = _read(item.body)
    state = "the draft is not valid" if draft is None else _state(item, draft, current)
    shown = current or draft
    if shown is None:
        return Line(item.name, _ACTIONS[0], "", item.get_owner_display(), state, item.pk, None, None)
    return _shown(shown, item.get_owner_display(), state, hits, item=item.pk, is_in_force=current is not None)


def _read(body: Any) -> Rule | None:
    try:
        return Rule.model_validate(body)
    except ValidationError:
        return None


def _state(item: ConfigItem, draft: Rule, current: Rule | None) -> str:
    if current is None:
        return "a draft, not in force" if item.enabled else "off"
    if not item.enabled:
        return "in force, removed in the drafts"
    return "in force" if draft == current else "in force, changed in the drafts"


def _of_packs(packs: tuple[str, ...], in_force: dict[str, Rule], hits: Hits) -> list[Line]:
    lines = []
    for name in NAMES:
        for rule in pack(name).rules:
            mine = in_force.get(rule.name)
            if name in packs and mine is None:
                lines.append(_shown(rule, f"the pack {name}", "in force", hits))
            elif mine is not None and mine.overrides == name:
                lines.append(_shown(rule, f"the pack {name}", "overridden by yours", hits, is_in_force=False))
    return lines


def _shown(
    rule: Rule, owner: str, state: str, hits: Hits, *, item: int | None = None, is_in_force: bool = True
) -> Line:
    counts = hits.counts if rule.mode == "enforce" else hits.observed
    count, last = (counts[rule.name], hits.last.get(rule.name)) if is_in_force else (None, None)
    return Line(rule.name, rule.action, rule.mode, owner, state, item, count, last)
