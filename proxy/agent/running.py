"""The life of an agent: it dials in, serves for as long as the socket stands, and dials in again; until it is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.agent.answering import Answering
from proxy.agent.servers import Servers
from proxy.agent.wire import REPLACED, REVOKED, NotConnected, Wire, dialled
from proxy.errors import Fault
from proxy.tunnel import frames
from proxy.tunnel.frames import FROM_GATEWAY, Frame, Hello, Kind, TunnelBroken

if TYPE_CHECKING:
    from proxy.agent.file import AgentFile

log = logging.getLogger("holdgate.agent")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
# Who was turned away knocks seldom: only a person can change that.
TURNED_AWAY_SECONDS = 30.0
# A socket that stood for so long was a good one: the next pause is short again.
GOOD_SECONDS = 10.0
HEALTH_SECONDS = 10.0
LEAVING_SECONDS = 25.0
_TURNED_AWAY = frozenset({401, 403})


class Agent:
    """One agent. `ready` is a file that is there while it is connected, for whoever looks after the process."""

    def __init__(self, file: AgentFile, build: str, ready: Path | None = None) -> None:
        self._file = file
        self._build = build
        self._ready = ready
        self._stopping = asyncio.Event()
        self._servers = Servers(file)

    def stop(self) -> None:
        """Let what runs finish, and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`."""
        failures = 0
        try:
            while not self._stopping.is_set():
                begun = time.monotonic()
                longest = await self._once(failures)
                failures = 0 if time.monotonic() - begun > GOOD_SECONDS else failures + 1
                # Anything up to the whole pause: a gateway that restarts is not met by all its agents at once.
                pause = random.uniform(0, min(longest, FIRST_PAUSE * 2 ** min(failures, 10)))  # noqa: S311 - no secret
                pause = max(pause, longest / 2) if longest > LONGEST_PAUSE else pause
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
        finally:
            self._show(is_ready=False)
            await self._servers.aclose()

    async def _once(self, failures: int) -> float:
        """Dial in and serve; return the longest pause before the next time."""
        try:
            token = await self._servers.credentials.resolve(self._file.token)
            route = await self._servers.routes.of(self._file)
            async with dialled(self._file.address, token, route, self._build) as wire:
                return await self._serve(wire)
        except NotConnected as error:
            if error.status in _TURNED_AWAY:
                log.error("the gateway does not take this agent's token: make one with `manage.py agents`")
                self._servers.credentials.forget(self._file.token)
                return TURNED_AWAY_SECONDS
            log.log(logging.WARNING if failures < 3 else logging.INFO, "not connected: %s", error)
        except Fault as fault:
            log.error("not connected: %s", fault.message)
        except TunnelBroken as error:
            log.error("the gateway sent %s", error)
        return LONGEST_PAUSE

    async def _serve(self, wire: Wire) -> float:
        answering = Answering(self._servers, wire.send)
        leaving = asyncio.ensure_future(self._leave(wire, answering))
        telling = asyncio.ensure_future(self._tell_health(wire))
        try:
            hello = Hello(self._build, tuple(self._file.connections))
            await wire.send(Frame(Kind.HELLO, 0, hello.payload()).encoded())
            async for message in wire.messages():
                frame = frames.decoded(message, FROM_GATEWAY)
                if frame.kind is Kind.WELCOME:
                    self._welcomed(frame)
                else:
                    await answering.heard(frame)
        except OSError:
            log.info("the socket was lost")
        finally:
            self._show(is_ready=False)
            for task in (leaving, telling):
                task.cancel()
            await asyncio.gather(leaving, telling, return_exceptions=True)
            await answering.aclose()
        code, words = wire.why
        log.log(logging.INFO if self._stopping.is_set() else logging.WARNING, "disconnected: %s", words)
        return TURNED_AWAY_SECONDS if code in {REVOKED, REPLACED} else LONGEST_PAUSE

    def _welcomed(self, frame: Frame) -> None:
        document, _ = frames.parted(frame.payload)
        refused = document.get("refused") or {}
        log.info("connected as %s; serves %s", document.get("agent"), ", ".join(document.get("serves") or ()) or "none")
        for name, why in refused.items():
            log.warning("%s is not served: %s", name, why)
        self._show(is_ready=True)

    async def _tell_health(self, wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while True:
                health = {name: one.shown() for name, one in self._servers.health.items()}
                await asyncio.sleep(0.5)
                await wire.send(Frame(Kind.HEALTH, 0, frames.headed({"connections": health})).encoded())
                await asyncio.sleep(HEALTH_SECONDS)

    async def _leave(self, wire: Wire, answering: Answering) -> None:
        """When told to stop: take no more requests, finish those that run, and close."""
        await self._stopping.wait()
        with contextlib.suppress(OSError, TimeoutError):
            await wire.send(Frame(Kind.LEAVING).encoded())
            await asyncio.sleep(0.1)  # what was on its way comes
            await asyncio.wait_for(answering.idle.wait(), LEAVING_SECONDS)
        await wire.close()

    def _show(self, *, is_ready: bool) -> None:
        if self._ready is None:
            return
        with contextlib.suppress(OSError):
            if is_ready:
                self._ready.touch()
            else:
                self._ready.unlink(missing_ok=True)
