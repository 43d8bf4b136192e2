"""Who calls: Authorization header -> Caller. Signature, claims and caller are steps of their own
(`proxy.tokens`, `proxy.claims`); the keys come from `proxy.jwks`. Here they are put in order and remembered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.claims import caller_of
from proxy.jwks import RETRY_SECONDS, Keys, KeySet, KeySets, KeysUnavailable, PublicKey
from proxy.protected_resource import connection_url
from proxy.tokens import (
    Token,
    TokenRejected,
    audiences_of,
    bearer_token,
    check_audience,
    check_claims,
    expiry,
    read_token,
    verify_signature,
)

if TYPE_CHECKING:
    from approvals.config.schema import Issuer
    from approvals.policy import Policy
    from approvals.verdicts import Caller

CACHE_CAPACITY = 10_000
MOST_ACCEPTED = 100

Place = tuple[bytes, int, str]
"""SHA-256 of the token, revision and digest of the policy."""

__all__ = ["Identity", "TokenRejected"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token turned out to be, and until when and under which keys that holds."""

    caller: Caller
    issuer: Issuer
    audiences: frozenset[str]
    expires_at: float
    key_set: KeySet
    keys: bytes
    accepted: set[str | None] = field(default_factory=set)  # connections for which the audience is right


class Identity:
    """Authenticates callers; one per process. `public_url` is the gateway's own address."""

    def __init__(self, key_sets: KeySets, *, public_url: str, capacity: int = CACHE_CAPACITY) -> None:
        self._key_sets = key_sets
        self._public_url = public_url
        self._cache = VerifiedTokens(capacity)

    @property
    def remembered(self) -> int:
        """How many verified tokens are held in memory."""
        return len(self._cache)

    async def authenticate(
        self, authorization: str | None, *, connection: str | None, policy: Policy, now: float
    ) -> Caller:
        """Return who sends this Authorization field value; raises TokenRejected.

        `connection` is the connection that is called, whose own address is an audience beside the issuer's
        `audiences`; None for the API. `now` is Unix time. Whether the caller may use the connection is the
        policy's to say.
        """
        compact = bearer_token(authorization)
        place = (hashlib.sha256(compact.encode()).digest(), policy.revision, policy.digest)
        verified = self._cache.get(place, now)
        if verified is None or verified.keys != (await _current(verified.key_set, verified.issuer)).digest:
            verified = await self._verify(read_token(compact), policy, now)
            self._cache.put(place, verified)
        if connection not in verified.accepted:
            own = [connection_url(self._public_url, connection)] if connection and self._public_url else []
            issuer = verified.issuer
            check_audience(verified.audiences, {*issuer.audiences, *own}, strict=issuer.strict_audience)
            if len(verified.accepted) < MOST_ACCEPTED:
                verified.accepted.add(connection)
        return verified.caller

    async def _verify(self, token: Token, policy: Policy, now: float) -> Verified:
        issuers = policy.config.token_issuers
        issuer = next((known for known in issuers if known.issuer == token.issuer), None)
        if issuer is None:
            raise TokenRejected("The token's issuer is not accepted here.", "iss is not configured")
        key_set = self._key_sets.of(issuer.issuer, issuer.jwks_uri)
        keys, key = await _key_for(token, issuer, key_set)
        claims = verify_signature(token, key.key, key.algorithms.intersection(issuer.algorithms))
        check_claims(claims, issuer=issuer.issuer, now=now)
        return Verified(
            caller=caller_of(claims, issuer, policy.config),
            issuer=issuer,
            audiences=audiences_of(claims),
            expires_at=expiry(claims),
            key_set=key_set,
            keys=keys.digest,
        )


async def _key_for(token: Token, issuer: Issuer, key_set: KeySet) -> tuple[Keys, PublicKey]:
    """Return the key that the token names, if it fits an algorithm of the configuration."""
    if token.algorithm not in issuer.algorithms:
        raise TokenRejected("The token's signature algorithm is not accepted here.", "alg is not configured")
    try:
        keys = await key_set.knowing(token.kid, token.algorithm)
    except KeysUnavailable as error:
        raise _unavailable(issuer, error) from error
    key = keys.find(token.kid, token.algorithm)
    if key is None:
        raise TokenRejected("The token is signed with an unknown key.", f"kid is no key of issuer {issuer.name}")
    return keys, key


async def _current(key_set: KeySet, issuer: Issuer) -> Keys:
    try:
        return await key_set.current()
    except KeysUnavailable as error:
        raise _unavailable(issuer, error) from error


def _unavailable(issuer: Issuer, error: KeysUnavailable) -> TokenRejected:
    return TokenRejected(
        "The keys of the token's issuer cannot be read now; nothing can be authenticated with it.",
        f"no keys of issuer {issuer.name}: {error}",
        error=None,
        retry_after=int(RETRY_SECONDS),
    )


class VerifiedTokens:
    """The tokens verified last, by digest of the token and policy; the one unused for longest goes first.

    An entry ends with its token. It is bound to the policy, since groups are the policy's, and to the keys it
    was verified with, which the user of this class compares.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[Place, Verified] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, place: Place, now: float) -> Verified | None:
        """Return what is known of a token that has not expired at `now`."""
        entry = self._entries.pop(place, None)
        if entry is None or entry.expires_at <= now:
            return None
        self._entries[place] = entry  # a dict keeps order, so this is now the youngest
        return entry

    def put(self, place: Place, entry: Verified) -> None:
        """Remember a token; room is made by forgetting the oldest."""
        self._entries[place] = entry
        while len(self._entries) > self._capacity:
            self._entries.pop(next(iter(self._entries)), None)
