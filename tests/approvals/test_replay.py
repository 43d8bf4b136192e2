"""Sessions as an auditor finds and reads them, over page and API; who may, and that it is recorded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from approvals.drafts import apply_text
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from sessions import installation
from sessions.models import Entry
from tests.held import HENRY, ISS, browser, house, policy_text
from tests.people import ALICE, CONNECTION, DAVE, GRACE
from tests.record import Log, tamper
from tests.replayed import ACTOR, SESSION, log, replayed

__all__ = ["house", "log"]
PAGE = f"/sessions/{SESSION}/"
DENIES = {"name": "no-selects", "action": "deny", "match": {"arguments": [{"path": "sql", "contains_text": "select"}]}}


@pytest.fixture
def request_(house: Runtime, log: Log) -> ApprovalRequest:
    """The request of the held call of a session that was recorded, signed and made searchable."""
    return replayed(house, log)


def shown(who: Any, path: str = PAGE, status: int = 200) -> str:
    answer = browser(who).get(path)
    assert answer.status_code == status, answer.content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode().split("<main")[1]).split())


def asked(who: Any, path: str, **query: Any) -> Any:
    answer = browser(who).get(f"/api/v1/{path}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_call_is_told_from_the_request_to_the_masked_answer(request_: ApprovalRequest) -> None:
    page = shown(GRACE)

    told = ["Henry Hale", "Allowed", "seven rows", "The caller asked", "DELETE FROM orders", "Held: people are asked",
            "A person voted", "Alice", "by dashboard", "What they had before them", "ticket 42", "Approved",
            "Forwarded to the upstream", "one row deleted", "Blocked by policy"]  # fmt: skip
    at = 0
    for one in told:
        assert one in page[at:], one
        at = page.index(one, at) + len(one)
    assert "Shown to this caller, whom a rule excepts: iban 2×" in page


def test_the_three_digests_are_three_ticks_and_another_call_is_none(house: Runtime, log: Log) -> None:
    request = replayed(house, log)
    three = r"✓ requested \w{8} ✓ approved \w{8} ✓ executed \w{8} the same call was asked for, approved and run"
    assert re.search(three, shown(GRACE))

    other = Entry.objects.get(kind="call.intent", call_id=request.call_id)
    forged = bytes(other.leaf).replace(request.call_digest.encode(), b"0" * 64)
    tamper("UPDATE mcp_sessions_entry SET leaf = %s WHERE id = %s", [forged, other.pk])

    page = shown(GRACE)
    assert "✗ another call: executed 00000000 these are not the same call" in page
    assert "1 of these entries are not what was recorded" in page


def test_the_page_says_how_far_the_proof_reaches(request_: ApprovalRequest, house: Runtime) -> None:
    page = shown(GRACE)
    assert re.search(
        r"All \d+ entries shown here have their hash .* under a signed checkpoint that the anchor holds", page
    )

    installation.anchor().path.unlink()
    assert re.search(r"0 under one that the anchor holds", shown(GRACE))


def test_a_call_and_a_step_have_addresses_of_their_own(request_: ApprovalRequest) -> None:
    page = shown(GRACE, f"{PAGE}?call={request_.call_id}")
    assert "seven rows" not in page
    assert "From the beginning" in page
    blocked = Entry.objects.get(kind="call.blocked")
    assert "one row deleted" not in shown(GRACE, f"{PAGE}?after={blocked.pk - 1}")
    assert "Back to the timeline" in shown(GRACE, f"{PAGE}?view=print")


def test_an_admin_sees_what_happened_and_no_value(request_: ApprovalRequest) -> None:
    page = shown(DAVE)

    assert "the same call was asked for, approved and run" in page
    for value in ("seven rows", "DELETE FROM", "ticket 42", "Henry Hale", "Alice", "id = 815"):
        assert value not in page


@pytest.mark.parametrize(
    "query",
    ["q=orders+dele*", "tool=query&verdict=hold", "person=henry&outcome=blocked", "exposed=iban", "masked=email",
     pytest.param(f"caller={ACTOR}&rule=never", id="caller"), "since=2026-01-01T00:00",
     f"connection={CONNECTION}&outcome=answered"],
)  # fmt: skip
def test_sessions_are_found_by_their_calls_and_the_search_is_recorded(query: str, request_: ApprovalRequest) -> None:
    page = browser(GRACE).get(f"/sessions/?{query}").content.decode()

    assert f"/sessions/{SESSION}/?call=" in page
    told = Entry.objects.get(kind="record.searched")
    assert all(name.encode() in bytes(told.leaf) for name in (one.partition("=")[0] for one in query.split("&")))
    assert b"orders" not in bytes(told.leaf)
    assert "No session fits" in shown(GRACE, f"/sessions/?{query}&tool=other")


def test_nobody_searches_what_they_may_not_read(request_: ApprovalRequest) -> None:
    assert "An admin does not see what calls carried" in shown(DAVE, "/sessions/?q=orders", status=400)
    assert "No session fits" in shown(ALICE, "/sessions/?q=orders")
    assert "No session fits" in shown(ALICE, f"/sessions/?caller={ACTOR}&tool=query")
    assert "2 calls fit" in shown(HENRY, "/sessions/?q=orders&tool=query")
    assert not Entry.objects.filter(kind="record.searched").exists()


def test_what_is_no_filter_is_said(request_: ApprovalRequest) -> None:
    assert "Verdict: must be one of allow" in shown(GRACE, "/sessions/?verdict=maybe", status=400)
    assert "From: must be a date" in shown(GRACE, "/sessions/?since=yesterday", status=400)
    assert browser(GRACE).get("/api/v1/sessions/?since=yesterday").status_code == 400
    assert browser(GRACE).get("/api/v1/sessions/?colour=red").status_code == 400
    assert browser(GRACE).get("/api/v1/sessions/?tool=query&cursor=x").status_code == 400


def test_the_api_tells_the_same(request_: ApprovalRequest) -> None:
    found = asked(GRACE, "sessions/", q="delete", person="henry")
    assert found["calls"] == {"count": 1, "complete": True, "not_yet_searchable": found["calls"]["not_yet_searchable"]}
    assert [one["id"] for one in found["results"]] == [SESSION]
    assert found["results"][0]["calls"][0]["verdict"] == "hold"

    session = asked(GRACE, f"sessions/{SESSION}/")
    kinds = [one["kind"] for one in session["entries"]]
    assert (kinds[0], kinds[-1], session["next"]) == ("session.started", "call.blocked", None)
    assert session["proof"]["sound"] == session["proof"]["anchored"] == len(kinds)
    assert "seven rows" in session["entries"][2]["payloads"]["answer"]
    assert asked(DAVE, f"sessions/{SESSION}/")["entries"][2]["payloads"] is None
    assert asked(GRACE, f"sessions/{SESSION}/", call="c-drop")["entries"][0]["kind"] == "call.blocked"
    assert browser(ALICE).get(f"/api/v1/sessions/{SESSION}/").status_code == 404
    assert Entry.objects.filter(kind="record.read").count() == 3


def test_calls_are_listed_by_the_same_filters_and_reading_one_is_recorded(request_: ApprovalRequest) -> None:
    found = asked(GRACE, "calls/", q="orders", limit=1)
    (first,) = found["results"]
    assert (first["call_id"], first["session"], first["verdict"]) == ("c-drop", SESSION, "deny")
    rest = asked(GRACE, "calls/", q="orders", cursor=found["next"])
    assert [one["call_id"] for one in rest["results"]] == [request_.call_id, "c-read"]
    assert asked(ALICE, "calls/")["results"] == []
    assert len(asked(HENRY, "calls/")["results"]) == 3
    assert browser(DAVE).get("/api/v1/calls/?q=orders").status_code == 400
    assert Entry.objects.filter(kind="record.searched").count() == 2

    asked(GRACE, "calls/c-read/")
    asked(HENRY, "calls/c-read/")
    read = Entry.objects.get(kind="record.read")
    assert b'"call":"c-read"' in bytes(read.leaf)


def test_a_session_is_judged_again_by_today_by_then_and_by_drafts(request_: ApprovalRequest, house: Runtime) -> None:
    first = house.policies.current.revision
    apply_text(house, policy_text(rules=[DENIES]), author="tests")

    again = asked(GRACE, f"sessions/{SESSION}/again/")
    assert [(one["was"], one["now"]) for one in again["calls"]] == [
        ("allow", "deny"),
        ("hold", "allow"),
        ("deny", "allow"),
    ]
    then = asked(DAVE, f"sessions/{SESSION}/again/", by=str(first))
    assert [one["now"] for one in then["calls"]][:2] == ["hold", "hold"]
    page = shown(GRACE, f"{PAGE}again/")
    assert "3 of 3 calls would be judged otherwise" in page
    assert "no-selects" in page
    assert "judged otherwise" in shown(DAVE, f"{PAGE}again/?by=drafts")
    assert "There is no revision 99" in shown(GRACE, f"{PAGE}again/?by=99", status=400)
    assert browser(HENRY).get(f"{PAGE}again/").status_code == 404
    assert browser(HENRY).get(f"/api/v1/sessions/{SESSION}/again/").status_code == 404
    assert Entry.objects.filter(kind="record.read").count() == 5


def test_an_account_is_named_in_several_ways(request_: ApprovalRequest) -> None:
    for name in ("henry", f"{ISS}|henry", "Henry Hale", HENRY.email, ACTOR):
        browser(HENRY).get("/")
        assert [one["id"] for one in asked(GRACE, "sessions/", caller=name)["results"]] == [SESSION], name
    assert asked(GRACE, "sessions/", caller="nobody")["results"] == []
