"""Why a recorded call was judged as it was: by the rules of then, for auditors with values, for admins without."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals import keys
from approvals.drafts import apply_text
from approvals.runtime import Runtime
from sessions.events import Event, Payload
from sessions.models import Entry
from tests.held import HENRY, ISS, browser, caller, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, EVE, GRACE

__all__ = ["house"]
PAGE = "/sessions/s/calls/c-1/"
WATCH = {
    "name": "no-customers",
    "action": "deny",
    "mode": "observe",
    "match": {"arguments": [{"path": "sql", "matches": "c[a-z]+s"}]},
}
JUDGED = {
    "revision": 2,
    "digest": "d1" * 32,
    "read": 23,
    "rules": [
        {"rule": "no-customers", "action": "deny", "observes": True, "met": [{"path": "sql", "at": ["sql"]}]},
        {"rule": "of-a-later-release", "action": "hold", "observes": False, "met": [{"path": "**", "at": ["deep.er"]}]},
    ],
}


@pytest.fixture
def made(house: Runtime) -> Runtime:
    """A call of Henry's that was allowed, and rules that are gone since."""
    apply_text(house, policy_text(rules=[WATCH]), author="tests")
    actor, revision = keys.actor(caller(HENRY).key), house.policies.current.revision
    who = {"iss": ISS, "sub": "henry", "kind": "person", "groups": ["corp/engineering"]}
    request = {"method": "tools/call", "params": {"name": "query", "arguments": {"sql": "DELETE FROM customers"}}}
    house.journal.append_now(
        Event(
            kind="session.started",
            session="s",
            actor=actor,
            connection=CONNECTION,
            payloads={"caller": Payload(json.dumps(who).encode())},
        )
    )
    house.journal.append_now(
        Event(
            kind="call.intent",
            call_id="c-1",
            session="s",
            actor=actor,
            connection=CONNECTION,
            method="tools/call",
            tool="query",
            policy_revision=revision,
            facts={"rules": [], "observed": ["no-customers"], "would": "deny", "rules_read": 23},
            payloads={"request": Payload(json.dumps(request).encode()), "judged": Payload(json.dumps(JUDGED).encode())},
        )
    )
    apply_text(house, policy_text(rules=[]), author="tests")
    return house


def shown(who: Any, path: str = PAGE) -> str:
    answer = browser(who).get(path)
    assert answer.status_code == 200, answer.status_code
    return " ".join(answer.content.decode().split())


def test_an_auditor_sees_which_rules_spoke_on_what(made: Runtime) -> None:
    assert f'href="{PAGE}"' in shown(GRACE, "/sessions/s/")
    page = shown(GRACE)

    assert "no-customers" in page
    assert "observes only" in page
    assert '<mark class="hit">customers</mark>' in page
    assert "would have spoken" in page
    assert "UTC · allowed" in page
    assert Entry.objects.filter(kind="record.read").count() == 2


def test_what_was_kept_when_it_was_judged_stands_beside_what_is_worked_out_now(made: Runtime) -> None:
    page = shown(GRACE)
    then, now = page.split("As it was judged then", 1)[1].split("Worked out now", 1)

    assert "23 rules read; 2 spoke" in then
    assert "d1d1d1d1d1d1" in then
    assert '· sql: <mark class="hit">DELETE FROM customers</mark>' in then
    assert "of-a-later-release" in then
    assert "deep.er" in then
    assert "of-a-later-release" not in now


def test_the_api_tells_it_to_who_reads_rules(made: Runtime) -> None:
    def told(who: Any) -> Any:
        return browser(who).get("/api/v1/calls/c-1/").json()

    kept = told(GRACE)["judged"]
    assert (kept["rules_read"], kept["rules"]) == (23, JUDGED["rules"])
    assert told(DAVE)["judged"]["rules"][0]["met"] == [{"path": "sql"}]
    assert "judged" not in told(HENRY)


def test_an_admin_sees_the_rules_and_no_value(made: Runtime) -> None:
    page = shown(DAVE)

    assert "no-customers" in page
    assert "<mark" not in page
    assert "DELETE" not in page
    assert "deep.er" not in page


@pytest.mark.parametrize("who", [ALICE, EVE, HENRY])
def test_nobody_else_sees_rules(who: Any, made: Runtime) -> None:
    assert browser(who).get(PAGE).status_code == 404
    if who is HENRY:
        assert PAGE not in shown(who, "/sessions/s/")


def test_a_call_of_another_session_is_not_there(made: Runtime) -> None:
    assert browser(GRACE).get("/sessions/s/calls/c-2/").status_code == 404
    assert browser(GRACE).get("/sessions/t/calls/c-1/").status_code == 404
