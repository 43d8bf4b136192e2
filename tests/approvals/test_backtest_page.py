"""The admin's back-test: recorded calls judged by the drafts, counted, and none of them shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from approvals.drafts import apply_text
from approvals.models import ConfigItem, PolicyRevision
from approvals.pages.backtest import VERDICTS, Meter, shown
from approvals.rules.backtest import UNKNOWN, PastCall, Report
from approvals.runtime import Runtime
from sessions.events import Event, Payload
from tests.held import ISS, browser, caller, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
PAGE = "/admin/approvals/configitem/back-test/"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(), author="tests")
    return browser(DAVE)


def page(client: Client, query: str = "?days=7") -> str:
    return " ".join(client.get(PAGE + query).content.decode().split())


def record(house: Runtime, *texts: str, kind: str = "call.intent") -> None:
    said = {"iss": ISS, "sub": "henry", "kind": "person", "groups": ["corp/engineering"]}
    house.journal.append_now(
        Event(kind="session.started", session="s", payloads={"caller": Payload(json.dumps(said).encode())})
    )
    for number, text in enumerate(texts):
        params = {"name": "query", "arguments": {"sql": text}}
        request = Payload(json.dumps({"method": "tools/call", "params": params}).encode())
        house.journal.append_now(
            Event(
                kind=kind,
                call_id=f"c-{number}",
                session="s",
                connection=CONNECTION,
                method="tools/call",
                tool="query",
                payloads={"request": request},
            )
        )


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_judge_recorded_calls(who: Any, dave: Client) -> None:
    assert browser(who).get(PAGE, follow=True).status_code == 403


def test_recorded_calls_are_counted_by_the_verdict_of_the_drafts(dave: Client, house: Runtime) -> None:
    body = {"name": "no-ssn", "action": "deny", "match": {"arguments": [{"path": "sql", "matches": "[0-9]{9}"}]}}
    ConfigItem.objects.create(kind="rules", name="no-ssn", body=body)
    record(house, "select 123456789 from staff", "delete from secret_table", "pay [credit_card]")
    revisions = PolicyRevision.objects.count()

    found = page(dave)

    assert "3 calls from" in found
    assert '<th scope="row">allow</th> <td>0</td><td>1</td><td>1</td><td>1</td>' in found
    assert '<th scope="row">no-ssn</th> <td>0</td> <td>0</td> <td>1</td>' in found
    assert "<h3>dba</h3> <p> 1 time, 0.1 a day" in found
    assert "<svg" in found
    assert "secret_table" not in found
    assert PolicyRevision.objects.count() == revisions


def test_nothing_is_judged_before_it_is_asked_for(dave: Client, house: Runtime) -> None:
    record(house, "select 1")

    assert "Then and now" not in page(dave, "")


def test_an_empty_record_says_so(dave: Client) -> None:
    assert "No calls were recorded in this time." in page(dave)


@pytest.mark.parametrize("days", ["0", "91", "x", "", "1e9", "9" * 5000])
def test_a_time_that_is_none_is_told_at_its_field(days: str, dave: Client) -> None:
    answer = dave.get(PAGE, {"days": days})

    assert answer.status_code == 400
    assert "errorlist" in answer.content.decode()


def test_drafts_that_are_not_valid_judge_nothing(dave: Client) -> None:
    ConfigItem.objects.create(
        kind="rules", name="odd", body={"name": "odd", "action": "hold", "match": {"tools": ["x"]}}
    )

    assert "rules.odd.approval: is required where action is hold" in page(dave)


def past(at: datetime) -> PastCall:
    return PastCall(
        caller=caller(), connection=CONNECTION, method="tools/call", name="query", arguments={}, at=at, was="allow"
    )


def test_a_test_that_is_too_large_is_cut_and_says_so() -> None:
    calls = [past(NOON + timedelta(hours=number)) for number in range(3)]
    exact, few, late = Meter(3, 60.0), Meter(2, 60.0), Meter(3, -1.0)

    assert (list(exact.through(calls)), exact.is_cut) == (calls, False)
    assert (list(few.through(calls)), few.is_cut) == (calls[:2], True)
    assert (list(late.through(calls)), late.is_cut) == ([], True)


def test_days_without_calls_are_days_too_and_a_cut_ends_them() -> None:
    report = Report(calls=1, first=NOON, last=NOON)
    report.days["2026-11-20"] = report.verdicts + type(report.verdicts)({UNKNOWN: 2})
    since, until = NOON - timedelta(days=2), NOON + timedelta(days=2)

    whole, cut = shown(report, since, until, is_cut=False), shown(report, since, until, is_cut=True)

    assert [counts[VERDICTS.index(UNKNOWN)] for _, counts in whole.days] == [0, 0, 2, 0, 0]
    assert [day.isoformat() for day, _ in cut.days] == ["2026-11-18", "2026-11-19", "2026-11-20"]
