"""The requester never decides, under whatever account and with whatever role. Asked at the API, past every page."""

from __future__ import annotations

import pytest

from tests.people import AGENT, ALICE, BOB, CAROL, CI, DAVE, EVE, GRACE, Human, Job
from tests.world import Speaker, World, marker

pytestmark = pytest.mark.promise("no-self-approval")

ROOT = Human("root", "Root Reed")  # an admin, and no approver
STRANGERS_JOB = Job(actor_id="9999")  # started by somebody whom the configuration does not know
BOB_2 = Human("bob-2", "Bob at home", ("engineering",))  # linked to Bob
ALICE_2 = Human("alice-2", "Alice again", ("engineering",))  # not linked, but of the same verified address
ENGINEER = Human("frank", "Frank Fox", ("engineering",))

# Who asks, who wants to decide, and what comes of it: 403 with a reason, 404 for what one may not even see. Dave,
# Alice, Bob, the agent and the job are all members of the group that decides.
MATRIX: dict[str, tuple[Speaker, Speaker, int]] = {
    "another member of the crew": (DAVE, ALICE, 200),
    "oneself": (ALICE, ALICE, 403),
    "oneself, as an admin": (DAVE, DAVE, 403),
    "an admin who is not of the crew": (DAVE, ROOT, 403),
    "an auditor": (DAVE, GRACE, 403),
    "a member of another group": (DAVE, CAROL, 404),
    "nobody": (DAVE, EVE, 404),
    "the person who started the job": (CI, DAVE, 403),
    "somebody who did not start the job": (CI, BOB, 200),
    "an owner of a job of an unknown starter": (STRANGERS_JOB, DAVE, 403),
    "no owner of a job of an unknown starter": (STRANGERS_JOB, ALICE, 200),
    "an agent of the crew": (DAVE, AGENT, 404),
    "an agent, of its own call": (AGENT, AGENT, 403),
    "a job of the crew": (DAVE, CI, 404),
    "a job, of its own call": (CI, CI, 403),
    "the linked account of the requester": (BOB_2, BOB, 403),
}


@pytest.mark.parametrize("decider", MATRIX)
def test_who_may_decide_what_whom_asked(here: World, decider: str) -> None:
    asks, decides, status = MATRIX[decider]
    approval = _ask(here, asks, "crew")

    denied = None if status == 200 else here.decide(approval, "deny", who=decides, comment="as I like")
    approved = here.decide(approval, "approve", who=decides)

    assert approved.status_code == status, approved.text
    assert denied is None or denied.status_code == status
    if status == 403:
        assert approved.json()["message"], "a person is told why"
    assert here.approval(approval)["status"] == ("approved" if status == 200 else "pending")


def test_an_equal_verified_address_is_enough_to_refuse(here: World) -> None:
    approval = _ask(here, ALICE_2, "crew", email=ALICE.email)

    refused = here.decide(approval, "approve", who=ALICE)

    assert refused.status_code == 403, refused.text
    assert here.decide(approval, "approve", who=BOB).status_code == 200


def test_two_distinct_people_are_two_and_one_person_who_votes_twice_is_one(here: World) -> None:
    approval = _ask(here, ENGINEER, "pair")

    assert here.decide(approval, "approve", who=ALICE).json()["status"] == "pending"
    assert here.decide(approval, "approve", who=ALICE).json()["status"] == "pending"
    assert here.decide(approval, "approve", who=BOB).json()["status"] == "approved"


@pytest.mark.parametrize("second", ["linked", "same address"])
def test_two_accounts_of_one_person_are_one_vote(here: World, second: str) -> None:
    approval = _ask(here, ENGINEER, "pair")
    first, claims = (BOB, {}) if second == "linked" else (ALICE, {"email": ALICE.email})
    again = BOB_2 if second == "linked" else ALICE_2

    here.decide(approval, "approve", who=first)
    headers = {"authorization": again.bearer(here.issuer, **claims)}
    here.api(DAVE, "POST", f"approvals/{approval}/decide/", json={"decision": "approve"}, headers=headers)

    assert here.approval(approval)["status"] == "pending"
    assert here.decide(approval, "approve", who=DAVE).json()["status"] == "approved"


def test_one_denial_denies_and_needs_a_comment(here: World) -> None:
    approval = _ask(here, ENGINEER, "pair")
    here.decide(approval, "approve", who=ALICE)

    assert here.decide(approval, "deny", who=BOB).status_code == 400
    assert here.decide(approval, "deny", who=BOB, comment="no").json()["status"] == "denied"
    assert here.decide(approval, "approve", who=DAVE).status_code == 409


def test_an_admin_sees_the_request_and_not_the_letters(here: World) -> None:
    approval = _ask(here, ENGINEER, "crew")

    seen = here.api(ROOT, "GET", f"approvals/{approval}/").json()

    assert (seen["id"], seen["arguments"], seen["reason"]) == (approval, None, None)


def _ask(here: World, who: Speaker, word: str, **claims: str) -> str:
    """Make a call that is held for the crew, and return its approval."""
    arguments = {"sql": word, "marker": marker()}
    asked = here.caller(who, **claims).call("query", arguments, prefer="wait=0")
    assert asked.outcome == ("pending", "false"), asked.text
    return str(asked.approval["id"])
