"""Celery worker, beat and their broker die, forget and come back: timers are rows, so nothing depends on them but time.

Two web processes on PostgreSQL, with a worker, a beat and a Redis of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.house import KILLED, House, Waiting, ended, pair
from tests.gateway import Gateway
from tests.issuer import FakeIssuer
from tests.people import DAVE
from tests.servers import PostgreSQL, Redis, redis_server
from tests.world import World, marker

pytestmark = pytest.mark.promise("nothing-lost")


@dataclass
class Plant:
    """The installation with its helpers."""

    house: House
    redis: Redis
    worker: Gateway
    beat: Gateway

    @property
    def web(self) -> World:
        assert self.house.beside is not None
        return self.house.beside

    def overdue(self) -> str:
        """Ask for something that expires after a second, and do not wait for it; return the request's id."""
        arguments = {"sql": "hasty from x", "marker": marker()}
        return str(self.web.caller(DAVE).call("query", arguments, prefer="wait=0").approval["id"])

    def assert_expires_once(self, approval: str) -> None:
        """It expires, whoever does it, and the record says so once."""
        ended(self.house, approval, "expired")
        said = "SELECT count(*) FROM mcp_sessions_entry WHERE kind = 'approval.expired' AND call_id = ?"
        call = self.web.approval(approval)["call_id"]
        assert self.web.stored.value(said, call) == 1


@pytest.fixture(scope="module")
def plant(issuer: FakeIssuer, server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        folder = tmp_path_factory.mktemp("plant")
        house = stack.enter_context(pair(folder, issuer, server, REDIS_URL=redis.url))
        worker, beat = (house.here.gateway.sibling(form) for form in ("worker", "beat"))
        for one in (worker, beat):
            stack.callback(one.kill)
            one.start()
        yield Plant(house, redis, worker, beat)


def test_worker_and_beat_are_killed_and_come_back(plant: Plant) -> None:
    plant.worker.kill()
    plant.beat.kill()
    approval, waiting = plant.overdue(), Waiting.begin(plant.web)

    waiting.assert_waits_and_runs_once(plant.web)  # held calls and decisions need no worker
    plant.worker.start()
    plant.beat.start()

    plant.assert_expires_once(approval)
    plant.house.assert_history()


@pytest.mark.chaos
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["expired", "lapsed"])
def test_the_worker_is_killed_in_the_middle_of_it(plant: Plant, when: str, kind: str) -> None:
    plant.worker.kill()
    plant.worker.failpoint = f"kill {when} approval.{kind}@query"
    plant.worker.start()
    plant.worker.failpoint = ""
    if kind == "expired":
        approval = plant.overdue()
    else:
        arguments = {"sql": "forgetful from x", "marker": marker()}
        approval = plant.web.caller(DAVE).call("query", arguments, prefer="wait=0").approval["id"]
        plant.web.approve(approval)

    assert plant.worker.died() == KILLED
    plant.worker.start()

    ended(plant.house, approval, kind)
    plant.house.assert_history()


def test_redis_is_gone_and_comes_back_empty(plant: Plant) -> None:
    plant.redis.stop()
    approval, waiting = plant.overdue(), Waiting.begin(plant.house.here)
    waiting.assert_waits_and_runs_once(plant.web)
    plant.redis.start()
    plant.redis.flush()

    plant.assert_expires_once(approval)
    plant.house.assert_history()
