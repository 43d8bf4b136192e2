"""The ear of one gateway process on PostgreSQL: one connection that does nothing but LISTEN for hints of the others.

Nothing depends on a hint. A lost one is made good by the sweep of `approvals.waiting` within a second or two, and by
the record's writer, which lets no call pass under an outdated policy; a doubled, late or invented one costs a look.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import psycopg

from approvals import hints
from sessions import direct

if TYPE_CHECKING:
    from approvals.publication import Policies
    from approvals.waiting import Waiting

log = logging.getLogger("holdgate.listening")

CONNECT_SECONDS: Final = 10.0
# After so long without a hint the connection is asked whether it lives: the other end may be gone without a word.
SILENCE_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 5.0
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0


class Listener:
    """Listens on the loop that starts it until it is stopped, and connects again for as long as that takes."""

    def __init__(self, waiting: Waiting, policies: Policies) -> None:
        self.hears = False
        self._waiting = waiting
        self._policies = policies
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._forever())

    async def stop(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _forever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it was: nothing depends on hints, and the next try may hear
                if self.hears or pause == FIRST_PAUSE:
                    log.warning("no hints from other processes for a while: %s", type(error).__name__)
                pause = FIRST_PAUSE if self.hears else min(2 * pause, LONGEST_PAUSE)
                self.hears = False
            await asyncio.sleep(pause)

    async def _listen(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await _connect()
        async with connection:
            log.info("listening for hints from other processes")
            self.hears = True
            await self._catch_up()
            while True:
                async for notify in connection.notifies(timeout=SILENCE_SECONDS):
                    await self._heed(notify)
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute("SELECT 1")

    async def _catch_up(self) -> None:
        """Look at everything that may have changed while nobody listened."""
        self._waiting.missed()
        await self._policies.refreshed()

    async def _heed(self, notify: psycopg.Notify) -> None:
        sender, *words = notify.payload.split() or [""]
        if sender == hints.sender():
            return  # this process told itself already, without a detour
        if notify.channel == hints.POLICY:
            await self._policies.refreshed()
        else:
            self._waiting.heard(words)


async def _connect() -> psycopg.AsyncConnection[Any]:
    parameters = {**direct.parameters(), "application_name": "holdgate listener"}
    connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    try:
        for channel in (hints.REQUESTS, hints.POLICY):
            await connection.execute(f"LISTEN {channel}")
    except BaseException:
        await connection.close()
        raise
    return connection
