"""Waiting: a hint wakes at once, and with every hint lost the sweep wakes within seconds. The row is the truth."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.db import connection

from approvals import waiting
from approvals.database import in_database
from approvals.models import ApprovalRequest
from approvals.runtime import Runtime
from approvals.waiting import Waiting
from tests.engine import GUARD, another_process, engine, fresh, vote
from tests.people import ALICE, BOB, CAROL

__all__ = ["engine"]

# A sweep comes every second; twice as long and some more is what a busy machine may need.
SOON = 5.0


def play(house: Runtime, scenario: Callable[[Waiting], Awaitable[Any]]) -> Any:
    """Run a scenario on a loop on which the waiters of this process live."""

    async def run() -> Any:
        house.waiting.start()
        try:
            async with asyncio.timeout(GUARD):
                return await scenario(house.waiting)
        finally:
            await house.waiting.stop()

    return asyncio.run(run())


async def wakes(event: asyncio.Event, within: float = SOON) -> bool:
    """Say whether the event is set in time."""
    try:
        async with asyncio.timeout(within):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def decide(*arguments: Any, **more: Any) -> None:
    """Let somebody decide, off the loop as the pages do."""
    await in_database(partial(vote, *arguments, **more))


def test_a_hint_wakes_long_before_the_sweep(engine: Runtime) -> None:
    row = fresh()

    async def scenario(waiters: Waiting) -> float:
        with waiters.watch(row.pk, row.version) as moved:
            began = time.monotonic()
            waiters.hint([row.pk])
            assert await wakes(moved)
            return time.monotonic() - began

    assert play(engine, scenario) < waiting.SWEEP_SECONDS / 2


def test_a_decision_here_wakes_its_waiter_and_no_other(engine: Runtime) -> None:
    mine, other = fresh(), fresh()

    async def scenario(waiters: Waiting) -> None:
        with waiters.watch(mine.pk, mine.version) as moved, waiters.watch(other.pk, other.version) as unmoved:
            await decide(mine, ALICE)
            assert await wakes(moved)
            assert not unmoved.is_set()

    play(engine, scenario)


def test_with_every_hint_lost_the_sweep_finds_the_decision(engine: Runtime) -> None:
    rows = [fresh() for _ in range(5)]

    async def scenario(waiters: Waiting) -> None:
        with another_process() as elsewhere, ExitStack() as stack:
            events = [stack.enter_context(waiters.watch(row.pk, row.version)) for row in rows]
            for row in rows[:-1]:
                # The waiters of that process are not started: what it hints reaches nobody.
                await decide(row, ALICE, house=elsewhere)
            for event in events[:-1]:
                assert await wakes(event)
            assert not events[-1].is_set()

    play(engine, scenario)


def test_a_decision_that_fell_before_the_waiter_was_there_is_found(engine: Runtime) -> None:
    row = fresh()
    seen = row.version
    vote(row, ALICE)

    async def scenario(waiters: Waiting) -> None:
        with waiters.watch(row.pk, seen) as moved:
            assert await wakes(moved)

    play(engine, scenario)


def test_a_newcomer_who_knows_more_does_not_keep_the_others_asleep(engine: Runtime) -> None:
    row = fresh()

    async def scenario(waiters: Waiting) -> None:
        with another_process() as elsewhere, waiters.watch(row.pk, row.version) as moved:
            await decide(row, ALICE, "deny", house=elsewhere)
            # A second caller joins, reads the denial itself and is gone before the sweep.
            with waiters.watch(row.pk, row.version + 2):
                pass
            assert await wakes(moved)

    play(engine, scenario)


def test_each_step_of_a_quorum_wakes_again(engine: Runtime) -> None:
    row = fresh("both")

    async def scenario(waiters: Waiting) -> list[str]:
        seen = []
        with another_process() as elsewhere, waiters.watch(row.pk, row.version) as moved:
            for voter in (ALICE, CAROL):
                await decide(row, voter, house=elsewhere)
                assert await wakes(moved)
                moved.clear()
                seen.append(await in_database(lambda: ApprovalRequest.objects.get(pk=row.pk).status))
        return seen

    assert play(engine, scenario) == ["pending", "approved"]


def test_everybody_who_waits_for_one_request_is_woken(engine: Runtime) -> None:
    row = fresh()

    async def scenario(waiters: Waiting) -> None:
        with waiters.watch(row.pk, row.version) as one, waiters.watch(row.pk, row.version) as two:
            await decide(row, ALICE)
            assert await wakes(one)
            assert await wakes(two)
        assert not waiters._events, "who left is forgotten"

    play(engine, scenario)


def test_thousands_of_waiters_cost_one_query_a_second(engine: Runtime, django_assert_max_num_queries: Any) -> None:
    row = fresh()
    waiters = Waiting()
    with ExitStack() as stack:
        for number in range(10_000):
            stack.enter_context(waiters.watch(f"nothing-{number}"))
        stack.enter_context(waiters.watch(row.pk))
        with django_assert_max_num_queries(1):
            assert waiters._moved() == {row.pk: 1}


def test_among_many_waiters_the_sweep_names_those_who_moved_and_no_others(engine: Runtime) -> None:
    rows = [fresh() for _ in range(waiting.NAMED_AT_MOST + 1)]
    moved, foreign = rows[7], fresh()
    waiters = Waiting()
    for row in (moved, foreign):
        vote(row, ALICE)
    with ExitStack() as stack:
        for row in rows:
            stack.enter_context(waiters.watch(row.pk, row.version))

        assert list(waiters._moved()) == [moved.pk]


def test_a_database_that_fails_decides_nothing_and_the_wait_goes_on(engine: Runtime) -> None:
    row = fresh()
    failed = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            failed.set()

    listener = Listener(logging.WARNING)
    logging.getLogger("holdgate.waiting").addHandler(listener)

    async def scenario(waiters: Waiting) -> None:
        with another_process() as elsewhere, waiters.watch(row.pk, row.version) as moved:
            await in_database(partial(rename, "approvals_approvalrequest", "elsewhere"))
            try:
                assert await asyncio.to_thread(failed.wait, GUARD)
                assert not moved.is_set()
            finally:
                await in_database(partial(rename, "elsewhere", "approvals_approvalrequest"))
            await decide(row, ALICE, house=elsewhere)
            assert await wakes(moved)

    try:
        play(engine, scenario)
    finally:
        logging.getLogger("holdgate.waiting").removeHandler(listener)


def rename(old: str, new: str) -> None:
    """Move the table away under the sweep's feet, or back."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_hint_from_any_thread_at_any_time_harms_nothing(engine: Runtime) -> None:
    engine.waiting.hint(["nobody waits yet"])

    async def scenario(waiters: Waiting) -> None:
        threads = [threading.Thread(target=waiters.hint, args=(["unknown"],)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)

    play(engine, scenario)
    engine.waiting.hint(["nobody waits any more"])


def test_pages_hear_of_every_hint(engine: Runtime) -> None:
    heard: list[Iterable[str] | None] = []

    async def scenario(waiters: Waiting) -> None:
        row = await in_database(partial(fresh, "two"))
        waiters.listen(heard.append)
        await decide(row, BOB)
        with waiters.watch(row.pk, 99) as moved:
            waiters.hint([row.pk])
            assert await wakes(moved)
        assert (row.pk,) in heard

    play(engine, scenario)


@pytest.mark.promise("fail-closed")
def test_who_waits_when_the_process_stops_is_not_told_anything(engine: Runtime) -> None:
    row = fresh()

    async def scenario(waiters: Waiting) -> None:
        with waiters.watch(row.pk, row.version) as moved:
            await waiters.stop()
            assert not moved.is_set()

    play(engine, scenario)
