"""The public keys of token issuers: fetched, kept for ten minutes, and kept longer while an issuer is down.

A key set (RFC 7517) comes from a configured `jwks_uri`, from `file:PATH`, or from the address that OIDC
discovery names. Forged key ids cannot make us hammer an issuer: an unknown `kid` asks again at most every
30 seconds, and of many callers who need a key at the same time one asks and the others wait with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson
from jwt import PyJWK
from jwt.algorithms import AllowedPublicKeys
from jwt.exceptions import PyJWTError

from proxy.fetching import check_size, checked_url, fetch

logger = logging.getLogger(__name__)

FRESH_SECONDS = 600.0
STALE_SECONDS = 12 * 3600.0  # an identity provider that is down for a night must not stop the pipelines
LOOK_SECONDS = 1.0
RETRY_SECONDS = 30.0  # between two questions for an unknown key id, and between two tries at a failing issuer
FIRST_RETRY_SECONDS = 5.0  # while there is nothing to fall back on, as when both start at the same time
TIMEOUT_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 200
MIN_RSA_BITS = 2048

_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# What a public key consists of, by key type (RFC 7518 §6, RFC 8037 §2); a private part that was published by
# mistake is left behind here, and symmetric keys (`oct`) are none of ours at all.
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


class KeysUnavailable(Exception):
    """No key set of the issuer is at hand and none can be had now; the message says why, for the log."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that may verify tokens, and the algorithms it may be used with, whatever a token says."""

    kid: str | None
    algorithms: frozenset[str]
    key: AllowedPublicKeys


@dataclass(frozen=True, slots=True)
class Keys:
    """The usable keys of one issuer at one moment; `digest` changes when the published document does."""

    keys: tuple[PublicKey, ...]
    digest: bytes

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the key named `kid` that fits the algorithm; without a `kid` the only fitting key."""
        fitting = [key for key in self.keys if algorithm in key.algorithms]
        if kid is None:
            return fitting[0] if len(fitting) == 1 else None
        return next((key for key in fitting if key.kid == kid), None)


def parse_keys(document: bytes) -> Keys:
    """Read a JWK set. Keys that cannot verify tokens are left out; raises ValueError when none is left."""
    parsed = orjson.loads(document)
    members = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(members, list):
        raise ValueError("the document is not a JWK set")
    usable = tuple(_public_keys(members[:MAX_KEYS]))
    if not usable:
        raise ValueError("the JWK set has no key that can verify tokens")
    return Keys(usable, hashlib.sha256(document).digest())


def _public_keys(members: Sequence[object]) -> Iterator[PublicKey]:
    for member in members:
        key = _public_key(member) if isinstance(member, dict) else None
        if key is not None:
            yield key


def _public_key(member: Mapping[str, Any]) -> PublicKey | None:
    algorithms = _algorithms(member)
    kid = member.get("kid")
    if not algorithms or not (kid is None or isinstance(kid, str)):
        return None
    try:
        public = {name: member[name] for name in _PUBLIC_MEMBERS[member["kty"]]}
        key = PyJWK({"kty": member["kty"], **public}, algorithm=min(algorithms)).key
    except (KeyError, ValueError, TypeError, PyJWTError):
        return None
    if member["kty"] == "RSA" and key.key_size < MIN_RSA_BITS:
        return None
    return PublicKey(kid, algorithms, key)


def _algorithms(member: Mapping[str, Any]) -> frozenset[str]:
    """Return the algorithms that the key's type allows, narrowed by its own `alg`, `use` and `key_ops`."""
    possible: tuple[str, ...] = ()
    match member.get("kty"), member.get("crv"):
        case "RSA", _:
            possible = _RSA
        case "EC", str(curve):
            possible = (_CURVES[curve],) if curve in _CURVES else ()
        case "OKP", "Ed25519":
            possible = ("EdDSA",)
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return frozenset()
    alg = member.get("alg")
    return frozenset(possible if alg is None else [name for name in possible if name == alg])


class Source:
    """Where the key set of one issuer lies, and how it is read.

    `jwks_uri` is an https address (http for a loopback host only), `file:PATH`, or None for OIDC discovery.
    """

    def __init__(self, issuer: str, jwks_uri: str | None, transport: httpx.AsyncBaseTransport) -> None:
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._transport = transport
        self._path = Path(jwks_uri[5:]) if jwks_uri is not None and jwks_uri.startswith("file:") else None

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what changes when the key file does: inode, modification time, size; None without one."""
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None

    async def read(self) -> Keys:
        """Read the keys as they are published now; raises KeysUnavailable."""
        try:
            if self._path is not None:
                return parse_keys(_file_content(self._path))
            return parse_keys(await self._get(self._jwks_uri or await self._discover()))
        except (ValueError, OSError, httpx.HTTPError, aiohttp.ClientError) as error:
            # TimeoutError is an OSError, and has no text of its own.
            raise KeysUnavailable(str(error) or type(error).__name__) from error

    async def _discover(self) -> str:
        """Ask the issuer where its keys are (OpenID Connect Discovery 1.0 §4)."""
        document = await self._get(self._issuer.removesuffix("/") + "/.well-known/openid-configuration")
        found = orjson.loads(document)
        if not isinstance(found, dict) or found.get("issuer") != self._issuer:
            raise ValueError("the discovery document is not of this issuer")
        jwks_uri = found.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise ValueError("the discovery document names no jwks_uri")
        if jwks_uri.startswith("http:") and not self._issuer.startswith("http:"):
            # Else a document from outside could make us ask services on this very host.
            raise ValueError("the discovery document names a jwks_uri without https")
        return jwks_uri

    async def _get(self, address: str) -> bytes:
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "holdgate"}
        request = httpx.Request("GET", checked_url(address), headers=headers)
        status, body = await fetch(self._transport, request, seconds=TIMEOUT_SECONDS, most=MAX_DOCUMENT_BYTES)
        if status != httpx.codes.OK:
            raise ValueError(f"{address} answered {status}")
        return body


def _file_content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_DOCUMENT_BYTES + 1)
    check_size(content, MAX_DOCUMENT_BYTES)
    return content


class KeySet:
    """The keys of one issuer over time: fresh when that can be had, stale for hours when it cannot.

    One event loop uses it. `clock` counts seconds and never goes back; tests pass their own.
    """

    def __init__(self, source: Source, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._name = name
        self._clock = clock
        self._keys: Keys | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._asked_at = float("-inf")
        self._failure: str | None = None
        self._reads = 0
        self._task: asyncio.Task[None] | None = None

    async def current(self) -> Keys:
        """Return the keys, read anew when they are older than ten minutes or when their file changed, which is
        noticed within a second.

        While reading fails the keys of the last success are returned, for at most 12 hours. Raises
        KeysUnavailable when there are none.
        """
        changed = self._has_changed()
        if changed or self._is_due():
            task = self._refresh()
            # Once an outage is known, calls do not wait for the next try; they go on with what is at hand.
            if changed or self._failure is None or self._at_hand() is None:
                await asyncio.shield(task)
        keys = self._at_hand()
        if keys is None:
            raise KeysUnavailable(self._failure or "not read yet")
        return keys

    async def knowing(self, kid: str | None, algorithm: str) -> Keys:
        """Return the current keys; when none of them fits, ask the issuer first whether it has a new one.

        That is asked at most every 30 seconds, and the keys may then still hold none that fits. Raises
        KeysUnavailable as `current` does.
        """
        reads = self._reads
        keys = await self.current()
        if keys.find(kid, algorithm) is None:
            self._looked_at = float("-inf")  # a file may hold it since a moment ago
            keys = await self.current()
        just_read = self._reads != reads
        if just_read or keys.find(kid, algorithm) is not None or not self._may_ask_again():
            return keys
        await asyncio.shield(self._refresh())
        return await self.current()

    async def aclose(self) -> None:
        """Stop a read that is still running."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _has_changed(self) -> bool:
        """Say whether the key file is another than the one read last; the file system is not asked for every call."""
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = now
        return self._source.stamp() != self._stamp

    def _is_due(self) -> bool:
        now = self._clock()
        if self._failure is None:
            return now - self._read_at >= FRESH_SECONDS
        return now - self._tried_at >= (RETRY_SECONDS if self._at_hand() else FIRST_RETRY_SECONDS)

    def _at_hand(self) -> Keys | None:
        return None if self._clock() - self._read_at > STALE_SECONDS else self._keys

    def _may_ask_again(self) -> bool:
        """Say whether an unknown key id may lead to a question now: when one is on its way, or every 30 s."""
        if self._task is not None and not self._task.done():
            return True
        now = self._clock()
        if now - self._asked_at < RETRY_SECONDS:
            return False
        self._asked_at = now
        return True

    def _refresh(self) -> asyncio.Task[None]:
        """Start reading, or return the read that is already running: many callers cost one question."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read())
        return self._task

    async def _read(self) -> None:
        self._reads += 1
        self._tried_at = self._clock()
        stamp = self._source.stamp()  # taken before reading: a change in between is then noticed the next time
        try:
            self._keys = await self._source.read()
        except KeysUnavailable as error:
            self._failure = str(error)
            logger.warning("The keys of issuer %s cannot be read: %s", self._name, error)
        else:
            self._failure = None
            self._read_at = self._clock()
        self._stamp = stamp


class KeySets:
    """The key sets of all issuers, made when first asked for. One per process; `transport` does the HTTP.

    The transport must follow no redirects and take nothing from the environment, as `httpx_aiohttp`'s does
    with `trust_env=False`.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._sets: dict[tuple[str, str | None], KeySet] = {}

    def of(self, issuer: str, jwks_uri: str | None) -> KeySet:
        """Return the key set of a configured issuer; never pass anything that only a token says."""
        place = (issuer, jwks_uri)
        if place not in self._sets:
            source = Source(issuer, jwks_uri, self._transport)
            self._sets[place] = KeySet(source, name=issuer, clock=self._clock)
        return self._sets[place]

    async def aclose(self) -> None:
        """Stop what is still being read. The transport stays open; it belongs to whoever made it."""
        await asyncio.gather(*(keys.aclose() for keys in self._sets.values()))
