"""Remembered decisions: which calls one covers, how often, for how long, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import F

from approvals import revocation
from approvals.holding import open_or_join
from approvals.memory import Grant
from approvals.models import ApprovalRequest, OutboundMessage, Person
from approvals.rules.remembering import Wish, offers
from approvals.runtime import Runtime
from approvals.services import NotOffered
from approvals.states import Status
from approvals.timers import run_due
from sessions import leaf as leaves
from sessions.models import Entry
from tests.engine import (
    another_process,
    approver,
    ask,
    bring_into_force,
    claimed,
    engine,
    finished,
    groups,
    holds,
    one_of,
    opened,
    places,
    recorded,
    status,
    together,
    vote,
)
from tests.held import HENRY, caller
from tests.people import ALICE, BOB, CAROL, DAVE, EVE

__all__ = ["engine"]
pytestmark = pytest.mark.promise("bound-decision")

SCOPES = ["same_arguments", "same_tool"]
SAME_CALL, SAME_TOOL = Wish("same_arguments"), Wish("same_tool")
THREADS, USES = 20, 5
MAIL = {"email": {"from": "holdgate@example.com"}}


def rules(**remember: Any) -> list[dict[str, Any]]:
    """Return the rules of these tests; `remember` changes what may be remembered."""
    caps = {"max_age": "1h", "max_uses": USES, **remember}
    return [
        holds("one", one_of("dba"), remember={"scopes": [*SCOPES], **caps}),
        holds("two", one_of("dba", 2), remember={"scopes": [*SCOPES], **caps}),
        holds("both", {"all_of": places(("dba", 1), ("security", 1))}, remember={"scopes": [*SCOPES], **caps}),
        holds("narrow", one_of("dba"), remember={"scopes": ["same_arguments"], "max_age": "10m", "max_uses": 2}),
        holds("forgetful", one_of("dba")),
    ]


@pytest.fixture(autouse=True)
def _rules(engine: Runtime) -> None:
    bring_into_force(rules=rules())


def asked(tool: str = "one", sql: str = "delete from a", **handles: Any) -> ApprovalRequest:
    """Ask for a call that is on the line by itself, and return its request."""
    return opened(ask(tool, arguments={"sql": sql}, **handles))


def granted(tool: str = "one", wish: Wish = SAME_CALL, **handles: Any) -> Grant:
    """Have a call approved and remembered by Alice, run it, and return the grant."""
    request = asked(tool, **handles)
    vote(request, ALICE, remember=wish)
    assert finished(request, claimed(request))
    return Grant.objects.get(request=request)


def facts(kind: str) -> list[Any]:
    """Return the facts of every entry of this kind, in their order."""
    found = [leaves.decode(bytes(row)) for row in Entry.objects.order_by("id").values_list("leaf", flat=True)]
    return [leaf.facts for leaf in found if leaf.kind == kind]


def later(grant: Grant, **span: float) -> None:
    """Let time pass for the grant."""
    ago = timedelta(**span)
    Grant.objects.filter(pk=grant.pk).update(made_at=F("made_at") - ago, expires_at=F("expires_at") - ago)


def test_what_was_remembered_runs_without_asking_and_each_use_is_recorded() -> None:
    grant = granted()

    again = asked()

    assert (again.status, again.grant_id, again.votes.count()) == ("approved", grant.pk, 0)
    assert recorded(again) == ["approval.requested", "grant.used", "approval.approved"]
    assert facts("grant.used")[0]["grant"] == grant.pk
    assert facts("grant.made")[0]["remember_scope"] == "same_arguments"
    assert finished(again, claimed(again))
    grant.refresh_from_db()
    assert (grant.uses, grant.max_uses) == (1, USES)


def test_nobody_is_told_of_a_call_that_a_grant_covers(engine: Runtime) -> None:
    told = rules()
    bring_into_force(rules=[{**told[0], "notify": [{"email": "dba@example.com"}]}, *told[1:]], channels=MAIL)
    grant = granted()

    again = asked()
    finished(again, claimed(again))

    assert OutboundMessage.objects.filter(approval=grant.request_id).exists()
    assert not OutboundMessage.objects.filter(approval=again.pk).exists()


def test_the_call_that_was_approved_is_no_use_of_its_grant() -> None:
    grant = granted(wish=Wish("same_arguments", max_uses=1))

    assert [asked().status, asked().status] == ["approved", "pending"]
    grant.refresh_from_db()
    assert grant.uses == 1


OTHERS: dict[str, dict[str, Any]] = {
    "another caller": {"by": caller(EVE, groups=frozenset({"corp/engineering"}))},
    "another run": {"by": caller(run=(("run_id", "2"),))},
    "another definition of the tool": {"tool_digest": "e" * 64},
}


@pytest.mark.parametrize("wish", [SAME_CALL, SAME_TOOL], ids=SCOPES)
@pytest.mark.parametrize("other", OTHERS)
def test_a_grant_is_for_its_caller_its_run_and_the_tool_as_it_was(other: str, wish: Wish) -> None:
    granted(wish=wish)

    assert asked(**OTHERS[other]).status == "pending"
    assert asked().status == "approved"


@pytest.mark.parametrize(("wish", "found"), [(SAME_CALL, "pending"), (SAME_TOOL, "approved")], ids=SCOPES)
def test_only_a_grant_for_the_tool_covers_other_arguments(wish: Wish, found: str) -> None:
    granted(wish=wish)

    assert asked(sql="delete from b").status == found
    assert asked(tool="narrow").status == "pending"


def test_two_times_as_many_calls_at_once_get_exactly_the_uses_there_are(engine: Runtime) -> None:
    grant = granted()
    with another_process() as other:
        works = [
            partial(opened, ask(arguments={"sql": "delete from a"}, house=house), house)
            for house in (engine, other) * (THREADS // 2)
        ]
        found = together(works)

    statuses = [one.status for one in found if isinstance(one, ApprovalRequest)]
    assert sorted(statuses) == ["approved"] * USES + ["pending"] * (THREADS - USES)
    grant.refresh_from_db()
    assert grant.uses == USES
    assert sorted(one["use"] for one in facts("grant.used")) == list(range(1, USES + 1))


def test_a_grant_ends_by_time_and_that_is_recorded_once(engine: Runtime) -> None:
    grant = granted()
    later(grant, minutes=61)

    assert asked().status == "pending"
    run_due(engine)
    run_due(engine)

    assert [one["grant"] for one in facts("grant.expired")] == [grant.pk]


def test_what_a_grant_let_through_is_not_collected_after_its_end() -> None:
    grant = granted()
    later(grant, minutes=59)

    again = asked()

    assert again.execute_by is not None
    grant.refresh_from_db()
    assert again.execute_by == grant.expires_at


@pytest.mark.promise("rule-at-once")
@pytest.mark.parametrize(
    "now",
    [rules(max_uses=4), [rule for rule in rules() if rule["name"] != "one"] + [holds("other", one_of("dba"), ["one"])]],
    ids=["the rule was changed", "another rule holds instead"],
)
def test_a_grant_dies_with_its_rule(now: Any) -> None:
    granted(wish=SAME_TOOL)

    bring_into_force(rules=now)

    assert asked().status == "pending"


def test_a_grant_stands_for_as_long_as_those_who_gave_it_may_decide() -> None:
    granted()

    bring_into_force(rules=rules(), groups=groups(dba=[BOB]))

    assert asked().status == "pending"
    bring_into_force(rules=rules())
    Person.objects.filter(sub=ALICE.sub).update(is_active=False)
    assert asked().status == "pending"


def test_who_gave_a_grant_and_lost_their_standing_since_lets_nothing_more_run() -> None:
    granted()
    again = asked()

    Person.objects.filter(sub=ALICE.sub).update(is_active=False)

    assert claimed(again) == ""
    assert status(again) == Status.SUPERSEDED


@pytest.mark.promise("no-self-approval")
def test_nobody_profits_from_a_grant_of_their_own() -> None:
    job = caller(
        kind="ci", sub="repo:acme/shop", person=f"{caller(DAVE).iss}|dave", groups=frozenset({"corp/engineering"})
    )
    granted(by=job, wish=SAME_TOOL)

    started_by_alice = replace(job, person=approver(ALICE).key)

    assert asked(by=started_by_alice).status == "pending"
    assert asked(by=job).status == "approved"


# What those who approve ask for


def test_of_several_approvers_the_narrowest_wish_wins() -> None:
    request = asked("two")
    vote(request, ALICE, remember=Wish("same_tool", max_age=600))
    assert not Grant.objects.exists()
    vote(request, BOB, remember=Wish("same_arguments", max_uses=2))

    grant = Grant.objects.get()
    assert (grant.scope, grant.max_age, grant.max_uses) == ("same_arguments", 600, 2)
    assert str(grant) == "For 10 minutes, up to 2 times: the same call with the same arguments"


def test_one_who_approves_this_call_alone_makes_it_this_call_alone() -> None:
    request = asked("two")
    vote(request, ALICE, remember=SAME_TOOL)
    vote(request, BOB)

    assert status(request) == "approved"
    assert not Grant.objects.exists()


WIDER = {
    "another scope": ("narrow", SAME_TOOL),
    "longer": ("one", Wish("same_tool", max_age=3601)),
    "more often": ("one", Wish("same_tool", max_uses=USES + 1)),
    "no time at all": ("one", Wish("same_tool", max_age=0)),
    "anything where the rule offers nothing": ("forgetful", SAME_CALL),
}


@pytest.mark.parametrize("wider", WIDER)
def test_nothing_wider_than_the_rule_allows_is_remembered(wider: str) -> None:
    tool, wish = WIDER[wider]
    request = asked(tool)

    assert isinstance(vote(request, ALICE, remember=wish), NotOffered)

    assert status(request) == "pending"
    assert not request.votes.exists()


def test_a_denial_is_not_remembered() -> None:
    request = asked()

    assert isinstance(vote(request, ALICE, "deny", remember=SAME_CALL), NotOffered)
    assert status(request) == "pending"


def test_what_an_approver_may_choose_reads_as_sentences() -> None:
    assert [str(offer) for offer in offers(asked().terms)] == [
        "For 1 hour, up to 5 times: the same call with the same arguments",
        "For 1 hour, up to 5 times: every call of the same tool, whatever its arguments",
    ]
    assert offers(asked("forgetful").terms) == ()


def test_several_rules_let_be_remembered_what_each_of_them_does() -> None:
    tighter = {"scopes": ["same_arguments"], "max_age": "10m", "max_uses": 9}
    other = holds("other", one_of("security"), ["one"], remember=tighter)
    bring_into_force(rules=[*rules(), other])

    assert [str(offer) for offer in offers(asked().terms)] == [
        "For 10 minutes, up to 5 times: the same call with the same arguments"
    ]


# Taking it back


def test_a_grant_that_was_taken_back_lets_nothing_more_run(engine: Runtime) -> None:
    grant = granted()
    waiting, running = asked(), asked()
    token = claimed(running)

    outcome = revocation.revoke_grant(engine, grant_id=grant.pk, caller=approver(BOB))

    assert isinstance(outcome, revocation.Revoked)
    assert (status(waiting), recorded(waiting)[-1]) == ("revoked", "approval.revoked")
    assert claimed(waiting) == ""
    assert asked().status == "pending"
    assert finished(running, token), "what had begun has its end"
    assert [one["grant"] for one in facts("grant.revoked")] == [grant.pk]


def test_a_use_and_the_end_at_the_same_moment_leave_nothing_that_could_still_run(engine: Runtime) -> None:
    alice = approver(ALICE)
    for _ in range(5):
        grant = granted()
        snapshot = engine.policies.current
        with another_process() as other:
            asking = [ask(arguments={"sql": "delete from a"}) for _ in range(3)]
            works: list[Any] = [
                *(partial(engine.journal.transact_now, partial(open_or_join, one, snapshot)) for one in asking),
                partial(revocation.revoke_grant, other, grant_id=grant.pk, caller=alice),
            ]
            together(works)
        assert not ApprovalRequest.objects.filter(grant=grant, status=Status.APPROVED).exists()
        ApprovalRequest.objects.filter(status=Status.PENDING).update(status=Status.CANCELLED)


MAY: dict[str, tuple[Any, type]] = {
    "who gave it": (ALICE, revocation.Revoked),
    "who could have given it": (BOB, revocation.Revoked),
    "an admin": (DAVE, revocation.Revoked),
    "who asked for it": (HENRY, revocation.Revoked),
    "an approver of something else": (CAROL, revocation.Unknown),
    "nobody": (EVE, revocation.Unknown),
}


@pytest.mark.parametrize("who", MAY)
def test_who_may_take_a_grant_back(engine: Runtime, who: str) -> None:
    human, expected = MAY[who]
    grant = granted()

    outcome = revocation.revoke_grant(engine, grant_id=grant.pk, caller=approver(human))

    assert isinstance(outcome, expected), outcome
    grant.refresh_from_db()
    assert (grant.revoked_at is not None) is (expected is revocation.Revoked)


def test_taking_it_back_again_changes_nothing(engine: Runtime) -> None:
    grant = granted()

    for by in (ALICE, BOB):
        assert isinstance(revocation.revoke_grant(engine, grant_id=grant.pk, caller=approver(by)), revocation.Revoked)

    grant.refresh_from_db()
    assert grant.revoked_by == approver(ALICE).key
    assert len(facts("grant.revoked")) == 1
