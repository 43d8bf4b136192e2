"""The listener of this process: what other processes publish is read at once, and nothing that is said breaks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection

from approvals import hints
from approvals.config.loader import load
from approvals.database import in_database
from approvals.listening import Listener
from approvals.publication import Policies, publish
from approvals.runtime import Runtime
from sessions import direct
from tests.engine import GUARD, engine, fresh, vote
from tests.held import policy_text
from tests.people import ALICE

__all__ = ["engine"]
Say = Callable[[str, str], Any]


@pytest.fixture(autouse=True)
def _on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no NOTIFY")


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD):
        while not found():  # noqa: ASYNC110 - what is looked for is no event
            await asyncio.sleep(0.02)


async def notify(channel: str, payload: str) -> None:
    """Say something as another process."""
    async with await psycopg.AsyncConnection.connect(**direct.parameters(), autocommit=True) as other:
        await other.execute("SELECT pg_notify(%s, %s)", [channel, payload])


def test_a_publication_of_another_process_is_read_at_once(engine: Runtime) -> None:
    elsewhere = Policies()
    before = engine.policies.current.revision

    async def scenario() -> None:
        listener = Listener(engine.waiting, engine.policies)
        listener.start()
        await until(lambda: listener.hears)
        config = load(policy_text(rules=[]))
        await in_database(lambda: publish(engine.journal, elsewhere, config, author="tests"))
        assert engine.policies.current.revision == before, "its own hints are none for it"
        await notify(hints.POLICY, f"another {before + 1}")
        await until(lambda: engine.policies.current.revision == before + 1)
        await listener.stop()

    asyncio.run(scenario())


def test_what_was_published_while_nobody_listened_is_read_when_it_listens(engine: Runtime) -> None:
    before = engine.policies.current.revision
    publish(engine.journal, Policies(), load(policy_text(rules=[])), author="tests")

    async def scenario() -> None:
        listener = Listener(engine.waiting, engine.policies)
        listener.start()
        await until(lambda: engine.policies.current.revision == before + 1)
        await listener.stop()

    asyncio.run(scenario())


def test_a_hint_comes_with_the_commit_and_not_before(engine: Runtime) -> None:
    """What is rolled back was never said; a vote that counts is said once to others, with the request's id."""
    row = fresh()

    async def scenario() -> list[str]:
        heard: list[str] = []
        async with await psycopg.AsyncConnection.connect(**direct.parameters(), autocommit=True) as other:
            await other.execute(f"LISTEN {hints.REQUESTS}")
            await in_database(lambda: _rolled_back(engine, row.pk))
            await in_database(partial(vote, row, ALICE))
            heard += [said.payload async for said in other.notifies(timeout=GUARD, stop_after=1)]
            heard += [said.payload async for said in other.notifies(timeout=0.3)]
        return heard

    assert asyncio.run(scenario()) == [f"{hints.sender()} {row.pk}"]


def _rolled_back(house: Runtime, approval_id: str) -> None:
    def work() -> Any:
        hints.changed(approval_id, "never said")
        raise LookupError

    with pytest.raises(LookupError):
        house.journal.transact_now(work)


def test_many_ids_fit(engine: Runtime) -> None:
    ids = [f"{number:036d}" for number in range(450)]

    async def scenario() -> list[str]:
        heard: list[str] = []
        async with await psycopg.AsyncConnection.connect(**direct.parameters(), autocommit=True) as other:
            await other.execute(f"LISTEN {hints.REQUESTS}")
            await in_database(lambda: hints.changed(*ids))
            async for said in other.notifies(timeout=GUARD, stop_after=3):
                heard += said.payload.split()[1:]
        return heard

    assert asyncio.run(scenario()) == ids


def test_without_a_server_it_goes_on_trying_and_stops_when_told(
    engine: Runtime, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DATABASE_DIRECT = {"HOST": "127.0.0.1", "PORT": "1"}

    async def scenario() -> float:
        listener = Listener(engine.waiting, engine.policies)
        listener.start()
        await until(lambda: "no hints" in caplog.text)
        await asyncio.sleep(1)
        began = time.monotonic()
        await listener.stop()
        assert not listener.hears
        return time.monotonic() - began

    assert asyncio.run(scenario()) < GUARD
    assert caplog.text.count("no hints from other processes") == 1
