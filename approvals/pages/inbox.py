"""The inbox: what waits, expiring first, then what ended, newest first. Three views of it, filters, and counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.bulk import MOST
from approvals.catalogue.pages import READERS, flagged_and_waiting
from approvals.database import database_now
from approvals.debts import reviews_for
from approvals.denials import stopped
from approvals.notices.health import broken_routes
from approvals.pages.cards import Card
from approvals.pages.filters import Choices, Filters
from approvals.pages.requests import viewer
from approvals.reachability import unreachable_quorums
from approvals.selectors import asked_by, visible_to
from approvals.standing import roles_of
from approvals.states import Status

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.models import ApprovalRequest
    from approvals.policy import Policy
    from approvals.verdicts import Caller

OPEN_SHOWN = 200
PAGE = 50
RECENT = 8
SHOWS = {"mine": "Mine to decide", "asked": "I asked", "all": "Everything"}


@dataclass(frozen=True, slots=True)
class Tab:
    """One of the three views, and how many requests wait in it."""

    key: str
    name: str
    count: int
    is_more: bool
    """Whether there are more than were counted."""


class Waiting:
    """What waits for anybody and may be seen by the viewer, expiring first."""

    def __init__(self, rows: QuerySet[ApprovalRequest], caller: Caller, policy: Policy, now: datetime) -> None:
        self._open = rows.filter(status=Status.PENDING, expires_at__gt=now)
        found = list(self._open.prefetch_related("votes").order_by("expires_at")[: OPEN_SHOWN + 1])
        self.is_more = len(found) > OPEN_SHOWN
        self.all = [Card(row, caller, policy, now) for row in found[:OPEN_SHOWN]]
        self.mine = [card for card in self.all if not card.why_not and not card.approved_already]
        self.asked = [card for card in self.all if card.may_withdraw]

    def of(self, show: str, filters: Filters) -> list[Card]:
        """Return what waits in one view, narrowed."""
        cards: list[Card] = getattr(self, show)
        if not filters.given:
            return cards
        fitting = set(filters.narrowed(self._open).values_list("pk", flat=True)[: OPEN_SHOWN + 1])
        return [card for card in cards if card.request.pk in fitting]

    @property
    def tabs(self) -> list[Tab]:
        """Return the three views with their counts."""
        return [Tab(key, name, len(getattr(self, key)), self.is_more) for key, name in SHOWS.items()]


@require_GET
@login_required
def inbox(request: HttpRequest) -> HttpResponse:
    """Show what waits for the viewer.

    `show=asked` what they asked for, `show=all` everything they may see.
    """
    caller, policy = viewer(request)
    show = request.GET.get("show", "mine")
    if show not in SHOWS:
        raise Http404
    now, filters = database_now(), Filters.of(request.GET)
    rows = visible_to(caller, policy)
    waiting = Waiting(rows, caller, policy, now)
    cards = waiting.of(show, filters)
    _mark_twins(cards)
    wanted = rows.filter(asked_by(caller, policy)) if show == "asked" else rows
    page = _ended(filters.narrowed(wanted), request.GET.get("before", ""), now)
    ended = [Card(row, caller, policy, now) for row in page[: RECENT if show == "mine" else PAGE]]
    context: dict[str, Any] = {
        "show": show,
        "tabs": waiting.tabs,
        "filters": filters,
        "choices": Choices.among(rows),
        "waiting": cards,
        "ended": ended,
        "before": ended[-1].request.pk if show != "mine" and len(page) > PAGE else "",
        "is_later_page": "before" in request.GET,
        "selected": request.GET.get("select") == "all",
        "decidable": sum(card.is_decidable for card in cards),
        "mine": len(waiting.mine),
        "others": len(waiting.all) - len(waiting.mine),
        "state": _state(show, [*cards, *ended], waiting.tabs),
    }
    reviews = reviews_for(caller, policy)
    context |= {"owed": reviews.filter(closed_at=None).count(), "was_owed": reviews.exists()}
    if roles_of(caller, policy) & {"admin", "approver", "operator"}:
        context["gaps"] = unreachable_quorums(policy)
        context["stopped"] = stopped(rows, now)
        context["broken"] = broken_routes(policy.config)
    if roles_of(caller, policy) & READERS:
        context["tools"] = flagged_and_waiting()
    return render(request, "approvals/inbox.html", context)


def _state(show: str, cards: list[Card], tabs: list[Tab]) -> str:
    """Return what changes exactly when the live list must show something else."""
    return " ".join([show, *(card.state for card in cards), *(str(tab.count) for tab in tabs)])


def _ended(rows: QuerySet[ApprovalRequest], before: str, now: datetime) -> list[ApprovalRequest]:
    """Return what waits no more, newest first, and one more than a page holds."""
    rows = rows.exclude(status=Status.PENDING, expires_at__gt=now)
    if before:
        rows = rows.filter(id__lt=before[:36])
    return list(rows.prefetch_related("votes").order_by("-id")[: PAGE + 1])


def _mark_twins(cards: list[Card]) -> None:
    """Tell the first of identical calls which others the viewer could decide together with it."""
    together: dict[tuple[str, str], list[Card]] = defaultdict(list)
    for card in cards:
        if card.is_decidable:
            together[card.request.call_digest, card.request.rule_fingerprint].append(card)
    for identical in together.values():
        if len(identical) > 1:
            identical[0].identical = identical[: MOST["approve"]]
