"""Access for a while: who may ask, what a window is, and that its end and a call's intent never miss each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import yaml

from approvals import access, recall
from approvals.access import Asked, Ended, Refused, WindowClosed
from approvals.models import ApprovalRequest, Person
from approvals.rules.ruleset import ACCESS
from approvals.runtime import Runtime
from approvals.states import Status
from approvals.verdicts import Allow, Block, Call, Caller
from approvals.windows import Windows
from sessions.events import Event
from sessions.ids import uuid7
from tests.engine import (
    RULES,
    another_process,
    approver,
    ask,
    bring_into_force,
    engine,
    groups,
    opened,
    pass_time,
    recorded,
    status,
    together,
    vote,
)
from tests.held import caller, policy_text
from tests.people import ALICE, BOB, CONNECTION, DAVE, EVE

__all__ = ["engine"]

GUEST = caller(EVE)
HOUR = 3600


def with_access(**terms: Any) -> dict[str, Any]:
    """Return the connections of the cast, to one of which access can be asked for."""
    connections: dict[str, Any] = yaml.safe_load(policy_text())["connections"]
    asked = {"require": {"any_of": [{"groups": ["dba"]}]}, "max_duration": "4h", **terms}
    connections[CONNECTION]["access_requests"] = asked
    connections["closed"] = {"url": "http://127.0.0.1:9/mcp", "default": "allow"}
    return connections


@pytest.fixture(autouse=True)
def _connections(engine: Runtime) -> None:
    bring_into_force(connections=with_access())


def wanted(house: Runtime, by: Caller = GUEST, **changes: Any) -> Asked | Refused:
    given = {"connection": CONNECTION, "seconds": HOUR, "reason": "The export failed.", **changes}
    return access.ask(house, by, **given)


def asked(house: Runtime, by: Caller = GUEST, **changes: Any) -> ApprovalRequest:
    outcome = wanted(house, by, **changes)
    assert isinstance(outcome, Asked), outcome
    return outcome.request


def window(house: Runtime, by: Caller = GUEST, **changes: Any) -> ApprovalRequest:
    """Return a window that Alice opened."""
    request = asked(house, by, **changes)
    vote(request, ALICE)
    assert status(request) == Status.APPROVED
    return request


def known(house: Runtime, who: Caller) -> Caller:
    """Return the caller as the data path sees them now."""
    windows = Windows(house.policies)
    windows._take(access.load(house.policies.reload().policy))
    return windows.attach(who)


def judged(house: Runtime, who: Caller, tool: str = "echo", connection: str = CONNECTION) -> Any:
    call = Call(caller=known(house, who), connection=connection, method="tools/call", name=tool, arguments={})
    return house.policies.reload().policy.judge(call)


def test_a_window_opens_what_access_keeps_closed_and_nothing_else(engine: Runtime) -> None:
    assert isinstance(judged(engine, GUEST), Block)

    window(engine, tools=["ech*"])

    assert isinstance(judged(engine, GUEST), Allow)
    assert judged(engine, GUEST, "other").by == "tool"
    assert judged(engine, GUEST, connection="closed").by == "connection"
    assert judged(engine, replace(GUEST, sub="mallory")).by == "connection"
    policy = engine.policies.current.policy
    listed = [policy.visible(known(engine, GUEST), CONNECTION, tool) for tool in ("echo", "other")]
    assert listed == [True, False], "the same function decides about lists"
    assert policy.tools_of(known(engine, GUEST), CONNECTION) == ("ech*",)


def test_a_window_of_a_job_is_for_that_run(engine: Runtime) -> None:
    job = replace(GUEST, kind="ci", owned_by=("platform",), run=(("run_id", "1"), ("run_attempt", "1")))
    window(engine, job)

    assert isinstance(judged(engine, job), Allow)
    assert isinstance(judged(engine, replace(job, run=(("run_id", "1"), ("run_attempt", "2")))), Block)


def test_whoever_has_access_rests_on_no_window(engine: Runtime) -> None:
    dave = caller(DAVE)
    request = window(engine, dave)
    policy = engine.policies.current.policy

    assert policy.window_of(known(engine, dave), CONNECTION) == ""
    assert policy.window_of(known(engine, GUEST), CONNECTION) == ""
    assert policy.window_of(replace(known(engine, dave), groups=frozenset()), CONNECTION) == request.pk


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a connection that there is not": ({"connection": "nothing"}, "forbidden"),
    "a connection that is closed": ({"connection": "closed"}, "forbidden"),
    "no reason": ({"reason": " \n"}, "invalid_request"),
    "too long": ({"seconds": 4 * HOUR + 1}, "invalid_request"),
    "no time": ({"seconds": 0}, "invalid_request"),
    "no tool": ({"tools": []}, "invalid_request"),
    "markup for a tool": ({"tools": ["<b>"]}, "invalid_request"),
    "a secret for a tool": ({"tools": ["ghp_" + "a1B2" * 9]}, "invalid_request"),
    "a job whose starter nobody knows": ({"by": replace(GUEST, kind="ci")}, "forbidden"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_asked(engine: Runtime, what: str) -> None:
    changes, reason = REFUSED[what]

    outcome = wanted(engine, **changes)

    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert not ApprovalRequest.objects.exists()


def test_who_asks_may_not_learn_which_connections_there_are(engine: Runtime) -> None:
    unknown, closed = (wanted(engine, connection=name) for name in ("nothing", "closed"))

    assert unknown == closed
    assert [one.name for one in access.requestable(engine.policies.current.policy)] == [CONNECTION]


def test_the_same_request_is_asked_once(engine: Runtime) -> None:
    first, again = wanted(engine), wanted(engine)

    assert isinstance(first, Asked)
    assert isinstance(again, Asked)
    assert (first.joined, again.joined, again.request.pk) == (False, True, first.request.pk)
    assert recorded(first.request) == ["approval.requested"]


def test_a_secret_in_a_reason_is_not_kept(engine: Runtime) -> None:
    request = asked(engine, reason="password: hunter2-hunter2")

    assert "hunter2" not in request.reason


@pytest.mark.promise("no-self-approval")
def test_nobody_gives_access_to_themselves(engine: Runtime) -> None:
    request = asked(engine, approver(ALICE))

    vote(request, ALICE)

    assert status(request) == Status.PENDING
    vote(request, BOB)
    assert status(request) == Status.APPROVED


# Its end


def is_open(house: Runtime, request: ApprovalRequest) -> bool:
    """Say whether the transaction of an intent would find the window open."""

    def work() -> tuple[None, Sequence[Event]]:
        access.require_open(request.pk)
        return None, ()

    try:
        house.journal.transact_now(work)
    except WindowClosed:
        return False
    return True


def test_a_window_is_over_by_the_databases_clock_before_any_sweep(engine: Runtime) -> None:
    request = window(engine)
    assert is_open(engine, request)

    pass_time(request, minutes=61)

    assert not is_open(engine, request)
    assert isinstance(judged(engine, GUEST), Block)
    assert status(request) == Status.APPROVED


def test_the_holder_ends_it_and_nobody_else_by_that_way(engine: Runtime) -> None:
    request = window(engine)

    assert isinstance(access.end(engine, access_id=request.pk, caller=caller(DAVE)), Refused)
    for _ in range(2):
        assert isinstance(access.end(engine, access_id=request.pk, caller=GUEST), Ended)

    assert not is_open(engine, request)
    assert recorded(request)[-1] == "approval.cancelled"
    assert recorded(request).count("approval.cancelled") == 1


def held_under(request: ApprovalRequest, tool: str = "one") -> ApprovalRequest:
    """Return a call that is held and that came under this window."""
    return opened(ask(tool, arguments={"marker": uuid7()}, access=request.pk))


@pytest.mark.parametrize("how", ["the holder", "an approver", "time", "its terms", "its giver"])
def test_however_a_window_ends_held_calls_end_with_it(engine: Runtime, how: str) -> None:
    request = window(engine)
    pending, approved, other = held_under(request), held_under(request), opened(ask(arguments={"marker": uuid7()}))
    vote(approved, ALICE if how != "its giver" else BOB)

    if how == "the holder":
        access.end(engine, access_id=request.pk, caller=GUEST)
    elif how == "an approver":
        recall.revoke(engine, approval_id=request.pk, person=approver(BOB), via="api")
    elif how == "time":
        pass_time(request, minutes=61)
    elif how == "its terms":
        bring_into_force(connections=with_access(max_duration="3h"))
    else:
        bring_into_force(connections=with_access(), rules=RULES, groups=groups(dba=[BOB]))
    access.run_due(engine)

    assert [status(one) for one in (pending, approved, other)] == ["revoked", "revoked", "pending"]
    assert recorded(pending)[-1] == "approval.revoked"
    assert not is_open(engine, request)


def test_another_change_of_the_policy_leaves_a_window_open(engine: Runtime) -> None:
    request = window(engine)

    bring_into_force(connections=with_access(), rules=RULES[:3])
    access.run_due(engine)

    assert is_open(engine, request)
    assert isinstance(judged(engine, GUEST), Allow)


@pytest.mark.promise("rule-at-once")
def test_where_access_cannot_be_asked_for_any_more_a_window_opens_nothing_at_once(engine: Runtime) -> None:
    window(engine)
    connections = with_access()
    del connections[CONNECTION]["access_requests"]

    bring_into_force(connections=connections)

    assert isinstance(judged(engine, GUEST), Block)


def test_a_switched_off_giver_is_no_giver(engine: Runtime) -> None:
    request = window(engine)
    Person.objects.filter(sub=ALICE.sub).update(is_active=False)

    access.run_due(engine)

    assert status(request) == Status.SUPERSEDED


@pytest.mark.promise("intent-first")
def test_an_intent_and_the_end_of_its_window_never_miss_each_other(engine: Runtime) -> None:
    """Whichever is first in the record was first: no intent follows the entry that ends its window."""
    for _ in range(5):
        request = window(engine)

        def intend(house: Runtime, window_id: str) -> None:
            def work() -> tuple[None, Sequence[Event]]:
                access.require_open(window_id)
                return None, [Event(kind="call.intent", call_id=uuid7(), facts={"approval": window_id})]

            house.journal.transact_now(work)

        with another_process() as other:
            works: list[Any] = [partial(intend, house, request.pk) for house in (engine, other) * 6]
            ending = partial(recall.revoke, other, approval_id=request.pk, person=approver(BOB), via="api")
            results = together([*works[:6], ending, *works[6:]])

        kinds = recorded(request)
        assert kinds[-1] == "approval.revoked", kinds
        closed = [one for one in results if isinstance(one, WindowClosed)]
        assert kinds.count("call.intent") + len(closed) == len(works)


def test_who_has_no_window_costs_nothing(engine: Runtime) -> None:
    windows = Windows(engine.policies)

    assert windows.attach(GUEST) is GUEST
    assert not ApprovalRequest.objects.filter(rule=ACCESS).exists()
