"""The requester never decides, under whatever account and with whatever role; asked at the API, where Slack cannot help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.people import AGENT, ALICE, BOB, CAROL, CI, DAVE, EVE, GRACE, Human, Job
from tests.world import Speaker, World, marker

pytestmark = pytest.mark.promise("no-self-approval")
STRANGERS_JOB = Job(actor_id="9999")  # started by somebody whom the configuration does not know


@dataclass(frozen=True)
class Case:
    """Who asks, who wants to decide, and what they get."""

    asks: Speaker
    decides: Speaker
    status: int
    claims: tuple[tuple[str, Any], ...] = ()


# Dave is in dba here as well, so that nothing but its being his own request keeps him from deciding.
CASES = {
    "another approver may": Case(DAVE, ALICE, 200),
    "not one's own": Case(ALICE, ALICE, 403),
    "not one's own as an admin": Case(DAVE, DAVE, 403),
    "an admin who is no approver may not": Case(ALICE, Human("root", "Root", ()), 404),
    "an auditor may not": Case(DAVE, GRACE, 403),
    "somebody of another group may not": Case(DAVE, CAROL, 404),
    "nobody may not": Case(DAVE, EVE, 404),
    "not one's own job": Case(CI, DAVE, 403),
    "somebody else's job": Case(CI, BOB, 200),
    "a job of an unknown starter, by its owners": Case(STRANGERS_JOB, DAVE, 403),
    "a job of an unknown starter, by others": Case(STRANGERS_JOB, ALICE, 200),
    "an agent may not": Case(DAVE, AGENT, 404),
    "a job may not": Case(ALICE, CI, 404),
    "not by a second account of the same verified address": Case(
        Human("alice-2", "Alice Again", ("engineering",)), ALICE, 403, (("email", ALICE.email),)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_may_decide_what_whom_asked(strict: World, name: str) -> None:
    case, mark = CASES[name], marker()
    claims = dict(case.claims)
    if name.startswith("a job of an unknown"):
        claims["actor_id"] = STRANGERS_JOB.actor_id
    asked = strict.caller(case.asks, **claims).call(
        "query", {"sql": "delete from x", "marker": mark}, prefer="wait=0"
    )
    approval = asked.approval["id"]

    for decision in ("approve", "deny"):
        answer = strict.decide(approval, decision, who=case.decides, comment="as I like")
        assert answer.status_code == (case.status if decision == "approve" or case.status != 200 else 409), answer.text
        if case.status == 403:
            assert answer.json()["message"]

    status = strict.approval(approval)["status"]
    assert status == ("approved" if case.status == 200 else "pending")
    assert strict.upstream.markers[mark] == 0
