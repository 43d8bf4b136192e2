"""Reviews of access: what they list, who may decide on what, what stays open, and what the record says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals import keys
from approvals.campaigns.models import Campaign
from approvals.runtime import Runtime
from sessions.events import Event, Payload
from sessions.models import Entry
from sessions.search import index
from tests.held import browser, caller, house, publish_policy, signed_in
from tests.people import ALICE, BOB, CONNECTION, DAVE, EVE, GRACE, Human
from tests.record import Log, log

__all__ = ["house", "log"]
URL = "/api/v1/access-reviews/"
LINES = [
    ("corp/engineering", CONNECTION, ""),
    ("github/deployers", CONNECTION, ""),
    ("platform", "", "admin"),
    ("corp/audit", "", "auditor"),
]


def started(*reviewers: Human, by: Human = GRACE) -> Any:
    people = [signed_in(one).key for one in reviewers]
    body = {"title": "Fourth quarter", "due": "2099-12-31", "reviewers": people}
    return browser(by).post(URL, body, content_type="application/json")


def said(campaign: str, number: int, by: Human, what: str = "decide", **body: str) -> Any:
    path = f"{URL}{campaign}/lines/{number}/{what}/"
    return browser(by).post(path, body, content_type="application/json")


def entries(kind: str) -> list[dict[str, Any]]:
    return [json.loads(bytes(row.leaf)) for row in Entry.objects.filter(kind=kind).order_by("id")]


def test_a_review_lists_who_may_use_what_and_what_was_used(house: Runtime, log: Log) -> None:
    actor = keys.actor(caller().key)
    account = Payload(json.dumps({"iss": "i", "sub": "henry", "groups": ["corp/engineering"]}).encode())
    told: dict[str, Any] = {"session": "s1", "connection": CONNECTION, "actor": actor}
    house.journal.append_now(
        Event(kind="session.started", payloads={"caller": account}, **told),
        Event(kind="call.intent", call_id="c1", method="tools/call", tool="query", **told),
    )
    log.sequencer.run_once()
    index.index_up()

    made = started(GRACE, BOB)

    assert made.status_code == 201
    lines = made.json()["lines"]
    assert [(one["group"], one["connection"], one["role"]) for one in lines] == LINES
    assert [one["calls"] for one in lines] == [1, 0, 0, 0]
    assert lines[0]["tools"] == ["*"]
    assert lines[2]["members"] == [DAVE.email]
    (entry,) = entries("review.started")
    assert entry["facts"]["lines"] == 4
    assert "about" in entry["payloads"]


def test_a_review_is_decided_line_by_line_followed_up_and_closed(house: Runtime) -> None:
    campaign = started(GRACE, BOB).json()["id"]
    assert said(campaign, 1, BOB, decision="keep").json()["is_open"] is False
    assert said(campaign, 2, BOB, decision="follow_up").status_code == 400, "without a comment"
    assert said(campaign, 2, BOB, decision="follow_up", comment="who owns the job?").json()["is_open"] is True
    assert said(campaign, 3, BOB, decision="keep").status_code == 200
    assert said(campaign, 4, BOB, decision="remove").json()["is_open"] is True
    assert browser(GRACE).get(f"{URL}{campaign}/").json()["open"] == 2
    close = f"{URL}{campaign}/close/"
    assert browser(GRACE).post(close).status_code == 400, "two lines are open"

    assert said(campaign, 4, BOB, "settle", comment="done").status_code == 400, "the policy still gives it"
    publish_policy(roles={"admin": ["platform"], "auditor": ["corp/auditors"]})
    assert said(campaign, 4, BOB, "settle", comment="taken out of holdgate.yaml").status_code == 200
    assert said(campaign, 2, BOB, "settle", comment="the release team").status_code == 200
    assert said(campaign, 2, BOB, decision="keep").status_code == 400, "it is settled"
    assert browser(DAVE).post(close).json()["closed_at"]

    assert [one["facts"]["decision"] for one in entries("review.decided")] == ["keep", "follow_up", "keep", "remove"]
    assert [one["facts"]["line"] for one in entries("review.followed_up")] == [4, 2]
    (closed,) = entries("review.closed")
    assert closed["facts"] == {"campaign": campaign, "lines": 4, "keep": 2, "remove": 1, "follow_up": 1}
    assert said(campaign, 1, BOB, decision="remove").status_code == 403, "the review is closed"


@pytest.mark.promise("no-self-approval")
def test_nobody_reviews_their_own_access_where_another_can(house: Runtime) -> None:
    campaign = started(GRACE, ALICE).json()["id"]

    assert said(campaign, 1, ALICE, decision="keep").status_code == 403, "she is in engineering"
    assert said(campaign, 4, GRACE, decision="keep").status_code == 403, "she is in audit"
    assert said(campaign, 4, ALICE, decision="keep").status_code == 200
    assert said(campaign, 1, BOB, decision="keep").status_code == 404, "he was not named"
    alone = started(ALICE).json()["id"]
    assert said(alone, 1, ALICE, decision="keep").status_code == 200, "nobody else can"
    assert [one["facts"]["own"] for one in entries("review.decided")] == [False, True]


def test_who_may_start_and_see_reviews(house: Runtime) -> None:
    assert started(BOB, by=EVE).status_code == 403
    assert started(by=GRACE).status_code == 400, "no reviewer"
    campaign = started(BOB).json()["id"]

    assert browser(EVE).get(f"{URL}{campaign}/").status_code == 404
    assert browser(EVE).get("/access-reviews/").status_code == 404
    assert [one["id"] for one in browser(BOB).get(URL).json()["results"]] == [campaign]
    assert browser(EVE).get(URL).json()["results"] == []


def test_the_pages_do_all_of_it(house: Runtime) -> None:
    grace, bob = browser(GRACE), browser(BOB)
    assert "No review yet" in grace.get("/access-reviews/").content.decode()
    form = {"title": "Q4", "due": "2099-12-31", "reviewers": [signed_in(BOB).pk]}
    assert grace.post("/access-reviews/", {**form, "due": "soon"}).status_code == 400
    assert grace.post("/access-reviews/", form).status_code == 302
    page = f"/access-reviews/{Campaign.objects.get().pk}/"
    assert page in bob.get("/access/").content.decode()

    for number, decision in enumerate(("keep", "follow_up", "keep", "keep"), start=1):
        assert bob.post(f"{page}{number}/", {"decision": decision, "comment": "=1+1"}).status_code == 302
    assert "3 of 4 lines done" in bob.get(page).content.decode()
    assert bob.post(f"{page}2/settle/", {"comment": ""}).status_code == 400
    assert bob.post(f"{page}2/settle/", {"comment": "asked"}).status_code == 302
    assert bob.post(f"{page}close/").status_code == 403
    assert grace.post(f"{page}close/").status_code == 302
    assert "Closed by Grace Gold" in bob.get(page).content.decode()
