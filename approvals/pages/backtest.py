"""The admin's page that judges recorded calls by the drafts: what would change, and what it would ask of approvers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from django.contrib import admin
from django.shortcuts import render
from django.views.decorators.http import require_GET

from approvals.config.loader import ConfigError
from approvals.database import database_now
from approvals.drafts import config_from_drafts
from approvals.pages.backtest_form import BackTestForm
from approvals.pages.plots import Plot, stacked
from approvals.pastcalls import past_calls
from approvals.policy import Policy
from approvals.rules.backtest import NIGHT, UNKNOWN, BackTest, PastCall, Report

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest, HttpResponse

MOST_CALLS = 5_000
MOST_SECONDS = 20.0
VERDICTS = ("allow", "hold", "deny", UNKNOWN)


@dataclass(frozen=True, slots=True)
class GroupHours:
    """How often a group would be asked in each hour of the day, UTC, all days together."""

    name: str
    asked: int
    a_day: float
    at_night: int
    hours: tuple[int, ...]
    plot: Plot


@dataclass(frozen=True, slots=True)
class Outcome:
    """A report as the page shows it. `is_cut`: later calls of the period were not judged."""

    report: Report
    is_cut: bool
    matrix: list[tuple[str, list[int]]]
    days: list[tuple[date, list[int]]]
    day_plot: Plot
    rules: list[tuple[str, list[int]]]
    groups: list[GroupHours]


@require_GET
def back_test(request: HttpRequest) -> HttpResponse:
    """Show the form; once it was sent, judge the first calls of the period and show what came of it."""
    form = BackTestForm(request.GET if "days" in request.GET else None)
    outcome, problems = None, []
    if form.is_bound and form.is_valid():
        try:
            outcome = _outcome(form.cleaned_data["days"], form.cleaned_data["connection"])
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
    context = admin.site.each_context(request) | {
        "title": "Back-test the drafts",
        "form": form,
        "outcome": outcome,
        "problems": problems,
        "verdicts": VERDICTS,
        "most": MOST_CALLS,
    }
    failed = bool(problems or form.errors)
    return render(request, "admin/approvals/back_test.html", context, status=400 if failed else 200)


def _outcome(days: int, connection: str) -> Outcome:
    config = config_from_drafts()
    until = database_now()
    since = until - timedelta(days=days)
    # One more than is judged, so that a cut is known for one.
    calls = past_calls(config, since, until, connection=connection, limit=MOST_CALLS + 1)
    test, meter = BackTest(Policy.compile(config)), Meter(MOST_CALLS, MOST_SECONDS)
    return shown(test.run(meter.through(calls)), since, until, is_cut=meter.is_cut)


class Meter:
    """Lets so many calls through, and for so many seconds; `is_cut` tells whether there were more."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._left = calls
        self._seconds = seconds
        self.is_cut = False

    def through(self, calls: Iterable[PastCall]) -> Iterator[PastCall]:
        """Yield calls as long as there is room."""
        end = time.monotonic() + self._seconds
        for call in calls:
            if not self._left or time.monotonic() > end:
                self.is_cut = True
                return
            self._left -= 1
            yield call


def shown(report: Report, since: datetime, until: datetime, *, is_cut: bool) -> Outcome:
    """Lay a report out: rows of counts in the order of VERDICTS, and plots."""
    last = report.last if is_cut and report.last else until
    span = [since.date() + timedelta(days=number) for number in range((last.date() - since.date()).days + 1)]
    days = [(day, _counts(report.days.get(day.isoformat(), Counter()))) for day in span]
    return Outcome(
        report=report,
        is_cut=is_cut,
        matrix=_matrix(report),
        days=days,
        day_plot=stacked([list(zip(VERDICTS, counts, strict=True)) for _, counts in days]),
        rules=[(name, [*_counts(counts), counts["would"]]) for name, counts in sorted(report.rules.items())],
        groups=[_hours(name, hours, len(span)) for name, hours in sorted(report.load.items())],
    )


def _matrix(report: Report) -> list[tuple[str, list[int]]]:
    return [
        (was, [report.changes[was, now] for now in VERDICTS])
        for was in VERDICTS
        if any(report.changes[was, now] for now in VERDICTS)
    ]


def _counts(counts: Counter[str]) -> list[int]:
    return [counts[verdict] for verdict in VERDICTS]


def _hours(name: str, counts: Counter[int], days: int) -> GroupHours:
    hours = tuple(counts[hour] for hour in range(24))
    return GroupHours(
        name=name,
        asked=sum(hours),
        a_day=sum(hours) / days,
        at_night=sum(hours[hour] for hour in NIGHT),
        hours=hours,
        plot=stacked([[("night" if hour in NIGHT else "day", count)] for hour, count in enumerate(hours)]),
    )
