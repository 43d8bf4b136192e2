"""Where an authorization server takes questions: as configured, or as the metadata of its issuer says (RFC 8414)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx
import orjson

from proxy.errors import CredentialUnavailable
from proxy.fetching import checked_url, fetch

if TYPE_CHECKING:
    from approvals.config.oauth import OAuth

FRESH_SECONDS = 3600.0
TIMEOUT_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024
# What asking anybody over HTTP ends with when it does not work; TimeoutError is an OSError.
TROUBLE = (ValueError, OSError, httpx.HTTPError, aiohttp.ClientError)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an issuer says of itself, and until when that is believed without asking again."""

    document: dict[str, Any]
    until: float


class Servers:
    """The authorization servers that this process knows. One event loop uses it."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._known: dict[str, Metadata] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def endpoint(self, oauth: OAuth, name: str) -> str:
        """Return `token_endpoint` or another endpoint. Raises CredentialUnavailable."""
        configured: str | None = getattr(oauth, name, None)
        if configured is not None:
            return configured
        found = (await self.metadata(oauth)).get(name)
        if not isinstance(found, str) or not _is_sound(found, str(oauth.issuer)):
            message = f"The metadata of the authorization server names no usable {name}."
            raise CredentialUnavailable(message, detail="issuer_metadata")
        return found

    async def metadata(self, oauth: OAuth) -> dict[str, Any]:
        """Return what the issuer says of itself; nothing where none is configured. Raises CredentialUnavailable."""
        if oauth.issuer is None:
            return {}
        async with self._locks.setdefault(oauth.issuer, asyncio.Lock()):
            known = self._known.get(oauth.issuer)
            if known is None or self._clock() >= known.until:
                document = await self._discovered(oauth.issuer)
                known = self._known[oauth.issuer] = Metadata(document, self._clock() + FRESH_SECONDS)
        return known.document

    async def _discovered(self, issuer: str) -> dict[str, Any]:
        for address in addresses_of_metadata(issuer):
            try:
                status, body = await self._get(address)
                document = orjson.loads(body) if status == httpx.codes.OK else None
            except TROUBLE as error:
                message = "The metadata of the authorization server (`issuer`) cannot be read."
                raise CredentialUnavailable(message, detail="issuer_unreachable") from error
            if isinstance(document, dict):
                if document.get("issuer") != issuer:
                    message = "The metadata at the address of `issuer` is that of another issuer."
                    raise CredentialUnavailable(message, detail="issuer_metadata")
                return document
        message = "The authorization server (`issuer`) publishes no metadata; name its token_endpoint."
        raise CredentialUnavailable(message, detail="issuer_metadata")

    async def _get(self, address: str) -> tuple[int, bytes]:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "holdgate"}
        request = httpx.Request("GET", checked_url(address), headers=headers)
        return await fetch(self._transport, request, seconds=TIMEOUT_SECONDS, most=MAX_DOCUMENT_BYTES)


def addresses_of_metadata(issuer: str) -> tuple[str, ...]:
    """Return where the metadata of an issuer may be: RFC 8414 §3.1, then OpenID Connect Discovery 1.0 §4."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    oauth = urlunsplit((parts.scheme, parts.netloc, f"/.well-known/oauth-authorization-server{path}", "", ""))
    return oauth, issuer.rstrip("/") + "/.well-known/openid-configuration"


def _is_sound(address: str, issuer: str) -> bool:
    try:
        checked_url(address)
    except ValueError:
        return False
    # Else a document from outside could make us send secrets to a service on this very host.
    return address.startswith("https:") or issuer.startswith("http:")
