"""Whoever sends notifications dies at the worst moment: they are sent all the same, twice at worst, under one id."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.chaos.house import KILLED, configuration
from tests.gateway import Gateway
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.receiver import Answering, Receiver, receiver
from tests.servers import PostgreSQL, Redis, redis_server
from tests.upstream import running
from tests.ways import SECRET
from tests.world import World, marker, until, world

pytestmark = pytest.mark.promise("nothing-lost")
# A worker that is started while much else runs takes its time.
SLOW = 120.0
LEASED = "UPDATE approvals_outboundmessage SET next_attempt_at = created_at WHERE approval = ? AND status = 'queued'"


@dataclass
class Post:
    """An installation, the receiver that its rules tell, and what sends: a worker with its beat, or the gateway."""

    world: World
    receiver: Receiver
    sender: Gateway
    redis: Redis | None = None

    def ask(self) -> str:
        """Ask for something that a rule holds, do not wait, and return the request's id."""
        arguments = {"text": "please", "marker": marker()}
        return str(self.world.caller(DAVE).call("echo", arguments, prefer="wait=0").approval["id"])

    def statuses(self, approval: str) -> list[str]:
        """Return the status of each message about a request."""
        asked = "SELECT status FROM approvals_outboundmessage WHERE approval = ? ORDER BY id"
        return [row[0] for row in self.world.stored.rows(asked, approval)]

    def lease_ends(self, approval: str) -> None:
        """Let the time pass for which the dead one had the message."""
        self.world.stored.rows(LEASED, approval)
        self.world.stored.rows("UPDATE approvals_routestate SET rests_until = NULL")

    def told(self, number: int) -> set[str]:
        """Wait until the receiver has heard so many times, and return of which requests."""
        return {self.receiver.wait(SLOW).json["data"]["approval"] for _ in range(number)}

    def assert_told(self, approval: str) -> str:
        """The receiver hears of this request next, and the message counts as sent; return its id."""
        posted = self.receiver.wait(SLOW)
        assert posted.json["data"]["approval"] == approval
        until(lambda: self.statuses(approval) == ["sent"], "the message to be settled", 30)
        return posted.headers["webhook-id"]


def told_by_webhook(issuer: FakeIssuer, upstream: str, ops: Receiver) -> str:
    document = yaml.safe_load(configuration(issuer, upstream))
    document["channels"] = {"webhooks": {"ops": {"url": ops.url, "secret": "env:OPS_HOOK"}}}
    for rule in document["rules"]:
        if rule["action"] == "hold":
            rule["notify"] = [{"webhook": "ops"}]
    return yaml.safe_dump(document, sort_keys=False)


@pytest.fixture(scope="module")
def apart(issuer: FakeIssuer, server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    """One web process, and beside it a worker, a beat and a Redis."""
    with contextlib.ExitStack() as stack:
        upstream, ops = stack.enter_context(running()), stack.enter_context(receiver())
        redis = stack.enter_context(redis_server())
        text = told_by_webhook(issuer, upstream.url, ops)
        folder = tmp_path_factory.mktemp("apart")
        env = {"OPS_HOOK": SECRET, "REDIS_URL": redis.url}
        here = stack.enter_context(world(folder, issuer, {CONNECTION: upstream}, text, server.url(), **env))
        here.gateway.form = "web"
        here.gateway.prepare()
        here.start()
        worker, beat = (here.gateway.sibling(form) for form in ("worker", "beat"))
        for one in (worker, beat):
            stack.callback(one.kill)
            one.start()
        yield Post(here, ops, worker, redis)


@pytest.fixture
def alone(issuer: FakeIssuer, tmp_path: Path) -> Iterator[Post]:
    """The gateway that is everything, on SQLite."""
    with running() as upstream, receiver() as ops:
        text = told_by_webhook(issuer, upstream.url, ops)
        with world(tmp_path, issuer, {CONNECTION: upstream}, text, "sqlite", OPS_HOOK=SECRET) as here:
            here.start()
            yield Post(here, ops, here.gateway)


def test_a_worker_killed_while_it_sends_loses_nothing_and_the_repeat_has_the_same_id(apart: Post) -> None:
    apart.receiver.next = [Answering(silent=True)]
    approval = apart.ask()
    first = apart.receiver.wait(SLOW)
    apart.sender.kill()
    assert apart.statuses(approval) == ["queued"]

    apart.sender.start()
    apart.lease_ends(approval)

    assert apart.assert_told(approval) == first.headers["webhook-id"]


@pytest.mark.chaos
def test_a_worker_killed_before_it_kept_that_it_sent_sends_again_under_the_same_id(apart: Post) -> None:
    apart.sender.kill()
    apart.sender.failpoint = "kill before notification.sent"
    apart.sender.start()
    apart.sender.failpoint = ""
    approval = apart.ask()
    first = apart.receiver.wait(SLOW)
    assert apart.sender.died() == KILLED

    apart.sender.start()
    apart.lease_ends(approval)

    assert apart.assert_told(approval) == first.headers["webhook-id"]


def test_what_was_to_be_told_while_redis_was_gone_is_told_when_it_is_back_and_empty(apart: Post) -> None:
    assert apart.redis is not None
    apart.redis.stop()
    approval = apart.ask()
    assert apart.statuses(approval) == ["queued"]
    apart.redis.start()
    apart.redis.flush()

    apart.assert_told(approval)


def test_a_worker_that_has_messages_in_hand_outlives_the_loss_of_redis(apart: Post) -> None:
    assert apart.redis is not None
    assert apart.sender.process is not None
    # Both of its threads wait for an answer, and what beat sends in the meantime stays in its hands.
    apart.receiver.next = [Answering(silent=True), Answering(silent=True)]
    asked = {apart.ask(), apart.ask()}
    assert apart.told(2) == asked
    time.sleep(3)
    apart.redis.stop()
    time.sleep(2)
    apart.redis.start()
    for approval in asked:
        apart.lease_ends(approval)

    assert apart.told(2) == asked
    assert apart.sender.process.poll() is None


@pytest.mark.chaos
def test_two_workers_tell_each_thing_once(apart: Post) -> None:
    second = apart.sender.sibling("worker")
    second.start()
    try:
        asked = {apart.ask() for _ in range(30)}
        told = [apart.receiver.wait(SLOW).json["data"]["approval"] for _ in asked]
        until(lambda: all(apart.statuses(one) == ["sent"] for one in asked), "all of it to be settled", 30)
    finally:
        second.kill()

    assert sorted(told) == sorted(asked)
    assert apart.receiver.posted.empty()


@pytest.mark.chaos
def test_the_gateway_that_is_everything_is_killed_with_messages_in_hand(alone: Post) -> None:
    alone.receiver.next = [Answering(silent=True)]
    approval = alone.ask()
    first = alone.receiver.wait(SLOW)
    alone.world.gateway.kill()
    alone.world.start()
    alone.lease_ends(approval)

    assert alone.assert_told(approval) == first.headers["webhook-id"]
