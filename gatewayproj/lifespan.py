"""Start and stop of one web process: record, recovery, waiters, sequencer, and the end that open streams get."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from approvals import keyed
from approvals.database import in_database
from approvals.reachability import unreachable_quorums
from approvals.recovery import recover
from approvals.runtime import runtime, shut_down
from gatewayproj.alone import Alone
from gatewayproj.env import settings_digest
from gatewayproj.wiring import close_key_sets
from proxy import legacy
from proxy.counts import FLUSH_SECONDS
from sessions import logkey
from sessions.anchors import FileAnchor
from sessions.events import Event
from sessions.sequencer import Sequencer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from proxy.endpoint import Gateway

log = logging.getLogger("holdgate.process")

RECOVERY_SECONDS = 5.0
CLEANING_SECONDS = 3600.0


class Lifespan:
    """Wraps the routers and answers ASGI's lifespan messages (ASGI spec, lifespan 2.0)."""

    def __init__(self, app: Any, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway
        self._sequencer: Sequencer | None = None
        self._chores: list[asyncio.Task[None]] = []
        self._alone = Alone(Path(settings.STATE_DIR))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        try:
            await self._start()
        except Exception as error:
            log.exception("the gateway cannot start")
            self._alone.release()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        house = await in_database(runtime)
        # The only process: whoever wrote before is gone, so what it left open is known to be over.
        alone = settings.ALL_IN_ONE or connection.vendor == "sqlite"
        if alone:
            self._alone.take()
        await in_database(lambda: recover(house, exclusive=alone))
        snapshot = await in_database(house.policies.reload)
        for gap in await in_database(lambda: unreachable_quorums(snapshot.policy)):
            log.error("nobody could decide what is held: %s", gap)
        serving = Event(
            kind="process.serving",
            policy_revision=snapshot.revision,
            policy_digest=snapshot.digest,
            facts={"settings": settings_digest()},
        )
        await house.journal.append(serving)
        house.waiting.start()
        state = Path(settings.STATE_DIR)
        signer = logkey.ensure(state / "keys" / "log.key", settings.ORIGIN)
        self._sequencer = Sequencer(signer, [FileAnchor(state / "anchor" / "checkpoints.txt")])
        self._sequencer.start()
        self._chores = [
            asyncio.create_task(_forever("recovery", RECOVERY_SECONDS, _recover)),
            asyncio.create_task(_forever("counting", FLUSH_SECONDS, self._gateway.flush_counts)),
            asyncio.create_task(_forever("cleaning", CLEANING_SECONDS, _clean)),
        ]

    async def _stop(self) -> None:
        for chore in self._chores:
            chore.cancel()
        await self._gateway.drain()
        await close_key_sets()
        await runtime().waiting.stop()
        await in_database(shut_down)
        if self._sequencer is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sequencer.stop)
        self._alone.release()


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


async def _clean() -> None:
    """Forget sessions of a week ago and keys of yesterday."""
    await in_database(legacy.forget_old)
    await in_database(keyed.forget_old)
