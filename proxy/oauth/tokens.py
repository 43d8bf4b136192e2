"""The tokens that this process holds for servers: got once for all calls that need them, kept while they are good."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from django.conf import settings
from django.db import Error as DatabaseFailure

from approvals import keys, known
from approvals.database import in_database
from proxy.errors import CredentialUnavailable
from proxy.oauth import stored
from proxy.oauth.asking import ask
from proxy.oauth.renewing import NotConnected, Renewing
from proxy.oauth.servers import Servers

if TYPE_CHECKING:
    import httpx

    from approvals.config.oauth import OAuth
    from approvals.config.schema import Connection
    from approvals.secrets import Secret
    from approvals.verdicts import Caller
    from proxy.credentials import Credentials
    from proxy.oauth.asking import Granted

K = TypeVar("K")
V = TypeVar("V")
CAPACITY = 10_000
# A token is given up this long before its end, or after three quarters of a short life.
MARGIN_SECONDS = 120.0
MARGIN_SHARE = 0.25
# After a failure so long nobody asks again: calls that come meanwhile hear of the same one.
RETRY_SECONDS = 1.0
# Of one call, discovery included. A call may need two tokens, and both lie within the margin of its recovery.
LONGEST_WAIT = 12.0
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPE = "urn:ietf:params:oauth:token-type:"


class Asker(NamedTuple):
    """Who calls, and the token that showed it; none where the gateway asks by itself."""

    caller: Caller
    token: Secret | None = None


class Place(NamedTuple):
    """For what a token is: connection, how it is got, the server's address, and for whom; empty: for everybody."""

    name: str
    oauth: OAuth
    url: str
    who: str

    @property
    def digest(self) -> str:
        """The place of a stored grant: another server, client or holder has nothing of it."""
        oauth = self.oauth
        where = (str(oauth.issuer), str(oauth.token_endpoint), oauth.client_id, " ".join(oauth.scope))
        return keys.keyed_digest("token-grant", self.name, oauth.grant, *where, self.url, self.who)


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
        self._renewing = Renewing(margin_of)
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()
        self._refused: OrderedDict[Place, Secret] = OrderedDict()
        self._failed: OrderedDict[Place, tuple[CredentialUnavailable, float]] = OrderedDict()
        self._running: dict[Place, asyncio.Task[_Kept]] = {}

    def peek(self, name: str, connection: Connection, asker: Asker) -> Secret | None:
        """Return the token that the next call would use, where there is one already."""
        kept = self._fresh(_place(name, connection, asker))
        return None if kept is None else kept.secret

    async def get(self, name: str, connection: Connection, asker: Asker) -> Token:
        """Return a token for a connection's server. Raises CredentialUnavailable."""
        place = _place(name, connection, asker)
        if (kept := self._fresh(place)) is not None:
            return Token(kept.secret, was_kept=True)
        failed, until = self._failed.get(place, (None, 0.0))
        if failed is not None and self._clock() < until:
            raise CredentialUnavailable(failed.message, detail=failed.detail, url=failed.url)
        if (task := self._running.get(place)) is None:
            task = self._running[place] = asyncio.ensure_future(self._obtain(place, asker))
            task.add_done_callback(lambda done: self._finished(place, done))
        try:
            # Shielded: a caller that leaves must not take the answer from the others that wait for it.
            kept = await asyncio.wait_for(asyncio.shield(task), LONGEST_WAIT)
        except TimeoutError:
            message = "The authorization server of this connection took too long to give a token."
            raise CredentialUnavailable(message, detail="token_endpoint_unreachable") from None
        return Token(kept.secret, was_kept=False)

    def forget(self, name: str, connection: Connection, asker: Asker, refused: Secret) -> None:
        """Drop a token that the server has just refused, unless another one has taken its place already."""
        place = _place(name, connection, asker)
        if (kept := self._kept.get(place)) is not None and kept.secret == refused:
            del self._kept[place]
            _remember(self._refused, place, refused)

    def _fresh(self, place: Place) -> _Kept | None:
        kept = self._kept.get(place)
        return kept if kept is not None and self._clock() < kept.until else None

    async def _obtain(self, place: Place, asker: Asker) -> _Kept:
        secret, seconds = await self._got(place, asker)
        kept = _Kept(secret, self._clock() + seconds)
        if not place.who:
            known.remember_passing(f"{place.name} {place.url}", secret.reveal())
        _remember(self._kept, place, kept)
        return kept

    async def _got(self, place: Place, asker: Asker) -> tuple[Secret, float]:
        """Return a token as its grant gives it, and for how many seconds it may be kept."""
        match place.oauth.grant:
            case "client_credentials":
                return _usable(await self._ask(place, {"grant_type": "client_credentials"}))
            case "token_exchange":
                return await self._exchanged(place, asker)
            case "refresh_token":
                return await self._renewed(place)
            case "authorization_code":
                return await self._connected(place, asker)

    async def _ask(self, place: Place, form: dict[str, str]) -> Granted:
        endpoint = await self._servers.endpoint(place.oauth, "token_endpoint")
        fields = {**form, **wanted(place.oauth, place.url)}
        return await ask(self._transport, endpoint, place.oauth, self._credentials, fields)

    async def _exchanged(self, place: Place, asker: Asker) -> tuple[Secret, float]:
        """Exchange the caller's token for one of the server (RFC 8693). The server itself never sees the former."""
        if asker.token is None:
            message = "The token for this server is exchanged for a caller's, and here is no caller."
            raise CredentialUnavailable(message, detail="no_caller")
        form = {
            "grant_type": _EXCHANGE,
            "subject_token": asker.token.reveal(),
            "subject_token_type": f"{_TYPE}{place.oauth.subject_token_type}",
            "requested_token_type": f"{_TYPE}access_token",
        }
        secret, seconds = _usable(await self._ask(place, form))
        if secret == asker.token:
            # An authorization server that gives back what it was given would make us pass it on.
            message = "The authorization server gave back the caller's own token, which never travels to a server."
            raise CredentialUnavailable(message, detail="token_invalid")
        return secret, seconds

    async def _renewed(self, place: Place) -> tuple[Secret, float]:
        """Return a token of the connection's own grant, which begins with the configured refresh token."""
        first = await self._credentials.resolve(str(place.oauth.refresh_token))
        # Another first token is another grant: an admin put it there because the old one had ended.
        digest = keys.keyed_digest("token-grant-seed", place.digest, first.reveal())
        try:
            await in_database(partial(stored.seed, digest, connection=place.name, refresh=first))
        except DatabaseFailure as error:
            message = "What renews the token of this connection cannot be stored now."
            raise CredentialUnavailable(message, detail="grant_unreadable") from error
        try:
            return await self._renewing.token(digest, partial(self._refresh, place), self._refused.pop(place, None))
        except NotConnected as error:
            message = "The refresh token of this connection is no longer taken: an admin must get a new one and put it"
            message += " at the place that `refresh_token` names."
            raise CredentialUnavailable(message, detail="grant_ended") from error

    async def _connected(self, place: Place, asker: Asker) -> tuple[Secret, float]:
        """Return a token of the account that the caller has connected."""
        try:
            return await self._renewing.token(
                place.digest, partial(self._refresh, place), self._refused.pop(place, None)
            )
        except NotConnected as error:
            raise not_connected(asker.caller, ended=bool(str(error))) from error

    async def _refresh(self, place: Place, refresh: Secret) -> Granted:
        return await self._ask(place, {"grant_type": "refresh_token", "refresh_token": refresh.reveal()})

    def _finished(self, place: Place, done: asyncio.Task[_Kept]) -> None:
        self._running.pop(place, None)
        self._failed.pop(place, None)
        # Seen here as well: every waiter may have given up before.
        if not done.cancelled() and isinstance(error := done.exception(), CredentialUnavailable):
            _remember(self._failed, place, (error, self._clock() + RETRY_SECONDS))


def margin_of(seconds: float) -> float:
    """Return how much of the end of a token's life is not used."""
    return min(MARGIN_SECONDS, max(0.0, seconds) * MARGIN_SHARE)


def not_connected(caller: Caller, *, ended: bool) -> CredentialUnavailable:
    """Return what is said to a caller who has no account at a server, and where a person gets one."""
    detail = "account_ended" if ended else "account_missing"
    if caller.kind != "person":
        message = "The server wants an account of whoever calls, which people alone can connect; this caller is none."
        return CredentialUnavailable(message, detail=detail)
    begin = "The server takes your account no longer" if ended else "You have connected no account at this server yet"
    message = f"{begin}: open the page in a browser, connect your account there, and call again."
    return CredentialUnavailable(message, detail=detail, url=f"{settings.PUBLIC_URL}/me/servers/")


def account_place(name: str, connection: Connection, account: str) -> str:
    """Return the place of what one person has stored for a connection. Raises ValueError where nobody has."""
    if connection.credential is None or connection.credential.oauth is None:
        raise ValueError("the connection has no OAuth credential")
    return Place(name, connection.credential.oauth, str(connection.url), account).digest


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


def _usable(granted: Granted) -> tuple[Secret, float]:
    return granted.access, granted.seconds - margin_of(granted.seconds)


def _remember(held: OrderedDict[K, V], key: K, value: V) -> None:
    held[key] = value
    held.move_to_end(key)
    if len(held) > CAPACITY:
        held.popitem(last=False)


def _place(name: str, connection: Connection, asker: Asker) -> Place:
    if connection.credential is None or connection.credential.oauth is None:
        raise ValueError("the connection has no OAuth credential")
    oauth, who = connection.credential.oauth, ""
    if oauth.grant == "authorization_code":
        who = asker.caller.key
    if oauth.grant == "token_exchange":
        # Of one and the same token: another one may stand for less.
        token = asker.token.reveal() if asker.token is not None else ""
        who = f"{asker.caller.key} {hashlib.sha256(token.encode()).hexdigest()}"
    return Place(name, oauth, str(connection.url), who)
