"""Start and stop of one web process: record, recovery, waiters, sequencer, and the end that open streams get."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from approvals import accounts, keyed, leading, outbox
from approvals.config.packs import packs_digest
from approvals.database import database_now, in_database
from approvals.listening import Listener
from approvals.notices import routes
from approvals.reachability import unreachable_quorums
from approvals.recovery import recover
from approvals.runtime import runtime, shut_down
from approvals.slack import deliveries
from approvals.windows import LOOK_SECONDS
from gatewayproj import metrics, soundness
from gatewayproj.alone import Alone, Presence
from gatewayproj.env import settings_digest
from gatewayproj.internal import Internal
from gatewayproj.stopping import StopSignals
from gatewayproj.wiring import close_key_sets
from proxy import buckets, legacy, task_owners
from proxy.between import mailbox
from proxy.counts import FLUSH_SECONDS
from proxy.oauth import stored
from proxy.tunnel.door import LOOK_SECONDS as AGENT_LOOK_SECONDS
from sessions import heartbeat, installation
from sessions.events import Event
from sessions.outside.feeding import Feeder
from sessions.sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.endpoint import Gateway
    from proxy.tunnel.door import Agents

log = logging.getLogger("holdgate.process")

RECOVERY_SECONDS = 5.0
CLEANING_SECONDS = 3600.0
DISCOVERY_SECONDS = 2.0
ALIVE_LOOK_SECONDS = 60.0
COLLECT_AFTER = 10_000
IDLE_LOOK_SECONDS = 0.1


class Lifespan:
    """Wraps the routers and answers ASGI's lifespan messages (ASGI spec, lifespan 2.0)."""

    def __init__(self, app: Any, gateway: Gateway, agents: Agents) -> None:
        self._app = app
        self._gateway = gateway
        self._agents = agents
        self._internal = Internal(agents)
        self._sequencer: Sequencer | None = None
        self._feeders: list[Feeder] = []
        self._listener: Listener | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._alone = Alone(Path(settings.STATE_DIR))
        self._presence: Presence | None = None
        self._signals = StopSignals(self._begin_shutdown)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        try:
            await self._start()
        except Exception as error:
            log.exception("the gateway cannot start")
            self._leave()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        _spare_the_collector()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        await in_database(self._enter)
        house = await in_database(runtime)
        # The only process: whoever wrote before is gone, so what it left open is known to be over.
        await in_database(lambda: recover(house, exclusive=settings.ALL_IN_ONE))
        snapshot = await in_database(house.policies.reload)
        for gap in await in_database(lambda: unreachable_quorums(snapshot.policy)):
            log.error("nobody could decide what is held: %s", gap)
        serving = Event(
            kind="process.serving",
            policy_revision=snapshot.revision,
            policy_digest=snapshot.digest,
            facts={"settings": settings_digest(), "packs": packs_digest(snapshot.policy.config.packs)},
        )
        await house.journal.append(serving)
        house.waiting.start()
        house.windows.start(house)
        await house.windows.look()
        house.pins.start(house.waiting)
        await house.pins.look()
        if connection.vendor == "postgresql":
            house.listener = self._listener = Listener(house.waiting, house.policies)
            self._listener.start()
        if not settings.HARDENED:
            house.sequencer = self._sequencer = installation.sequencer(leading.elected)
            self._feeders = installation.feeders(self._sequencer)
            self._sequencer.start()
            for feeder in self._feeders:
                feeder.start()
        self._chores = [
            asyncio.create_task(_forever("recovery", RECOVERY_SECONDS, _recover)),
            asyncio.create_task(_forever("windows", LOOK_SECONDS, house.windows.look)),
            asyncio.create_task(_forever("pins", LOOK_SECONDS, house.pins.look)),
            asyncio.create_task(_forever("discovery", DISCOVERY_SECONDS, self._gateway.discover)),
            asyncio.create_task(_forever("agents", AGENT_LOOK_SECONDS, self._agents.look)),
            asyncio.create_task(_forever("leaving agents", IDLE_LOOK_SECONDS, self._agents.leave_when_idle)),
            asyncio.create_task(metrics.watch_loop()),
            asyncio.create_task(_forever("presence", RECOVERY_SECONDS, self._stay)),
            asyncio.create_task(_forever("counting", FLUSH_SECONDS, self._gateway.flush_counts)),
            asyncio.create_task(_forever("cleaning", CLEANING_SECONDS, _clean)),
            asyncio.create_task(
                _forever("sign of life", min(ALIVE_LOOK_SECONDS, settings.ALIVE_SECONDS or 60), _alive)
            ),
        ]
        await self._internal.start()
        self._signals.take()

    def _begin_shutdown(self) -> None:
        self._agents.begin_shutdown()
        self._gateway.begin_shutdown()

    def _enter(self) -> None:
        """Look whether this process may serve here at all. Raises Refused, AnotherGateway or a database's error."""
        soundness.require(soundness.mode())
        soundness.descriptors()
        soundness.require(soundness.durability())
        soundness.require(soundness.hardened())
        soundness.require(soundness.set_back_database())
        if not settings.HARDENED and not settings.ALL_IN_ONE:
            for weakness in soundness.record_guard():
                log.warning("the record is not guarded (see `manage.py harden`): %s", weakness)
        if settings.ALL_IN_ONE:
            self._alone.take()
        if connection.vendor == "postgresql":
            self._presence = Presence(alone=settings.ALL_IN_ONE)
            self._presence.take()

    def _leave(self) -> None:
        if self._presence is not None:
            self._presence.release()
        self._alone.release()

    async def _stay(self) -> None:
        if self._presence is not None:
            await in_database(self._presence.renew)

    async def _stop(self) -> None:
        self._signals.give_back()
        for chore in self._chores:
            chore.cancel()
        await self._gateway.drain()
        await self._internal.stop()
        await close_key_sets()
        if self._listener is not None:
            await self._listener.stop()
        await runtime().waiting.stop()
        await in_database(shut_down)
        for feeder in self._feeders:
            await asyncio.get_running_loop().run_in_executor(None, feeder.stop)
        if self._sequencer is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sequencer.stop)
        self._leave()


def _spare_the_collector() -> None:
    """Exempt what was loaded for good from garbage collection, and collect less often.

    A call leaves next to no cycles behind; looking for them every 700 objects took a tenth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


async def _forever(name: str, period: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do a chore again and again for as long as the process lives; a failure is reported and tried again."""
    while True:
        await asyncio.sleep(period)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - nothing is let through by a chore that failed
            log.warning("%s failed and is tried again: %s", name, type(error).__name__)


async def _recover() -> None:
    """Mark the calls of processes that died."""
    await in_database(lambda: recover(runtime(), exclusive=False))


async def _alive() -> None:
    """Write an entry when nothing else did for long; one process does, under the record's exclusive lock."""
    seconds = settings.ALIVE_SECONDS
    if seconds and await in_database(lambda: heartbeat.is_due(database_now(), seconds)):
        await runtime().journal.transact(lambda: heartbeat.work(database_now(), seconds), exclusive=True)


async def _clean() -> None:
    """Forget sessions of a week ago, keys and link codes of yesterday, and messages that went out long ago."""
    await in_database(legacy.forget_old)
    await in_database(mailbox.forget_old)
    await in_database(task_owners.forget_old)
    await in_database(buckets.forget_old)
    await in_database(stored.forget_old)
    await in_database(keyed.forget_old)
    await in_database(deliveries.forget_old)
    await in_database(outbox.forget_old)
    await in_database(accounts.forget_old_codes)
    await in_database(routes.forget_old)
