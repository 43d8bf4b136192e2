"""The approvals API: the statuses and shapes that a script may rely on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from approvals import services, timers
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime, runtime
from approvals.states import Status
from tests.engine import pass_time
from tests.held import (
    HENRY,
    ISS,
    RULES,
    SQL,
    anonymous,
    bearer,
    browser,
    caller,
    held,
    house,
    publish_policy,
    publish_with_keys,
)
from tests.issuer import FakeIssuer
from tests.people import AGENT, ALICE, BOB, CAROL, CI, CONNECTION, DAVE, EVE, GRACE

__all__ = ["house"]
pytestmark = pytest.mark.usefixtures("house")

LIST = "/api/v1/approvals/"


def url(request: ApprovalRequest, verb: str = "") -> str:
    return f"{LIST}{request.pk}/{verb}"


def decide(client: Client, request: ApprovalRequest, decision: str = "approve", **body: Any) -> Any:
    return client.post(url(request, "decide/"), {"decision": decision, **body}, content_type="application/json")


def test_an_approval_has_the_agreed_shape() -> None:
    request = held(reason="ticket 7")

    found = browser(ALICE).get(url(request)).json()

    assert found == {
        "id": request.pk,
        "status": "pending",
        "connection": CONNECTION,
        "method": "tools/call",
        "tool": "query",
        "arguments": {"sql": SQL, "dry_run": False},
        "hidden": [],
        "reason": "ticket 7",
        "requester": {"iss": ISS, "sub": "henry", "kind": "person", "display": "Henry Hale", "person": None},
        "rule": "writes-need-a-dba",
        "require": {"any_of": [{"groups": ["dba"], "count": 1}]},
        "escalate": [],
        "votes": [],
        "created_at": request.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": request.expires_at.isoformat().replace("+00:00", "Z"),
        "decided_at": None,
        "revoked": None,
        "approved_through": None,
        "break_glass": None,
        "call_id": request.call_id,
        "url": f"/approvals/{request.pk}/",
        "version": 1,
        "executed": "false",
        "grant": None,
    }


def test_an_approval_says_who_will_be_able_to_decide_too_and_when() -> None:
    rule = {**RULES[0], "approval": {**RULES[0]["approval"], "escalate": [{"after": "4m", "add_groups": ["security"]}]}}
    publish_policy(rules=[rule])
    request = held()

    before = browser(ALICE).get(url(request)).json()

    at = (request.created_at + timedelta(minutes=4)).isoformat().replace("+00:00", "Z")
    assert before["escalate"] == [{"at": at, "add_groups": ["security"]}]
    pass_time(request, minutes=5)
    timers.run_due(runtime())
    after = browser(CAROL).get(url(request)).json()
    assert after["escalate"] == []
    assert after["require"] == {"any_of": [{"groups": ["dba", "security"], "count": 1}]}
    assert after["version"] == before["version"] + 1


def test_a_decision_answers_with_the_approval_as_it_now_is() -> None:
    request = held()

    answer = decide(browser(ALICE), request, comment="looked at the rows")

    assert answer.status_code == 200
    assert answer.json()["status"] == "approved"
    (vote,) = answer.json()["votes"]
    assert (vote["by"], vote["decision"], vote["comment"], vote["via"]) == (
        f"{ISS}|alice",
        "approve",
        "looked at the rows",
        "api",
    )


def test_the_same_vote_again_changes_nothing() -> None:
    request = held(tool="drop_table", table="a")
    alice = browser(ALICE)
    first = decide(alice, request)

    again = decide(alice, request)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["version"] == first.json()["version"]
    assert len(again.json()["votes"]) == 1


def test_two_places_need_two_people() -> None:
    request = held(tool="drop_table", table="a")

    assert decide(browser(ALICE), request).json()["status"] == "pending"
    assert decide(browser(CAROL), request).json()["status"] == "approved"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "maybe"},
        {"decision": "approve", "version": "x"},
        {"decision": "approve", "comment": "x" * 4001},
        {"decision": "approve", "remember": {"scope": "same_tool"}},
        {"decision": "deny"},
        {"decision": "deny", "comment": "   "},
    ],
)
def test_a_body_that_cannot_be_counted_is_400_and_counts_nothing(body: dict[str, Any]) -> None:
    request = held()

    answer = browser(ALICE).post(url(request, "decide/"), body, content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["executed"] == "false"
    request.refresh_from_db()
    assert (request.status, request.votes.count()) == ("pending", 0)


def test_a_late_decision_is_409_with_the_approval() -> None:
    request = held()
    decide(browser(BOB), request, "deny", comment="no")

    answer = decide(browser(ALICE), request)

    assert (answer.status_code, answer.json()["status"]) == (409, "denied")


def test_a_decision_on_another_version_is_409() -> None:
    request = held()

    answer = decide(browser(ALICE), request, version=request.version + 1)

    assert (answer.status_code, answer.json()["status"]) == (409, "pending")


def test_an_overdue_request_cannot_be_approved() -> None:
    request = held()
    ApprovalRequest.objects.filter(pk=request.pk).update(
        created_at=F("created_at") - (F("expires_at") - F("created_at")) * 2, expires_at=F("created_at")
    )

    assert decide(browser(ALICE), request).status_code == 409


def test_the_requester_may_withdraw_and_nobody_else() -> None:
    request = held()

    refused = browser(ALICE).post(url(request, "cancel/"))
    done = browser(HENRY).post(url(request, "cancel/"))
    late = browser(HENRY).post(url(request, "cancel/"))

    assert (refused.status_code, done.status_code, late.status_code) == (403, 200, 409)
    assert (done.json()["status"], late.json()["status"]) == ("cancelled", "cancelled")


def test_an_approval_is_revoked_by_who_gave_it_and_says_by_whom_and_why() -> None:
    request = held()
    decide(browser(ALICE), request)

    def revoke(client: Client, **body: str) -> Any:
        return client.post(url(request, "revoke/"), body, content_type="application/json")

    refused, done, late = revoke(browser(HENRY)), revoke(browser(ALICE), comment="wrong day"), revoke(browser(ALICE))

    assert (refused.status_code, done.status_code, late.status_code) == (403, 200, 409)
    assert done.json()["status"] == "revoked"
    assert (done.json()["revoked"]["display"], done.json()["revoked"]["comment"]) == ("Alice Ames", "wrong day")
    assert revoke(browser(EVE)).status_code == 404


def test_the_requester_nudges_and_hears_when_that_is_too_soon() -> None:
    request = held()

    soon = browser(HENRY).post(url(request, "nudge/"))
    pass_time(request, minutes=6)
    refused = browser(ALICE).post(url(request, "nudge/"))
    done = browser(HENRY).post(url(request, "nudge/"))
    decide(browser(ALICE), request)
    late = browser(HENRY).post(url(request, "nudge/"))

    assert (soon.status_code, soon.json()["reason"]) == (429, "rate_limited")
    assert 290 <= int(soon.headers["Retry-After"]) == soon.json()["retry_after"] <= 300
    assert (refused.status_code, done.status_code, late.status_code) == (403, 200, 409)


def test_a_list_is_newest_first_and_goes_on_where_the_cursor_says() -> None:
    first, second, third = held(), held(), held()
    grace = browser(GRACE)

    page = grace.get(LIST, {"limit": 2}).json()
    rest = grace.get(LIST, {"limit": 2, "cursor": page["next"]}).json()

    assert [row["id"] for row in page["results"]] == [third.pk, second.pk]
    assert ([row["id"] for row in rest["results"]], rest["next"]) == ([first.pk], None)


def test_the_filters_select() -> None:
    request = held()
    other = held(caller(DAVE))
    services.move(other.pk, Status.PENDING, Status.DENIED)
    grace = browser(GRACE)

    def ids(**query: str) -> list[str]:
        return [row["id"] for row in grace.get(LIST, query).json()["results"]]

    assert ids(status="pending") == ids(caller=f"{ISS}|henry") == ids(caller="henry") == [request.pk]
    assert ids(connection="elsewhere") == ids(until="2020-01-01") == []
    assert ids(since="2020-01-01T00:00:00Z") == [other.pk, request.pk]


@pytest.mark.parametrize(
    "query",
    [{"colour": "red"}, {"status": "lost"}, {"since": "yesterday"}, {"until": "2026-13-01"}, {"limit": "0"}],
)
def test_an_unknown_filter_or_value_is_400(query: dict[str, str]) -> None:
    assert browser(GRACE).get(LIST, query).status_code == 400


def test_a_session_without_the_csrf_token_changes_nothing() -> None:
    request = held()

    answer = decide(browser(ALICE, enforce_csrf_checks=True), request)

    assert answer.status_code == 403
    request.refresh_from_db()
    assert request.status == "pending"


def test_nobody_in_particular_gets_401_and_a_challenge() -> None:
    answer = anonymous().get(LIST)

    assert (answer.status_code, answer.json()["reason"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer resource_metadata=")


def test_a_person_with_a_token_decides_like_one_with_a_browser(tmp_path: Path) -> None:
    issuer = FakeIssuer(ISS)
    publish_with_keys(issuer, tmp_path)
    request = held()

    answer = decide(bearer(ALICE.bearer(issuer)), request)

    assert (answer.status_code, answer.json()["status"]) == (200, "approved")


def test_agents_and_jobs_read_their_own_and_never_vote(tmp_path: Path) -> None:
    issuer = FakeIssuer(ISS)
    publish_with_keys(issuer, tmp_path)
    groups = frozenset({"corp/engineering"})
    request = held(caller(kind="agent", sub=AGENT.sub, groups=groups))
    agent, job = bearer(AGENT.bearer(issuer)), bearer(CI.bearer(issuer))

    assert agent.get(url(request)).json()["arguments"] == {"sql": SQL, "dry_run": False}
    assert job.get(url(request)).status_code == 404
    assert (decide(agent, request).status_code, decide(job, request).status_code) == (403, 404)


def test_a_token_that_is_not_ours_is_401(tmp_path: Path) -> None:
    issuer = FakeIssuer(ISS)
    publish_with_keys(issuer, tmp_path)

    answer = bearer(ALICE.bearer(issuer, aud="elsewhere")).get(LIST)

    assert (answer.status_code, answer.json()["reason"]) == (401, "unauthenticated")


# Who may do what: list, detail, decide, cancel, and whether the arguments are shown. Henry asks; dba decides.
MATRIX = [
    (HENRY, [200, 200, 403, 200], True),
    (ALICE, [200, 200, 200, 403], True),
    (CAROL, [200, 404, 404, 404], None),
    (EVE, [200, 404, 404, 404], None),
    (DAVE, [200, 200, 403, 403], False),
    (GRACE, [200, 200, 403, 403], True),
    (None, [401, 401, 401, 401], None),
]


@pytest.mark.parametrize(("human", "expected", "shown"), MATRIX, ids=lambda value: getattr(value, "sub", None))
def test_who_may_do_what(human: Any, expected: list[int], shown: bool | None, house: Runtime) -> None:
    request, other = held(), held()
    client = browser(human) if human else anonymous()

    listed, detail = client.get(LIST), client.get(url(request))
    decided, cancelled = decide(client, request), client.post(url(other, "cancel/"))

    assert [answer.status_code for answer in (listed, detail, decided, cancelled)] == expected
    if detail.status_code == 200:
        assert (detail.json()["arguments"] is not None) is shown
        assert (detail.json()["reason"] is not None) is shown
        assert {row["id"] for row in listed.json()["results"]} == {request.pk, other.pk}
    elif human:
        assert listed.json()["results"] == []


def remembering(**remember: Any) -> list[dict[str, Any]]:
    """Return the rules with something to remember."""
    caps = {"scopes": ["same_arguments", "same_tool"], "max_age": "1h", "max_uses": 5, **remember}
    first = {**RULES[0], "approval": {**RULES[0]["approval"], "remember": caps}}
    return [first, RULES[1]]


def test_a_decision_may_be_remembered_and_taken_back() -> None:
    publish_policy(rules=remembering())
    alice, request = browser(ALICE), held()

    answer = decide(alice, request, remember={"scope": "same_tool", "max_age": "10m", "max_uses": 2})

    assert answer.status_code == 200
    again = held(sql="DELETE FROM b")
    (grant,) = browser(HENRY).get("/api/v1/grants/").json()["results"]
    assert grant["sentence"] == "For 10 minutes, up to 2 times: every call of the same tool, whatever its arguments"
    assert (grant["standing"], grant["uses"], grant["granted_by"]) == ("active", 1, [f"{ISS}|alice"])
    assert (grant["approval"], grant["requester"]) == (request.pk, f"{ISS}|henry")
    assert alice.get(url(again)).json()["grant"] == grant["id"]

    revoke = f"/api/v1/grants/{grant['id']}/revoke/"
    assert browser(CAROL).post(revoke).status_code == 404
    assert browser(GRACE).post(revoke).status_code == 403
    for _ in range(2):
        answer = alice.post(revoke)
        assert (answer.status_code, answer.json()["standing"]) == (200, "revoked")
    assert alice.get(url(again)).json()["status"] == "revoked"


@pytest.mark.parametrize(
    "remember",
    [
        {"scope": "same_tool", "max_age": "2h"},
        {"scope": "same_tool", "max_uses": 6},
        {"scope": "everything"},
        {"scope": "same_tool", "max_age": "soon"},
        {"scope": "same_tool", "max_use": 1},
        {"max_uses": 1},
        "same_tool",
    ],
)
def test_what_is_wider_than_the_rule_or_unknown_is_refused_and_no_vote_is_counted(remember: Any) -> None:
    publish_policy(rules=remembering())
    request = held()

    answer = decide(browser(ALICE), request, remember=remember)

    assert answer.status_code == 400, answer.json()
    request.refresh_from_db()
    assert (request.status, request.votes.count()) == ("pending", 0)


def test_grants_are_listed_to_those_who_see_their_requests() -> None:
    publish_policy(rules=remembering())
    decide(browser(ALICE), held(), remember={"scope": "same_arguments"})

    def seen(client: Client, query: str = "") -> int:
        return len(client.get(f"/api/v1/grants/{query}").json()["results"])

    assert [seen(browser(one)) for one in (ALICE, BOB, HENRY, DAVE, GRACE)] == [1] * 5
    assert [seen(browser(one)) for one in (CAROL, EVE)] == [0, 0]
    assert seen(browser(ALICE), f"?connection={CONNECTION}&caller=henry") == 1
    assert seen(browser(ALICE), "?connection=elsewhere") == 0
    assert browser(ALICE).get("/api/v1/grants/?who=me").status_code == 400
    assert anonymous().get("/api/v1/grants/").status_code == 401
