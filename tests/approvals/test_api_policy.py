"""The configuration and the record over the API."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from approvals import keys
from approvals.models import ConfigItem
from approvals.runtime import Runtime
from sessions.events import Event
from tests.held import HENRY, ISS, anonymous, browser, caller, held, house, policy_text
from tests.people import ALICE, DAVE, EVE, GRACE

__all__ = ["house"]
POLICY = "/api/v1/policy/"


def put(text: str, *, who: Any = DAVE, content_type: str = "application/yaml", **headers: str) -> Any:
    return browser(who).put(POLICY, text, content_type=content_type, headers={"host": "localhost", **headers})


def renamed(name: str) -> str:
    document = yaml.safe_load(policy_text())
    document["rules"][0]["name"] = name
    return yaml.safe_dump(document)


def test_the_policy_comes_as_json_or_yaml_with_its_revision(house: Runtime) -> None:
    dave = browser(DAVE)
    as_json = dave.get(POLICY)
    as_yaml = dave.get(POLICY, headers={"accept": "application/yaml", "host": "localhost"})

    assert as_json.headers["ETag"] == as_yaml.headers["ETag"] == '"1"'
    assert as_json.json()["rules"][1]["name"] == "writes-need-a-dba"
    assert yaml.safe_load(as_yaml.content)["roles"] == {"admin": ["platform"], "auditor": ["corp/audit"]}


def test_a_new_document_is_in_force_at_once_and_changes_the_drafts_too(house: Runtime) -> None:
    answer = put(renamed("writes"))

    assert answer.status_code == 200, answer.content
    assert answer.json() == {
        "revision": 2,
        "changed": ["rule writes added", "rule writes-need-a-dba removed"],
        "loosened": ["rules.writes-need-a-dba: is removed"],
    }
    assert {rule.name for rule in house.policies.current.policy.config.rules} == {"writes", "drops-need-two"}
    assert ConfigItem.objects.filter(kind="rules", enabled=True, name="writes").exists()


def test_what_was_read_goes_back_unchanged(house: Runtime) -> None:
    text = browser(DAVE).get(POLICY).content.decode()

    assert put(text, content_type="application/json").json() == {"revision": 1, "changed": [], "loosened": []}


def test_a_document_with_problems_changes_nothing_and_names_all_of_them(house: Runtime) -> None:
    answer = put(policy_text(colour="red", roles={"admin": ["platform"], "auditor": ["corp/audit"], "king": []}))

    assert answer.status_code == 400
    assert sum("unknown key" in message for message in answer.json()["messages"]) == 2
    assert house.policies.reload().revision == 1


@pytest.mark.parametrize(("revision", "status"), [('"1"', 200), ('"7"', 412), ("seven", 400), ("*", 200)])
def test_if_match_guards_against_overwriting(revision: str, status: int, house: Runtime) -> None:
    assert put(renamed("writes"), **{"if-match": revision}).status_code == status


@pytest.mark.parametrize("who", [ALICE, GRACE, EVE])
def test_only_an_admin_changes_the_policy(who: Any, house: Runtime) -> None:
    assert put(renamed("writes"), who=who).status_code == 403


@pytest.mark.parametrize(("who", "status"), [(DAVE, 200), (GRACE, 200), (ALICE, 403), (None, 401)])
def test_admin_and_auditor_read_it(who: Any, status: int, house: Runtime) -> None:
    client = browser(who) if who else anonymous()

    assert client.get(POLICY).status_code == client.get(f"{POLICY}revisions/").status_code == status


def test_every_revision_is_listed_with_what_it_changed(house: Runtime) -> None:
    put(renamed("writes"))

    newest, first = browser(GRACE).get(f"{POLICY}revisions/").json()["results"]

    assert (newest["revision"], newest["author"], first["author"]) == (2, f"{ISS}|dave", "tests")
    assert [(change["kind"], change["name"], change["action"]) for change in newest["diff"]] == [
        ("rule", "writes", "added"),
        ("rule", "writes-need-a-dba", "removed"),
    ]


def record(house: Runtime, kind: str, call_id: str, **facts: Any) -> None:
    actor = keys.actor(caller(HENRY).key)
    event = Event(kind=kind, call_id=call_id, tool="query", actor=actor, policy_revision=1, facts=facts)
    house.journal.append_now(event)


def test_a_call_says_whether_it_was_executed(house: Runtime) -> None:
    record(house, "call.intent", "call-1")
    record(house, "call.result", "call-1", executed="true")

    found = browser(HENRY).get("/api/v1/calls/call-1/").json()

    assert (found["executed"], found["policy_revision"], found["approval"]) == ("true", 1, None)


def test_a_held_call_names_its_approval(house: Runtime) -> None:
    request = held()

    found = browser(ALICE).get(f"/api/v1/calls/{request.call_id}/").json()

    assert (found["approval"], found["executed"]) == (request.pk, "false")


@pytest.mark.parametrize(("who", "status"), [(HENRY, 200), (GRACE, 200), (EVE, 404)])
def test_a_call_of_somebody_else_is_not_there(who: Any, status: int, house: Runtime) -> None:
    record(house, "call.blocked", "call-2", reason="blocked")

    assert browser(who).get("/api/v1/calls/call-2/").status_code == status


def test_sessions_are_listed(house: Runtime) -> None:
    assert browser(GRACE).get("/api/v1/sessions/").json() == {"next": None, "results": []}
    assert browser(GRACE).get("/api/v1/sessions/?cursor=nonsense").status_code == 400


def test_the_schema_and_the_page_that_lists_the_api_are_there(house: Runtime) -> None:
    alice = browser(ALICE)

    assert b"/api/v1/approvals/{approval_id}/decide/" in alice.get("/api/schema/").content
    assert b"/api/v1/policy/revisions/" in alice.get("/api/docs/").content
