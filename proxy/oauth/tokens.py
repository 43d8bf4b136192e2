"""The tokens that this process holds for servers: got once for all calls that need them, kept while they are good."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals import known
from proxy.errors import CredentialUnavailable
from proxy.oauth.asking import Granted, ask
from proxy.oauth.servers import Servers

if TYPE_CHECKING:
    import httpx

    from approvals.config.oauth import OAuth
    from approvals.config.schema import Connection
    from approvals.secrets import Secret
    from proxy.credentials import Credentials

CAPACITY = 10_000
# A token is given up this long before its end, or after three quarters of a short life.
MARGIN_SECONDS = 120.0
MARGIN_SHARE = 0.25
# After a failure so long nobody asks again: calls that come meanwhile hear of the same one.
RETRY_SECONDS = 1.0
# Of one call, discovery included. A call may need two tokens, and both lie within the margin of its recovery.
LONGEST_WAIT = 12.0

Place = tuple[str, "OAuth", str]
"""Connection, what it says, and the server's address."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token for a server; `was_kept` where it was got for an earlier call, and a new one may be better."""

    secret: Secret
    was_kept: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    secret: Secret
    until: float


class Tokens:
    """One per process, used by one event loop. `transport` asks authorization servers."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        credentials: Credentials,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._servers = Servers(transport, clock=clock)
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()
        self._failed: dict[Place, tuple[CredentialUnavailable, float]] = {}
        self._running: dict[Place, asyncio.Task[_Kept]] = {}

    def peek(self, name: str, connection: Connection) -> Secret | None:
        """Return the token that the next call would use, where there is one already."""
        kept = self._fresh(_place(name, connection))
        return None if kept is None else kept.secret

    async def get(self, name: str, connection: Connection) -> Token:
        """Return a token for a connection's server. Raises CredentialUnavailable."""
        place = _place(name, connection)
        if (kept := self._fresh(place)) is not None:
            return Token(kept.secret, was_kept=True)
        failed, until = self._failed.get(place, (None, 0.0))
        if failed is not None and self._clock() < until:
            raise CredentialUnavailable(failed.message, detail=failed.detail)
        if (task := self._running.get(place)) is None:
            task = self._running[place] = asyncio.ensure_future(self._obtain(place))
            task.add_done_callback(lambda done: self._finished(place, done))
        try:
            # Shielded: a caller that leaves must not take the answer from the others that wait for it.
            kept = await asyncio.wait_for(asyncio.shield(task), LONGEST_WAIT)
        except TimeoutError:
            message = "The authorization server of this connection took too long to give a token."
            raise CredentialUnavailable(message, detail="token_endpoint_unreachable") from None
        return Token(kept.secret, was_kept=False)

    def forget(self, name: str, connection: Connection, refused: Secret) -> None:
        """Drop a token that the server has just refused, unless another one has taken its place already."""
        place = _place(name, connection)
        if (kept := self._kept.get(place)) is not None and kept.secret == refused:
            del self._kept[place]

    def _fresh(self, place: Place) -> _Kept | None:
        kept = self._kept.get(place)
        return kept if kept is not None and self._clock() < kept.until else None

    async def _obtain(self, place: Place) -> _Kept:
        granted = await self._granted(place)
        margin = min(MARGIN_SECONDS, granted.seconds * MARGIN_SHARE)
        kept = _Kept(granted.access, self._clock() + granted.seconds - margin)
        known.remember_passing(f"{place[0]} {place[2]}", granted.access.reveal())
        self._kept[place] = kept
        self._kept.move_to_end(place)
        if len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)
        return kept

    async def _granted(self, place: Place) -> Granted:
        _, oauth, url = place
        form: dict[str, str | tuple[str, ...]] = {"grant_type": oauth.grant, **wanted(oauth, url)}
        endpoint = await self._servers.endpoint(oauth, "token_endpoint")
        return await ask(self._transport, endpoint, oauth, self._credentials, form)

    def _finished(self, place: Place, done: asyncio.Task[_Kept]) -> None:
        self._running.pop(place, None)
        self._failed.pop(place, None)
        # Seen here as well: every waiter may have given up before.
        if not done.cancelled() and isinstance(error := done.exception(), CredentialUnavailable):
            self._failed[place] = error, self._clock() + RETRY_SECONDS


def wanted(oauth: OAuth, url: str) -> dict[str, str | tuple[str, ...]]:
    """Return the fields that say what a token is to be good for."""
    found: dict[str, str | tuple[str, ...]] = {}
    if oauth.scope:
        found["scope"] = " ".join(oauth.scope)
    if oauth.audience:
        found["audience"] = oauth.audience
    if resource := oauth.resource_for(url):
        found["resource"] = resource
    return found


def _place(name: str, connection: Connection) -> Place:
    if connection.credential is None or connection.credential.oauth is None:
        raise ValueError("the connection has no OAuth credential")
    return name, connection.credential.oauth, str(connection.url)
