"""A person connects their own account at a server: authorization code with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9207).

What a browser brings back counts only in the session that began it, for the connection that it was begun for, once,
and within ten minutes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from django.conf import settings

from approvals import keys
from approvals.secret_reader import configured
from approvals.secrets import Secret
from proxy.credentials import Credentials
from proxy.models import TokenGrant
from proxy.oauth import stored
from proxy.oauth.asking import Granted, ask
from proxy.oauth.servers import Servers
from proxy.oauth.tokens import account_place, wanted
from proxy.upstream import pooled_transport
from sessions.events import Event

if TYPE_CHECKING:
    from approvals.config.oauth import OAuth
    from approvals.config.schema import Connection
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime

T = TypeVar("T")
SECONDS = 600


class ConnectingFailed(Exception):
    """The account was not connected; the text is for the person."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What the session keeps until the browser comes back."""

    place: str
    state: str
    verifier: str
    until: float


def begin(name: str, connection: Connection, account: str, callback: str) -> tuple[str, dict[str, Any]]:
    """Return where the browser goes, and what the session keeps. Raises CredentialUnavailable. Blocks."""
    oauth = _oauth(connection)
    begun = Begun(
        account_place(name, connection, account),
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(48),
        time.time() + SECONDS,
    )

    async def endpoint(servers: Servers, *_: Any) -> str:
        return await servers.endpoint(oauth, "authorization_endpoint")

    address = _asked(endpoint)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": oauth.client_id,
        "redirect_uri": callback,
        "state": begun.state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **wanted(oauth, str(connection.url)),
    }
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query, doseq=True)}", asdict(begun)


def finish(
    runtime: Runtime,
    name: str,
    connection: Connection,
    account: str,
    callback: str,
    kept: Mapping[str, Any] | None,
    answer: Mapping[str, str],
) -> None:
    """Store the account that an answer of the authorization server gives.

    Raises ConnectingFailed, CredentialUnavailable and RecordUnavailable. Blocks.
    """
    oauth, place = _oauth(connection), account_place(name, connection, account)
    begun = Begun(**kept) if kept is not None else None
    if begun is None or begun.place != place or begun.until < time.time() or not _same(answer, begun.state):
        raise ConnectingFailed(
            "This answer belongs to nothing that was begun here in the last ten minutes. Begin anew."
        )
    if "code" not in answer:
        raise ConnectingFailed("The server's sign-in ended without access. Nothing was connected.")
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": callback,
        "code_verifier": begun.verifier,
    }

    async def redeem(servers: Servers, transport: Any, credentials: Credentials) -> Granted:
        await _check_sender(servers, oauth, answer.get("iss"))
        endpoint = await servers.endpoint(oauth, "token_endpoint")
        return await ask(transport, endpoint, oauth, credentials, {**form, **wanted(oauth, str(connection.url))})

    granted = _asked(redeem)

    def work() -> tuple[None, list[Event]]:
        holder, refresh = keys.actor(account), granted.refresh or Secret("")
        stored.put(place, connection=name, holder=holder, refresh=refresh, granted=granted)
        return None, [_entry("connected", runtime.policies.current, name, account)]

    runtime.journal.transact_now(work)


def disconnect(runtime: Runtime, name: str, connection: Connection, account: str) -> bool:
    """Forget a person's account at a server; say whether there was one. Raises RecordUnavailable."""
    place = account_place(name, connection, account)

    def work() -> tuple[bool, list[Event]]:
        gone = TokenGrant.objects.filter(pk=place).delete()[0] == 1
        return gone, [_entry("disconnected", runtime.policies.current, name, account)] if gone else []

    return runtime.journal.transact_now(work)


def _oauth(connection: Connection) -> OAuth:
    if connection.credential is None or connection.credential.oauth is None:
        raise ValueError("the connection has no OAuth credential")
    return connection.credential.oauth


def _same(answer: Mapping[str, str], state: str) -> bool:
    return hmac.compare_digest(answer.get("state", "").encode(), state.encode())


async def _check_sender(servers: Servers, oauth: OAuth, sender: str | None) -> None:
    """Refuse an answer of another authorization server, where ours says who it is."""
    names_itself = (await servers.metadata(oauth)).get("authorization_response_iss_parameter_supported") is True
    if oauth.issuer is not None and (sender is not None or names_itself) and sender != oauth.issuer:
        raise ConnectingFailed("The answer came from another authorization server. Nothing was connected.")


def _asked(work: Callable[[Servers, Any, Credentials], Awaitable[T]]) -> T:
    """Ask an authorization server from a page, in an event loop of this question alone."""

    async def main() -> T:
        transport = pooled_transport(networks=settings.UPSTREAM_NETWORKS.for_others)
        credentials = Credentials(configured())
        try:
            return await work(Servers(transport), transport, credentials)
        finally:
            credentials.close()
            await transport.aclose()

    return asyncio.run(main())


def _entry(what: str, snapshot: Snapshot, name: str, account: str) -> Event:
    return Event(
        kind=f"server.{what}",
        connection=name,
        actor=keys.actor(account),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
    )
