"""Things that happen at the same moment in two processes: one outcome, which everybody is told and the record holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import pytest

from tests import people
from tests.blocks import word_rule
from tests.history import record
from tests.issuer import FakeIssuer, running_issuer
from tests.line import Held
from tests.people import ALICE, BOB, DAVE
from tests.racing import GUARD, Pair, at_once, marker, pair, rounds
from tests.world import until

pytestmark = pytest.mark.promise("bound-decision")

LONG = pytest.mark.chaos
RAN, DENIED, WITHDRAWN = (None, None), ("denied", "false"), ("cancelled", "false")
CHANGED = ("tool_changed", "false")


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with running_issuer() as corp:
        people.register_people(corp)
        yield corp


@pytest.fixture(params=[15, pytest.param(40, marks=LONG)])
def times(request: pytest.FixtureRequest) -> int:
    """How many rounds are played."""
    return int(request.param)


@pytest.fixture(scope="module", params=["postgresql", pytest.param("sqlite", marks=LONG)])
def running_pair(
    request: pytest.FixtureRequest, issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    server = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else ""
    with pair(tmp_path_factory.mktemp("pair"), issuer, server) as both:
        yield both


@pytest.fixture
def two(running_pair: Pair) -> Iterator[Pair]:
    """The two processes; after each race its history is judged."""
    yield running_pair
    running_pair.assert_history()


def outcome_of(held: Held) -> tuple[str | None, str | None]:
    answer = held.answer()
    return RAN if answer.outcome == RAN and not answer.is_error else answer.outcome


# --- who decides ---


def test_two_of_two_at_once(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        held = two.held("pair", mark)
        both = at_once(lambda: two.decide(0, held.approval_id, ALICE), lambda: two.decide(1, held.approval_id, BOB))
        assert both == [200, 200]
        assert (outcome_of(held), two.ran(mark)) == (RAN, 1)
        assert two.recorded(held.approval_id, "approval.approved") == 1

    rounds(times, play)


def test_the_same_person_twice_at_once_counts_once(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        held = two.held("pair", mark)
        both = at_once(lambda: two.decide(0, held.approval_id, ALICE), lambda: two.decide(1, held.approval_id, ALICE))
        assert both == [200, 200]
        assert (two.approval(held.approval_id)["status"], two.ran(mark)) == ("pending", 0)
        assert two.recorded(held.approval_id, "approval.voted") == 1
        assert two.decide(two.turn(), held.approval_id, BOB) == 200
        assert (outcome_of(held), two.ran(mark)) == (RAN, 1)

    rounds(times, play)


def test_approve_against_deny(two: Pair, times: int) -> None:
    def play() -> str:
        mark = marker()
        held = two.held("delete", mark)
        said = at_once(
            lambda: two.decide(0, held.approval_id, ALICE),
            lambda: two.decide(1, held.approval_id, BOB, "deny"),
        )
        assert sorted(said) == [200, 409]
        approved = said[0] == 200
        assert (outcome_of(held), two.ran(mark)) == ((RAN, 1) if approved else (DENIED, 0))
        return two.ended(held.approval_id)

    assert set(rounds(times, play)) <= {"executed", "denied"}


def test_approve_against_withdrawal(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        held = two.held("delete", mark)
        cancel = f"approvals/{held.approval_id}/cancel/"
        said = at_once(
            lambda: two.decide(0, held.approval_id, ALICE),
            lambda: two.ask(1, DAVE, "POST", cancel).status_code,
        )
        # What was approved a moment ago, and has not begun, can still be withdrawn.
        assert said in ([200, 409], [409, 200], [200, 200])
        assert (outcome_of(held), two.ran(mark)) == ((RAN, 1) if said[1] == 409 else (WITHDRAWN, 0))

    rounds(times, play)


def test_approve_at_the_instant_of_expiry(two: Pair, times: int) -> None:
    shift = count()

    def play() -> bool:
        mark = marker()
        held = two.held("hasty", mark)
        expires = datetime.fromisoformat(two.approval(held.approval_id)["expires_at"])
        # From 60 ms before the end to 20 ms after it: what a request takes on its way lies between.
        early = 0.06 - 0.002 * (next(shift) * 7 % 40)
        time.sleep(max(0.0, (expires - datetime.now(UTC)).total_seconds() - early))
        said = two.decide(two.turn(), held.approval_id, ALICE)
        assert said in {200, 409}
        ended = outcome_of(held)
        assert (ended, two.ran(mark)) == ((RAN, 1) if said == 200 else (("expired", "false"), 0))
        assert two.recorded(held.approval_id, "approval.expired") == (said == 409)
        return said == 200

    rounds(times, play)


# --- what was asked changes meanwhile ---


@pytest.mark.promise("rule-at-once")
def test_approve_against_a_publication_that_words_the_rule_anew(two: Pair, times: int) -> None:
    wordings = ("30m", "31m")
    for number in range(times // 5):
        marks = [marker() for _ in range(5)]
        calls = [two.held("changing", mark) for mark in marks]
        text = two.text(hold=wordings[(number + 1) % 2])
        *said, _ = at_once(
            *(partial(two.decide, two.turn(), call.approval_id, ALICE) for call in calls),
            partial(two.publish, text, at=number % 2),
        )
        for mark, call, code in zip(marks, calls, said, strict=True):
            assert code in {200, 409}
            _settle(two, call, mark, decided=code == 200)
    two.publish(two.text())


def test_approve_against_a_changed_tool(two: Pair, times: int) -> None:
    upstream = two.here.upstream
    known = upstream.tools[0]
    for number in range(times // 5):
        marks = [marker() for _ in range(5)]
        calls = [two.held("delete", mark) for mark in marks]

        def change(text: str = f"Runs a statement, edition {number}.") -> int:
            upstream.tools[0] = {**known, "description": text}
            return 200

        said = at_once(*(partial(two.decide, two.turn(), call.approval_id, ALICE) for call in calls), change)
        assert said == [200] * 6
        for mark, call in zip(marks, calls, strict=True):
            outcome = outcome_of(call)
            assert (outcome, two.ran(mark)) in ((RAN, 1), (CHANGED, 0))
            assert two.ended(call.approval_id) == ("executed" if outcome == RAN else "superseded")
        two.here.accept_tools()
    upstream.tools[0] = known
    two.here.accept_tools()
    for at in (0, 1):  # either process knows the tool by what it saw last, and looks again before a call runs
        call = two.held("delete", mark := marker(), at=at)
        assert two.decide(at, call.approval_id, ALICE) == 200
        _settle(two, call, mark, decided=True)


def _settle(two: Pair, call: Held, mark: str, *, decided: bool) -> None:
    """The call ran under its decision, or was asked anew because what was decided held no more; then deny that."""
    first = call.approval_id
    ended = until(lambda: two.ended(first), "the end of the first approval")
    if decided and ended == "executed":
        assert (outcome_of(call), two.ran(mark)) == (RAN, 1)
        return
    assert ended == "superseded"
    (anew,) = two.here.asked_for(mark)
    assert (anew != first, two.ran(mark)) == (True, 0)
    assert two.decide(two.turn(), anew, BOB, "deny") == 200
    assert (outcome_of(call), two.ran(mark)) == (DENIED, 0)


# --- who comes back ---


@pytest.mark.parametrize("times", [4, pytest.param(40, marks=LONG)])
def test_twenty_retries_of_a_gone_call_join_and_it_runs_once(two: Pair, times: int) -> None:
    for _ in range(times):
        mark = marker()
        gone = two.held("delete", mark)
        gone.leave()
        handle: dict[str, Any] = {"holdgate_approval": gone.approval_id}
        many = at_once(*(partial(two.held, "delete", mark, **handle) for _ in range(20)))
        assert {held.approval_id for held in many} == {gone.approval_id}
        assert two.decide(two.turn(), gone.approval_id, ALICE) == 200
        assert [outcome_of(held) for held in many] == [RAN] * 20
        assert two.ran(mark) == 1


def test_twins_are_two_requests_and_run_twice(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        twins = at_once(lambda: two.held("delete", mark, at=0), lambda: two.held("delete", mark, at=1))
        asked = [held.approval_id for held in twins]
        assert len(set(asked)) == 2
        assert at_once(*(partial(two.decide, at, asked[at], ALICE) for at in (0, 1))) == [200, 200]
        assert ([outcome_of(held) for held in twins], two.ran(mark)) == ([RAN, RAN], 2)

    rounds(times, play)


def test_one_key_at_two_processes_is_one_execution_with_one_answer(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        arguments = {"sql": "select 1", "marker": mark}
        both = at_once(*(partial(two.line(at).call, "query", arguments, idempotency_key=mark) for at in (0, 1)))
        assert ([answer.outcome for answer in both], two.ran(mark)) == ([RAN, RAN], 1)
        assert len({answer.said for answer in both}) == 1

    rounds(times, play)


def test_one_key_of_held_calls_at_two_processes_is_one_request(two: Pair, times: int) -> None:
    def play() -> None:
        mark = marker()
        both = at_once(*(partial(two.held, "delete", mark, at=at, idempotency_key=mark) for at in (0, 1)))
        (asked,) = {held.approval_id for held in both}
        assert two.decide(two.turn(), asked, ALICE) == 200
        answers = [held.answer() for held in both]
        assert ([answer.outcome for answer in answers], two.ran(mark)) == ([RAN, RAN], 1)
        assert len({answer.said for answer in answers}) == 1

    rounds(times, play)


# --- publications under traffic ---


@pytest.mark.promise("rule-at-once")
@pytest.mark.parametrize("times", [40, pytest.param(200, marks=LONG)])
def test_no_call_is_governed_by_a_revision_that_was_over_when_it_began(two: Pair, times: int) -> None:
    before = len(record(two.here.stored))
    texts = [two.text(), two.text(word_rule("closed", "deny", r"\btraffic\b"))]
    floor, allows = [two.publish(texts[0])], {}
    allows[floor[0]] = True
    stop = threading.Event()

    def call(at: int) -> int:
        made = 0
        while not stop.is_set():
            least = floor[0]
            answer = two.line(at).call("query", {"sql": "traffic", "marker": marker()})
            made += 1
            # Who is overtaken by one publication after the other is refused in the end, and nothing ran.
            if answer.outcome != ("policy_unavailable", "false"):
                assert answer.decision["policy_revision"] >= least
                assert answer.outcome in {RAN, ("blocked", "false")}
        return made

    with ThreadPoolExecutor(4) as pool:
        traffic = [pool.submit(call, at) for at in (0, 1, 0, 1)]
        try:
            for number in range(1, times + 1):
                revision = two.publish(texts[number % 2], at=number % 2)
                allows[revision] = number % 2 == 0
                floor[0] = revision
        finally:
            stop.set()
        assert all(one.result(GUARD) for one in traffic)
    two.publish(two.text())
    judged = {
        (leaf.kind, allows[leaf.revision])
        for leaf in record(two.here.stored)[before:]
        if leaf.revision in allows and leaf.kind in {"call.intent", "call.blocked"}
    }
    assert judged == {("call.intent", True), ("call.blocked", False)}
