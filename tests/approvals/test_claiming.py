"""Claiming: an approval runs at most once, and only what was approved, by people who still may approve it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from approvals import keyed
from approvals.database import database_now
from approvals.holding import open_or_join
from approvals.models import ApprovalRequest, KeyedCall, Person
from approvals.recovery import recover
from approvals.runtime import Runtime
from approvals.services import NotEligible
from approvals.states import Status
from sessions.events import Event
from sessions.ids import uuid7
from sessions.journal import RevisionMoved
from sessions.models import OpenCall
from tests.engine import (
    GUARD,
    Later,
    another_process,
    approver,
    ask,
    at,
    bring_into_force,
    claimed,
    engine,
    finished,
    fresh,
    groups,
    holds,
    one_of,
    opened,
    pass_time,
    recorded,
    rule_on,
    status,
    together,
    vote,
    wait_until_one_is_blocked,
)
from tests.held import caller
from tests.people import ALICE, BOB, CAROL

__all__ = ["engine"]

pytestmark = pytest.mark.promise("bound-decision")
THREADS = 20


def approved(tool: str = "one", *voters: Any, **handles: Any) -> ApprovalRequest:
    """Return a request that people approved."""
    row = fresh(tool, **handles)
    for voter in voters or (ALICE,):
        vote(row, voter)
    assert status(row) == Status.APPROVED
    return row


# --- once ---


def test_of_twenty_that_claim_at_once_in_three_processes_one_gets_it(engine: Runtime) -> None:
    row = approved()
    with another_process() as second, another_process() as third:
        houses = [engine, second, third]
        tokens = together([partial(claimed, row, houses[index % 3]) for index in range(THREADS)])
    won = [token for token in tokens if token]
    assert len(tokens) == THREADS
    assert len(won) == 1
    row.refresh_from_db()
    assert (row.status, row.claim) == (Status.EXECUTING, won[0])
    assert recorded(row).count("call.intent") == 1


@pytest.mark.parametrize("wrong", sorted(set(Status) - {Status.APPROVED}))
def test_nothing_but_an_approved_request_is_claimed(wrong: Status, engine: Runtime) -> None:
    row = at(wrong)
    assert not claimed(row)
    assert status(row) == wrong
    assert "call.intent" not in recorded(row)


def test_what_was_not_collected_in_time_is_not_claimed_although_no_sweep_ran(engine: Runtime) -> None:
    row = approved()
    pass_time(row, minutes=11)
    assert not claimed(row)
    assert "call.intent" not in recorded(row)


def test_only_who_holds_the_claim_ends_the_call(engine: Runtime) -> None:
    row = approved()
    token = claimed(row)
    assert not finished(row, "another claim")
    assert status(row) == Status.EXECUTING
    assert finished(row, token)
    assert not finished(row, token), "it has ended"
    row.refresh_from_db()
    assert (row.executed, bytes(row.result or b"")) == ("true", b'{"rows": 3}')


def test_a_call_that_recovery_called_unknown_is_not_ended_by_its_late_answer(engine: Runtime) -> None:
    row = approved()
    with another_process() as other:
        token = claimed(row, other)
    recover(engine, exclusive=True)
    assert not finished(row, token)
    row.refresh_from_db()
    assert (row.status, row.executed, row.result) == (Status.OUTCOME_UNKNOWN, "unknown", None)


def test_an_answer_whose_caller_left_is_kept_as_not_delivered(engine: Runtime) -> None:
    rows = [approved(), approved()]
    for row, heard in zip(rows, (True, False), strict=True):
        finished(row, claimed(row), heard=heard)
        row.refresh_from_db()
    assert [row.delivered_at is not None for row in rows] == [True, False]
    assert all(row.result_until - row.ended_at == timedelta(minutes=10) for row in rows)  # type: ignore[operator]  # set


@pytest.mark.promise("rule-at-once")
def test_a_claim_judged_by_an_older_policy_writes_nothing(engine: Runtime) -> None:
    row, snapshot = approved(), engine.policies.current
    bring_into_force(rules=rule_on(holds("two", one_of("security")), "two"))

    def work() -> tuple[str, Sequence[Event]]:
        pytest.fail("the claim is not even tried")

    with pytest.raises(RevisionMoved):
        engine.journal.transact_now(work, revision=snapshot.revision)
    assert status(row) == Status.APPROVED
    assert claimed(row)


# --- by people who still may ---


def leaves_the_group() -> None:
    bring_into_force(groups=groups(dba=[BOB]))


def is_switched_off() -> None:
    Person.objects.filter(sub=ALICE.sub).update(is_active=False)


def turns_out_to_be_the_requester() -> None:
    iss = caller().iss
    bring_into_force(people=[{"name": "Alice", "accounts": [f"{iss}|alice", f"{iss}|henry"]}])


CHANGES = [leaves_the_group, is_switched_off, turns_out_to_be_the_requester]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_approval_by_somebody_who_may_not_any_more_is_superseded(change: Any, engine: Runtime) -> None:
    row = approved()
    change()
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED
    assert recorded(row)[-1] == "approval.superseded"
    assert "call.intent" not in recorded(row)


def test_an_approval_stands_as_long_as_enough_of_its_people_may(engine: Runtime) -> None:
    row = approved("either", CAROL)
    bring_into_force(groups=groups(security=[]))
    assert not claimed(row)
    both = approved("two", ALICE, BOB)
    is_switched_off()
    assert not claimed(both)


def test_a_vote_by_token_counts_by_the_groups_of_that_token_until_the_claim(engine: Runtime) -> None:
    bring_into_force(rules=[holds("issued", one_of("corp/engineering"))])
    signed_in_long_ago = approver(ALICE, issuer_groups_at=database_now() - timedelta(days=2))
    assert "corp/engineering" not in signed_in_long_ago.groups
    by_token = replace(signed_in_long_ago, groups=signed_in_long_ago.groups | {"corp/engineering"})
    assert claimed(approved("issued", by_token))


def test_a_vote_in_the_browser_makes_the_groups_of_a_sign_in_no_younger(engine: Runtime) -> None:
    bring_into_force(rules=[holds("issued", one_of("corp/engineering"))])
    hours_ago = database_now() - timedelta(hours=11)
    row = approved("issued", approver(ALICE, issuer_groups_at=hours_ago))
    assert Person.objects.get(sub=ALICE.sub).issuer_groups_at == hours_ago
    assert claimed(row)


def test_who_was_switched_off_does_not_decide_by_a_token_that_is_still_valid(engine: Runtime) -> None:
    row, token = fresh(), approver(ALICE)
    is_switched_off()
    assert isinstance(vote(row, token), NotEligible)
    assert status(row) == Status.PENDING


# --- and only what was approved ---


def test_a_rule_that_was_changed_after_the_approval_is_not_served_by_it(engine: Runtime) -> None:
    row = approved()
    bring_into_force(rules=rule_on(holds("one", one_of("dba", 2))))
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED
    assert recorded(row)[-1] == "approval.superseded"


def test_a_rule_that_is_gone_takes_its_approval_with_it(engine: Runtime) -> None:
    row = approved()
    bring_into_force(rules=[holds("two", one_of("dba", 2))])
    assert not claimed(row)
    assert status(row) == Status.SUPERSEDED


def test_another_change_of_the_policy_leaves_an_approval_as_it_is(engine: Runtime) -> None:
    row = approved()
    bring_into_force(rules=rule_on(holds("two", one_of("security")), "two"))
    assert claimed(row)


# --- keys ---

SCOPE, CALL = keyed.scope_of("https://id|henry", "orders-db", "key-1"), "d" * 64


def take(house: Runtime, call_id: str, digest: str = CALL) -> Any:
    """Take the key in the transaction of the call's intent, as the data path does."""

    def work() -> tuple[Any, Sequence[Event]]:
        found = keyed.take(SCOPE, digest, call_id)
        return found, [Event(kind="call.intent", call_id=call_id)] if isinstance(found, keyed.New) else []

    return house.journal.transact_now(work)


def test_a_key_is_for_one_call_and_tells_its_repeats_what_became_of_it(engine: Runtime) -> None:
    assert take(engine, "first") == keyed.New()
    assert take(engine, "second") == keyed.Running("first")
    assert take(engine, "third", "e" * 64) == keyed.Conflict()
    keyed.keep(SCOPE, "another", b"nothing of ours")
    keyed.keep(SCOPE, "first", b'{"ok": true}')
    assert take(engine, "fourth") == keyed.Known("first", b'{"ok": true}')


def test_a_key_is_given_back_by_the_call_that_took_it_and_was_not_run(engine: Runtime) -> None:
    take(engine, "first")
    keyed.release(SCOPE, "another")
    assert take(engine, "second") == keyed.Running("first")
    keyed.release(SCOPE, "first")
    assert take(engine, "third") == keyed.New()


def test_a_call_that_was_interrupted_does_not_give_its_key_back(engine: Runtime) -> None:
    take(engine, "first")
    engine.journal.append_now(Event(kind="call.unknown", call_id="first"))
    assert take(engine, "second") == keyed.Interrupted("first")


@pytest.mark.promise("nothing-lost")
def test_an_answer_that_comes_after_the_call_was_given_up_is_not_kept_for_its_key(engine: Runtime) -> None:
    take(engine, "first")
    engine.journal.append_now(Event(kind="call.unknown", call_id="first"))
    keyed.keep(SCOPE, "first", b'{"ok": true}')
    keyed.release(SCOPE, "first")
    assert take(engine, "second") == keyed.Interrupted("first")


def test_a_key_is_forgotten_after_a_day(engine: Runtime) -> None:
    take(engine, "first")
    KeyedCall.objects.update(created_at=database_now() - keyed.KEPT + timedelta(minutes=1))
    assert keyed.forget_old() == 0
    assert take(engine, "second") == keyed.Running("first")
    KeyedCall.objects.update(created_at=database_now() - keyed.KEPT)
    assert take(engine, "third", "e" * 64) == keyed.New()
    KeyedCall.objects.update(created_at=database_now() - keyed.KEPT)
    assert keyed.forget_old() == 1


def test_a_key_is_one_callers_on_one_connection() -> None:
    scopes = [
        keyed.scope_of("https://id|henry", "orders-db", "key-1"),
        keyed.scope_of("https://id|henry", "orders-db", "key-2"),
        keyed.scope_of("https://id|eve", "orders-db", "key-1"),
        keyed.scope_of("https://id|henry", "git", "key-1"),
        keyed.scope_of("https://id|henry", "orders-d", "bkey-1"),
    ]
    assert len(set(scopes)) == len(scopes)


def test_of_two_processes_that_take_a_key_at_once_one_runs_the_call(engine: Runtime) -> None:
    with another_process() as other:
        for number in range(12):
            KeyedCall.objects.all().delete()
            works = [partial(take, engine, f"a{number}"), partial(take, other, f"b{number}")]
            found = together(works)
            assert sorted(type(outcome).__name__ for outcome in found) == ["New", "Running"], found
            assert OpenCall.objects.filter(call_id__in=[f"a{number}", f"b{number}"]).count() == 1


def test_of_two_processes_that_hold_a_keyed_call_at_once_both_wait_for_one_request(engine: Runtime) -> None:
    first, key, taken, go_on = ask(), "k" * 64, threading.Event(), threading.Event()

    def slow() -> tuple[ApprovalRequest, Sequence[Event]]:
        found = open_or_join(replace(first, idempotency=key), engine.policies.current)
        taken.set()
        go_on.wait(GUARD)
        return found

    with another_process() as other:
        one = Later(partial(engine.journal.transact_now, slow))
        assert taken.wait(GUARD)
        two = Later(partial(opened, replace(first, call_id=uuid7(), idempotency=key), other))
        wait_until_one_is_blocked()
        go_on.set()
        assert one.result() == two.result()
    assert ApprovalRequest.objects.count() == 1
