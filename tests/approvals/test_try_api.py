"""One call tried over the API: by what is in force, drafts, or a configuration that comes along; nothing changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from django.test import Client

from approvals.drafts import apply_text
from approvals.models import ApprovalRequest, ConfigItem
from approvals.runtime import Runtime
from sessions.events import Event, Payload
from sessions.models import Entry
from tests.held import ISS, browser, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
TRY = "/api/v1/policy/try/"
CALL = {
    "connection": CONNECTION,
    "name": "query",
    "arguments": {"sql": "DELETE FROM customers"},
    "groups": ["corp/engineering"],
}
DENY = {
    "name": "no-customers",
    "action": "deny",
    "match": {"arguments": [{"path": "sql", "matches": "customers"}]},
    "message": "No.",
}


@pytest.fixture
def dave(house: Runtime) -> Client:
    apply_text(house, policy_text(), author="tests")
    return browser(DAVE)


def tried(client: Client, **fields: Any) -> Any:
    answer = client.post(TRY, json.dumps({**CALL, **fields}), content_type="application/json")
    return answer.json() | {"http": answer.status_code}


def rule(found: Any, name: str) -> Any:
    return next(one for one in found["rules"] if one["rule"] == name)


@pytest.mark.parametrize("who", [ALICE, GRACE])
def test_only_admins_try_calls(who: Any, dave: Client) -> None:
    refused = tried(browser(who))
    assert (refused["http"], refused["reason"]) == (403, "forbidden")


def test_what_is_in_force_the_drafts_and_a_configuration_that_comes_along_are_asked(dave: Client) -> None:
    ConfigItem.objects.create(kind="rules", name="no-customers", body=DENY)
    document = yaml.safe_load(policy_text(rules=[{**DENY, "mode": "observe"}]))

    force, drafts = tried(dave), tried(dave, judged_by="drafts")
    brought = tried(dave, judged_by="configuration", configuration=document)

    assert (force["verdict"], force["approvers"], force["would"]) == ("hold", ["dba"], None)
    assert force["message"].startswith("Writes to production")
    assert (drafts["verdict"], drafts["message"]) == ("deny", "No.")
    assert (brought["verdict"], brought["would"]) == ("allow", "deny")
    (finding,) = rule(drafts, "no-customers")["findings"]
    assert (finding["path"], finding["places"][0]["name"], finding["places"][0]["quoted"]) == (
        "sql",
        "sql",
        "customers",
    )
    assert rule(drafts, "drops-need-two")["missed"] == ["its tools do not fit: drop_table"]
    assert [one["rule"] for one in tried(dave, rule="drops-need-two")["rules"]] == ["drops-need-two"]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"connection": ""}, "connection"),
        ({"connection": None}, "connection"),
        ({"kind": "root"}, "kind"),
        ({"rule": "none"}, "rule"),
        ({"tool": "query"}, "tool"),
        ({"judged_by": "configuration"}, "configuration"),
        ({"configuration": {}}, "configuration"),
    ],
)
def test_what_cannot_be_tried_is_told_at_its_member(fields: dict[str, Any], key: str, dave: Client) -> None:
    refused = tried(dave, **fields)

    assert (refused["http"], refused["reason"], list(refused["errors"])) == (400, "invalid_request", [key])


def test_a_configuration_with_problems_names_them(dave: Client) -> None:
    refused = tried(dave, judged_by="configuration", configuration={"version": "1", "rules": [{"name": "a"}]})

    assert refused["http"] == 400
    assert any("rules.a" in message for message in refused["messages"])


def test_a_recorded_call_is_judged_without_telling_what_it_carried(dave: Client, house: Runtime) -> None:
    ConfigItem.objects.create(kind="rules", name="no-customers", body=DENY)
    caller = {"iss": ISS, "sub": "henry", "kind": "person", "groups": ["corp/engineering"]}
    request = {"method": "tools/call", "params": {"name": "query", "arguments": CALL["arguments"]}}
    house.journal.append_now(
        Event(kind="session.started", session="s", payloads={"caller": Payload(json.dumps(caller).encode())})
    )
    payloads = {"request": Payload(json.dumps(request).encode())}
    made = Event(
        kind="call.intent",
        call_id="c-1",
        session="s",
        connection=CONNECTION,
        method="tools/call",
        tool="query",
        payloads=payloads,
    )
    house.journal.append_now(made)
    before = Entry.objects.count()

    found = tried(dave, judged_by="drafts", recorded="c-1")

    assert (found["http"], found["verdict"], found["was"]) == (200, "deny", "allow")
    assert rule(found, "no-customers")["findings"][0]["places"] == []
    assert "DELETE" not in json.dumps(found)
    assert tried(dave, recorded="no-such")["http"] == 404
    assert Entry.objects.count() == before
    assert not ApprovalRequest.objects.exists()
