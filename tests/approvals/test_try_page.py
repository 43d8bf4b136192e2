"""The admin's page that tries a call: drafts or what is in force, typed or recorded, and nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from approvals.drafts import apply_text
from approvals.models import ApprovalRequest, ConfigItem
from approvals.runtime import Runtime
from sessions.events import Event, Payload
from sessions.models import Entry
from tests.held import ISS, browser, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
PAGE = "/admin/approvals/configitem/try/"
TYPED = {
    "judged_by": "drafts",
    "connection": CONNECTION,
    "method": "tools/call",
    "name": "query",
    "arguments": '{"sql": "DELETE FROM customers"}',
    "groups": "corp/engineering",
    "kind": "person",
}


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(), author="tests")
    return browser(DAVE)


def tried(client: Client, **fields: str) -> tuple[int, str]:
    answer = client.post(PAGE, {**TYPED, **fields})
    return answer.status_code, " ".join(answer.content.decode().split())


def draft(name: str, **body: Any) -> None:
    ConfigItem.objects.create(kind="rules", name=name, body={"name": name, **body})


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_try_calls(who: Any, dave: Client) -> None:
    assert browser(who).get(PAGE, follow=True).status_code == 403


def test_the_verdict_of_the_drafts_comes_with_what_matched_and_what_did_not(dave: Client) -> None:
    draft("no-customers", action="deny", match={"arguments": [{"path": "sql", "matches": "customers"}]}, message="No.")

    status, page = tried(dave)

    assert status == 200
    assert '<h2 id="verdict">Deny</h2>' in page
    assert "<mark>customers</mark>" in page
    assert "its tools do not fit: drop_table" in page
    assert '<h2 id="verdict">Hold</h2>' in tried(dave, judged_by="force")[1]
    assert "Would be asked: dba." in tried(dave, judged_by="force")[1]


def test_one_rule_is_looked_at_alone(dave: Client) -> None:
    page = tried(dave, rule="drops-need-two")[1]

    assert "<h3> drops-need-two" in page
    assert "<h3> writes-need-a-dba" not in page
    assert "There is no such rule" in tried(dave, rule="none")[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"arguments": "{"}, "This is not JSON: "),
        ({"arguments": "NaN"}, "This is not JSON: "),
        ({"arguments": "[" * 100_000}, "nested too deeply"),
        ({"connection": ""}, "Name a connection"),
        ({"name": ""}, "Name a tool"),
        ({"recorded": "no-such"}, "The record holds no call of this id"),
        ({"kind": "root"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_tried_is_told_at_its_field(fields: dict[str, str], said: str, dave: Client) -> None:
    status, page = tried(dave, **fields)

    assert status == 400
    assert said in page


def test_drafts_that_are_not_valid_together_are_told(dave: Client) -> None:
    draft("strange", action="hold", match={"tools": ["x"]})

    status, page = tried(dave)

    assert status == 400
    assert "rules.strange.approval: is required where action is hold" in page


def test_what_is_hostile_is_shown_as_text(dave: Client) -> None:
    page = tried(dave, arguments='{"sql": "<script>alert(1)</script>", "<b>": 1}', name="<i>query")[1]

    assert "<script>alert" not in page
    assert "<i>query" not in page


def test_trying_changes_nothing(dave: Client) -> None:
    before = Entry.objects.count()

    tried(dave)

    assert Entry.objects.count() == before
    assert not ApprovalRequest.objects.exists()


def record(house: Runtime, arguments: dict[str, Any]) -> None:
    caller = {"iss": ISS, "sub": "henry", "kind": "person", "groups": ["corp/engineering"]}
    request = {"method": "tools/call", "params": {"name": "query", "arguments": arguments}}
    house.journal.append_now(
        Event(kind="session.started", session="s", payloads={"caller": Payload(json.dumps(caller).encode())})
    )
    house.journal.append_now(
        Event(
            kind="call.intent",
            call_id="c-1",
            session="s",
            connection=CONNECTION,
            method="tools/call",
            tool="query",
            payloads={"request": Payload(json.dumps(request).encode())},
        )
    )


def test_a_recorded_call_is_judged_without_showing_what_it_carried(dave: Client, house: Runtime) -> None:
    draft("no-customers", action="deny", match={"arguments": [{"path": "sql", "matches": "c[a-z]+s"}]})
    record(house, {"sql": "DELETE FROM customers"})

    page = tried(dave, recorded="c-1", connection="", name="")[1]

    assert '<h2 id="verdict">Deny</h2>' in page
    assert "It was allow when it was made." in page
    assert "no-customers" in page
    assert "<mark>" not in page


def test_a_recorded_call_that_hides_what_decides_is_unknown(dave: Client, house: Runtime) -> None:
    draft("no-customers", action="deny", match={"arguments": [{"path": "sql", "matches": "4242"}]})
    record(house, {"sql": "pay by [credit_card]"})

    assert '<h2 id="verdict">Unknown</h2>' in tried(dave, recorded="c-1")[1]
