"""Clocks that are an hour wrong, and jump: the database's clock alone says what has expired and who is dead."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import clocks
from tests.chaos.clocks import HOUR, Clock
from tests.chaos.house import House, Waiting, configuration, ended
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.servers import PostgreSQL, redis_server
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("nothing-lost")

UNPLACED = (
    "SELECT count(*) FROM mcp_sessions_entry e "
    "WHERE NOT EXISTS (SELECT 1 FROM mcp_sessions_logindex i WHERE i.entry_id = e.id)"
)
SILENT_FOR_DEAD = 15


def lasting() -> dict[str, int]:
    """Return the times of a token that is good on every clock here; that of issuers is none of ours."""
    now = int(time.time())
    return {"iat": now - 2 * HOUR, "nbf": now - 2 * HOUR, "exp": now + 2 * HOUR}


@pytest.fixture
def apart(issuer: FakeIssuer, server: PostgreSQL, tmp_path: Path) -> Iterator[tuple[House, Clock, Clock]]:
    """Two web processes, each with its own clock, and worker and beat whose clock is right."""
    ahead, behind = clocks.made(tmp_path, "ahead"), clocks.made(tmp_path, "behind")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        upstream = stack.enter_context(running())
        text = configuration(issuer, upstream.url)
        env = {"REDIS_URL": redis.url, **ahead.environment}
        here = stack.enter_context(world(tmp_path, issuer, {CONNECTION: upstream}, text, server.url(), **env))
        here.claims = lasting()
        here.gateway.form = "web"
        here.gateway.prepare()
        here.start()
        for form in ("worker", "beat"):
            helper = here.gateway.sibling(form, LD_PRELOAD="")
            stack.callback(helper.kill)
            helper.start()
        beside = stack.enter_context(here.beside("web", **behind.environment))
        yield House(here, beside), ahead, behind


def test_nothing_expires_early_or_late_and_nobody_is_taken_for_dead(apart: tuple[House, Clock, Clock]) -> None:
    house, ahead, behind = apart
    here, beside = house.here, house.beside
    assert beside is not None
    waiting = [Waiting.begin(here), Waiting.begin(beside)]

    ahead.move(HOUR)
    behind.move(-HOUR)

    hasty = {"sql": "hasty from x", "marker": marker()}
    late = beside.caller(DAVE).call("query", hasty, prefer="wait=0").approval["id"]
    ended(house, late, "expired")
    assert [beside.approval(one.approval)["status"] for one in waiting] == ["pending", "pending"]
    # Of two identical calls at once each is asked for: the first one's process lives, whatever the clock says.
    twin = here.caller(DAVE).call("echo", {"text": "please", "marker": waiting[1].mark}, prefer="wait=0")
    assert twin.approval["id"] != waiting[1].approval
    for one, other in zip(waiting, (beside, here), strict=True):
        other.approve(one.approval)
        assert one.held.answer().said == "please"
    house.assert_history()


@pytest.mark.promise("fail-closed")
def test_who_waits_by_a_clock_that_is_ahead_does_not_ask_without_pause(
    apart: tuple[House, Clock, Clock], server: PostgreSQL
) -> None:
    house, ahead, _ = apart
    ahead.move(HOUR)
    waiting = [Waiting.begin(house.here) for _ in range(5)]
    database = house.here.gateway.database_url.rpartition("/")[2]
    counted = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"

    ((before,),) = server.run(counted, database)
    time.sleep(4)
    ((after,),) = server.run(counted, database)

    # Without a pause it would be thousands; what else a gateway does in these seconds is some dozens.
    assert after - before < 150 * len(waiting), "each of them asked many times a second"
    for one in waiting:
        one.assert_waits_and_runs_once(house.here)
    house.assert_history()


@pytest.mark.chaos
def test_a_call_of_a_dead_process_is_joined_by_a_clock_that_is_behind(apart: tuple[House, Clock, Clock]) -> None:
    house, _, behind = apart
    beside = house.beside
    assert beside is not None
    behind.move(-HOUR)
    waiting = Waiting.begin(house.here)

    house.here.gateway.kill()
    time.sleep(SILENT_FOR_DEAD + 1)

    again = beside.caller(DAVE).call("echo", {"text": "please", "marker": waiting.mark}, prefer="wait=0")
    assert again.approval["id"] == waiting.approval
    waiting.assert_waits_and_runs_once(beside)
    house.assert_history()


@pytest.mark.parametrize("hours", [-1, pytest.param(1, marks=pytest.mark.chaos)])
def test_a_jump_while_it_was_dead_stops_no_signature(issuer: FakeIssuer, tmp_path: Path, hours: int) -> None:
    clock = clocks.made(tmp_path, "alone")
    with (
        running() as upstream,
        world(
            tmp_path, issuer, {CONNECTION: upstream}, configuration(issuer, upstream.url), "sqlite", **clock.environment
        ) as here,
    ):
        here.claims = lasting()
        here.start()
        _call(here)
        until(lambda: not here.stored.value(UNPLACED), "the first signature")

        here.gateway.kill()
        clock.move(hours * HOUR)
        here.start()
        _call(here)

        until(lambda: not here.stored.value(UNPLACED), "a signature after the jump", 30)
        clock.move(0)
        _call(here)
        until(lambda: not here.stored.value(UNPLACED), "a signature after the jump back", 30)
        here.assert_history()


def _call(at: World) -> None:
    answer = at.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()})
    assert not answer.is_error, answer.body
