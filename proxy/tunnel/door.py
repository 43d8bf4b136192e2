"""The gateway's door for agents, `/ws/agent/`: a bare ASGI application of WebSockets, and the sockets that stand.

An agent shows its token before its socket is accepted, then says what it serves. The newest socket of an agent is
served, any other is closed; a revoked token closes it. Frames are read as they come: bounded by the credit of each
stream, nobody who takes an answer slowly holds up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError

from approvals.database import in_database
from approvals.origins import Own, host_allowed
from proxy.headers import Headers
from proxy.tunnel import frames, registry
from proxy.tunnel.calls import Calls, away
from proxy.tunnel.frames import FROM_AGENT, Frame, Hello, Kind, Opening, TunnelBroken
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.runtime import Runtime
    from proxy.counts import Counts
    from proxy.tunnel.registry import Admitted
    from proxy.upstream_answer import Opened
    from sessions.events import Event

log = logging.getLogger("holdgate.agents")

HELLO_SECONDS = 10.0
# An agent says how it fares every ten seconds; one that says nothing for so long is gone.
SILENT_SECONDS = 35.0
LOOK_SECONDS = 0.5
# Codes for closing, which the agent knows (proxy.agent.wire).
BROKEN, REVOKED, REPLACED, SILENT, GOING_AWAY = 4400, 4403, 4409, 4408, 1012
_WHY = {BROKEN: "broken", REVOKED: "revoked", REPLACED: "replaced", SILENT: "silent", GOING_AWAY: "shutdown"}


class Socket:
    """One agent's socket. `scope` is what it may serve now."""

    def __init__(self, admitted: Admitted, epoch: int, calls: Calls, closing: asyncio.Future[int]) -> None:
        self.name, self.epoch, self.calls = admitted.name, epoch, calls
        self.scope = admitted.connections
        self.health: dict[str, Any] = {}
        self.closing = closing

    def close(self, code: int) -> None:
        """Have it closed with this code, unless it is being closed already."""
        if not self.closing.done():
            self.closing.set_result(code)

    def serves(self, connection: str) -> bool:
        """Say whether the agent may serve a connection, and does."""
        return connection in self.scope and connection in self.calls.hello.connections


class Agents:
    """All agents that are connected to this process; also the application at their address.

    `is_idle` says whether no call runs any more, when the gateway stops.
    """

    def __init__(self, house: Runtime, counts: Counts, address: str = "") -> None:
        self._house = house
        self._counts = counts
        self.address = address
        self.sockets: dict[str, Socket] = {}
        self.is_idle: Callable[[], bool] = lambda: True
        self._told: dict[str, Any] = {}
        self._is_stopping = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        admitted = await self._admitted(Headers(scope["headers"]))
        if admitted is None or self._is_stopping:
            await send({"type": "websocket.close"})  # before it was accepted: HTTP 403
            return
        await send({"type": "websocket.accept"})
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                hello = Hello.read((await self._next(receive, frozenset({Kind.HELLO}))).payload)
        except (TunnelBroken, TimeoutError, _Gone) as error:
            log.warning("agent %s did not say what it serves: %s", admitted.name, str(error) or type(error).__name__)
            await _close(send, BROKEN)
            return
        await self._serve(admitted, hello, receive, send)

    async def open(self, agent: str, opening: Opening, body: bytes, deadline: float | None = None) -> Opened:
        """Send a request through an agent's socket of this process. Raises faults."""
        socket = self.sockets.get(agent)
        if socket is None:
            raise away(f"The agent {agent} of this connection is not connected.")
        if not socket.serves(opening.connection):
            raise away(f"The agent {agent} does not serve this connection.")
        return await socket.calls.open(opening, body, deadline)

    async def _admitted(self, headers: Headers) -> Admitted | None:
        """Return whose token is shown. Browsers are not let in: they say their origin."""
        own = Own(settings.PUBLIC_URL, settings.EXTRA_HOSTS)
        kind, _, token = (headers.first("authorization") or "").partition(" ")
        if not host_allowed(headers.first("host") or "", own) or headers.first("origin") or kind.lower() != "bearer":
            self._counts.add("unauthenticated", "")
            return None
        try:
            admitted = await in_database(partial(registry.admitted, token.strip()))
        except DatabaseError as error:
            log.error("no agent is let in: the database does not answer (%s)", type(error).__name__)
            return None
        if admitted is None:
            self._counts.add("unauthenticated", "")
        return admitted

    async def _serve(self, admitted: Admitted, hello: Hello, receive: Any, send: Any) -> None:
        name = admitted.name
        try:
            epoch = await self._house.journal.transact(partial(self._connect, name, hello))
        except RecordUnavailable as error:
            log.error("agent %s is not let in: %s", name, error)
            epoch = None
        if epoch is None:
            await _close(send, GOING_AWAY)
            return
        closing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        calls = Calls(name, hello, lambda message: send({"type": "websocket.send", "bytes": message}))
        socket = Socket(admitted, epoch, calls, closing)
        before = self.sockets.get(name)
        self.sockets[name] = socket
        if before is not None:
            before.close(REPLACED)
        log.info("agent %s is connected: build %s, serves %s", name, hello.build, ", ".join(hello.connections))
        code = BROKEN
        try:
            await send({"type": "websocket.send", "bytes": self._welcome(socket).encoded()})
            code = await self._until_closed(socket, receive)
        except TunnelBroken as error:
            log.error("agent %s sent %s", name, error)
        except OSError:
            code = 0
        finally:
            calls.lost()
            if self.sockets.get(name) is socket:
                del self.sockets[name]
            await self._gone(socket, _WHY.get(code, "lost"))
        if code:
            await _close(send, code)

    def _connect(self, name: str, hello: Hello) -> tuple[int | None, Sequence[Event]]:
        found = registry.connect(self._house, name, build=hello.build, serves=hello.connections, address=self.address)
        return (None, ()) if found is None else (found[0], [found[1]])

    def _welcome(self, socket: Socket) -> Frame:
        """Say what the agent may serve, and why not the rest."""
        connections = self._house.policies.current.policy.config.connections
        refused = {}
        for name in socket.calls.hello.connections:
            configured = connections.get(name)
            if name not in socket.scope:
                refused[name] = "its token is not for this connection"
            elif configured is None or configured.agent != socket.name:
                refused[name] = f"the gateway has no connection of this name with `agent: {socket.name}`"
        serves = [name for name in socket.calls.hello.connections if name not in refused]
        return Frame(Kind.WELCOME, 0, frames.headed({"agent": socket.name, "serves": serves, "refused": refused}))

    async def _until_closed(self, socket: Socket, receive: Any) -> int:
        """Read until the socket is closed, from here or there; return the code to close it with, 0 for none."""
        reading = asyncio.ensure_future(self._read(socket, receive))
        try:
            await asyncio.wait({reading, socket.closing}, return_when=asyncio.FIRST_COMPLETED)
            return socket.closing.result() if socket.closing.done() else await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, socket: Socket, receive: Any) -> int:
        while True:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    frame = await self._next(receive, FROM_AGENT)
            except TimeoutError:
                return SILENT
            except _Gone:
                return 0
            if frame.kind is Kind.HEALTH:
                self._heard_health(socket, frame)
            else:
                socket.calls.heard(frame)

    def _heard_health(self, socket: Socket, frame: Frame) -> None:
        socket.health = frames.health_of(frame.payload, socket.calls.hello.connections)
        self._told[socket.name] = socket.health

    async def _next(self, receive: Any, expected: frozenset[Kind]) -> Frame:
        event = await receive()
        if event["type"] != "websocket.receive":
            raise _Gone
        message = event.get("bytes")
        if message is None:
            raise TunnelBroken("text")
        return frames.decoded(message, expected)

    async def _gone(self, socket: Socket, why: str) -> None:
        log.info("agent %s is disconnected: %s", socket.name, why)

        def work() -> tuple[None, Sequence[Event]]:
            return None, [registry.disconnect(self._house, socket.name, socket.epoch, why)]

        try:
            await asyncio.shield(self._house.journal.transact(work))
        except RecordUnavailable as error:
            log.error("that agent %s is disconnected is not recorded: %s", socket.name, error)

    async def look(self) -> None:
        """Renew what this process has, and end what was revoked, replaced elsewhere, or may serve something else."""
        if not self.sockets:
            return
        epochs = {name: socket.epoch for name, socket in self.sockets.items()}
        told, self._told = self._told, {}
        found = await in_database(partial(registry.renew, epochs, told))
        for name, socket in list(self.sockets.items()):
            if socket.epoch != epochs.get(name):
                continue  # it came meanwhile
            if name in found:
                socket.scope = found[name].connections
            else:
                socket.close(await in_database(partial(_code_of, name)))

    def begin_shutdown(self) -> None:
        """Let no agent in any more."""
        self._is_stopping = True

    async def leave_when_idle(self) -> None:
        """After `begin_shutdown`: close all sockets as soon as no call runs, so that the server can end."""
        if self._is_stopping and self.is_idle() and not any(len(one.calls) for one in self.sockets.values()):
            for socket in self.sockets.values():
                socket.close(GOING_AWAY)


class _Gone(Exception):
    """The other side closed the socket, or it broke."""


def _code_of(name: str) -> int:
    return REVOKED if registry.is_revoked(name) else REPLACED


async def _close(send: Any, code: int) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # it may be gone already
        await send({"type": "websocket.close", "code": code})
