"""Who comes in: the token, and access to the connection, by the newest policy that any process published.

Whoever is let in is judged again under the revision that is current when their call is recorded; so here only a
refusal must look whether it rests on an older policy, and an accepted caller brings what it takes to be known anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DatabaseError

from approvals.config.schema import BUILT_IN
from approvals.secrets import Secret
from proxy.tokens import TokenRejected, authorization_of, bearer_token

if TYPE_CHECKING:
    from approvals.policy import Policy
    from approvals.publication import Policies, Snapshot
    from approvals.verdicts import Caller
    from approvals.windows import Windows
    from proxy.headers import RawHeaders
    from proxy.identity import Identity

log = logging.getLogger("holdgate.entrance")

# Says who the same token belongs to under another policy. Raises TokenRejected. Expiry counts as of arrival.
Identify = Callable[["Policy"], Awaitable["Caller"]]


class NoAccess(Exception):
    """The caller is known and may not use this connection, or there is none of that name."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller who may use the connection, under which revision that was found, and how to find it again."""

    caller: Caller
    revision: int
    identify: Identify
    token: Secret


class Entrance:
    """Lets callers in; one per process."""

    def __init__(self, policies: Policies, identity: Identity, windows: Windows) -> None:
        self._policies = policies
        self._identity = identity
        self._windows = windows
        self._newest = _Newest(policies)

    async def admit(self, connection: str, headers: RawHeaders) -> Admitted:
        """Return who sends these header fields. Raises TokenRejected or NoAccess."""
        token, arrived = authorization_of(headers), time.time()

        async def identify(policy: Policy) -> Caller:
            caller = await self._identity.authenticate(token, connection=connection, policy=policy, now=arrived)
            return self._windows.attach(caller)

        snapshot = self._policies.current
        try:
            return await _admitted(identify, connection, snapshot, token)
        except (TokenRejected, NoAccess):
            newest = await self._newest.snapshot()
            if newest.policy.access_terms(connection) is not None:
                await self._windows.refreshed()  # one may have been opened a moment ago
            elif newest.revision == snapshot.revision:
                raise
        return await _admitted(identify, connection, newest, token)


async def _admitted(identify: Identify, connection: str, snapshot: Snapshot, token: str | None) -> Admitted:
    caller = await identify(snapshot.policy)
    # Whom an issuer vouches for may use the gateway's own tools: they show nothing but what concerns the caller.
    if connection != BUILT_IN and not snapshot.policy.may_use(caller, connection):
        raise NoAccess
    return Admitted(caller, snapshot.revision, identify, Secret(bearer_token(token)))


class _Newest:
    """Asks the database for the newest policy: one question at a time, however many were refused meanwhile."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._running: asyncio.Task[Snapshot] | None = None
        self._following: asyncio.Task[Snapshot] | None = None

    async def snapshot(self) -> Snapshot:
        """Return the policy by a question that begins after this call; the known one if there is no answer."""
        if self._following is None:
            self._following = asyncio.ensure_future(self._ask(self._running))
        return await asyncio.shield(self._following)

    async def _ask(self, before: asyncio.Task[Snapshot] | None) -> Snapshot:
        if before is not None:
            await asyncio.wait({before})
        self._running, self._following = self._following, None
        try:
            return await self._policies.refreshed()
        except DatabaseError as error:
            log.warning("cannot look for a newer policy: %s", type(error).__name__)
            return self._policies.current
