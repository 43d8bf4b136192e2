"""Looking at the tools of each server without a caller: when a connection is published, at a start, and now and then.

A connection's credential is its own and not a caller's, so the gateway can ask by itself. Nothing waits for it: a
server that is down is tried again, and the catalogue says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from django.conf import settings

from approvals.catalogue import watching
from approvals.database import in_database
from approvals.verdicts import Caller
from proxy.errors import CredentialUnavailable, Fault, UpstreamInvalid, UpstreamTimeout, UpstreamUnavailable
from proxy.exchange import Exchange
from proxy.faults import CallFailed
from proxy.knobs import NO_WISHES
from proxy.mcp import LEGACY, MODERN, Message
from proxy.oauth.tokens import Asker
from proxy.own_requests import nothing
from proxy.tokens import TokenRejected
from sessions.journal import RecordUnavailable

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from proxy.catalogue import Catalogue
    from proxy.own_requests import OwnRequests
    from proxy.transport import Transport

log = logging.getLogger("holdgate.catalogue")

Era = Literal["legacy", "modern"]
# So many servers at a time.
AT_ONCE: Final = 4
# After these another era would be told the same.
_ENOUGH: Final = (CredentialUnavailable, UpstreamUnavailable, UpstreamTimeout)
_NOT_RECORDED: Final = "The record cannot be written, so the server was not asked."
_NOBODY: Final = Caller(iss="", sub="", kind="agent")


class Discovery:
    """Looks at what is due; one per process."""

    def __init__(self, house: Runtime, transport: Transport, requests: OwnRequests, catalogue: Catalogue) -> None:
        self._house = house
        self._transport = transport
        self._requests = requests
        self._catalogue = catalogue
        self._eras: dict[str, Era] = {}
        self._changed: frozenset[str] | None = None  # whose servers said so; None before the first look of all
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def look(self) -> None:
        """Begin to look at whatever is due now."""
        if not settings.CATALOGUE_SECONDS:
            return
        snapshot = await self._house.policies.refreshed()
        connections = {name: one for name, one in snapshot.policy.config.connections.items() if can_look(one)}
        places = {name: watching.place_of(one) for name, one in connections.items() if name not in self._running}
        changed = (self._changed or frozenset()) | self._catalogue.changed()
        asked = frozenset(connections) if self._changed is None else changed
        period = timedelta(seconds=settings.CATALOGUE_SECONDS)
        # To look at a server over stdio is to start it, and while none is started its tools do not change.
        started = frozenset(name for name, one in connections.items() if one.transport == "stdio")
        claimed = await in_database(partial(watching.claim, places, period, asked, seldom=started))
        # What was looked at too lately is looked at later.
        self._changed = changed.difference(claimed) & connections.keys()
        for name in claimed:
            self._begin(name, self._look_at(name, connections[name], snapshot))

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._running[name] = asyncio.ensure_future(work)
        task.add_done_callback(partial(self._done, name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        del self._running[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("looking at the tools of %s failed: %s", name, type(error).__name__, exc_info=error)

    async def stop(self) -> None:
        """End what runs; what was begun is recorded as cancelled."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look_at(self, name: str, connection: Connection, snapshot: Snapshot) -> None:
        async with self._turns:
            failed = await self._failure(name, connection, snapshot)
        if failed:
            log.warning("the tools of %s cannot be looked at: %s", name, failed)
        await in_database(partial(watching.looked, name, failed))

    async def _failure(self, name: str, connection: Connection, snapshot: Snapshot) -> str:
        """Look, and return in words why it could not be done; empty when it was."""
        try:
            await self._in_some_era(name, connection, snapshot)
        except Fault as fault:
            return fault.message
        except CallFailed as failed:
            return failed.refusal.message
        except RecordUnavailable:
            return _NOT_RECORDED
        return ""

    async def _in_some_era(self, name: str, connection: Connection, snapshot: Snapshot) -> None:
        """Look as the server is known to speak, or as most do, and otherwise in the other era. Raises Fault."""
        first: Era = self._eras.get(name, "legacy")
        other: Era = "modern" if first == "legacy" else "legacy"
        try:
            await self._in_era(first, name, connection, snapshot)
        except _ENOUGH:
            raise
        except Fault as fault:
            try:
                await self._in_era(other, name, connection, snapshot)
            except Fault:
                raise fault from None
            self._eras[name] = other

    async def _in_era(self, era: Era, name: str, connection: Connection, snapshot: Snapshot) -> None:
        exchange = _exchange(era, name, connection, snapshot)
        try:
            if era == "legacy":
                await self._shake_hands(exchange)
            await self._catalogue.look(exchange)
        finally:
            if exchange.session is not None:
                await self._leave(connection, exchange)

    async def _shake_hands(self, exchange: Exchange) -> None:
        """Open a session, where the server has any, in a revision that both sides speak. Raises Fault."""
        client = {"name": "holdgate", "version": settings.BUILD}
        params = {"protocolVersion": LEGACY[-1], "capabilities": {}, "clientInfo": client}
        deadline = time.monotonic() + exchange.connection.timeout
        result = await self._requests.ask(exchange, "initialize", params, read=nothing, deadline=deadline)
        version = result.get("protocolVersion")
        if version not in LEGACY:
            raise UpstreamInvalid("The upstream speaks no revision of the protocol that the gateway knows.")
        exchange.message = replace(exchange.message, version=version)
        exchange.headers = [(b"mcp-protocol-version", version.encode())]
        await self._requests.tell(exchange, "notifications/initialized")

    async def _leave(self, connection: Connection, exchange: Exchange) -> None:
        """End the session; a server that does not take that is left alone."""
        if exchange.session is None:
            return
        try:
            asker, session = Asker(exchange.caller), exchange.session
            await self._transport.end_session(exchange.connection_name, connection, asker, exchange.actor, session)
        except Fault as fault:
            log.info("the upstream of %s did not end a session: %s", exchange.connection_name, fault.reason)


def can_look(connection: Connection) -> bool:
    """Say whether the gateway looks at a connection's tools by itself: pinned, and without a caller's own tokens."""
    return connection.pin_tools and not connection.is_for_callers


def _exchange(era: Era, name: str, connection: Connection, snapshot: Snapshot) -> Exchange:
    """Return an exchange of the gateway's own, behind which is no caller and no call."""
    version = MODERN[-1] if era == "modern" else LEGACY[-1]
    message = Message(
        kind="request",
        id=None,
        method="tools/list",
        params={},
        name=None,
        arguments=None,
        era=era,
        version=version,
        progress_token=None,
        meta={},
        session=None,
        raw=b"",
    )
    return Exchange(
        call_id="",
        caller=_NOBODY,
        connection_name=name,
        connection=connection,
        message=message,
        knobs=NO_WISHES,
        snapshot=snapshot,
        identify=_nobody,
        identified_under=snapshot.revision,
        headers=[(b"mcp-protocol-version", version.encode())] if era == "modern" else [],
    )


async def _nobody(policy: Policy) -> NoReturn:
    raise TokenRejected("Nobody called.")
