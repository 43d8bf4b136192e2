"""Sessions of the legacy era: one upstream session for one caller, found by any process, never shared.

The caller holds a token of ours; only its digest is stored. The upstream's own session id is as good as a credential
and lies sealed. A token that is unknown, of another caller, or of another connection is the same to us: no session.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta

from cryptography.exceptions import InvalidTag

from approvals.database import database_now, in_database
from approvals.keys import seal, unseal
from proxy.models import LegacySession

CACHED = 10_000
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: our token, and the upstream's id behind it."""

    token: str
    upstream: str


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class LegacySessions:
    """The sessions of all callers. The database is the truth; a bounded cache saves the hop per call."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[str, str, str]] = OrderedDict()

    async def open(
        self, *, actor: str, connection: str, upstream: str, version: str, token: str | None = None
    ) -> Session:
        """Store the session that an upstream just opened for this caller, and return it with a token of ours.

        With `token` it takes the place of the one before: of sessions that no caller knows.
        """
        token = token or secrets.token_urlsafe(32)
        digest = _digest(token)

        def store() -> None:
            LegacySession.objects.update_or_create(
                digest=digest,
                defaults={
                    "caller": actor,
                    "connection": connection,
                    "upstream": seal(upstream.encode(), context=digest),
                    "version": version,
                    "created_at": database_now(),
                },
            )

        await in_database(store)
        self._remember(digest, (actor, connection, upstream))
        return Session(token, upstream)

    async def find(self, token: str, *, actor: str, connection: str) -> Session | None:
        """Return the caller's own open session on this connection, or None."""
        digest = _digest(token)
        known = self._known.get(digest) or await in_database(lambda: self._load(digest))
        if known is None or known[:2] != (actor, connection):
            return None
        self._remember(digest, known)
        return Session(token, known[2])

    async def current(self, token: str) -> str | None:
        """Return what lies in an open session now, whichever process put it there; None when it has ended."""
        digest = _digest(token)
        known = await in_database(lambda: self._load(digest))
        if known is not None:
            self._remember(digest, known)
        return None if known is None else known[2]

    async def change(self, token: str, upstream: str) -> None:
        """Put something else in an open session; one that has ended stays so."""
        digest = _digest(token)
        sealed = seal(upstream.encode(), context=digest)
        await in_database(lambda: LegacySession.objects.filter(digest=digest).update(upstream=sealed))
        self._known.pop(digest, None)

    async def close(self, token: str) -> None:
        """Forget a session that its caller ended or its upstream no longer knows."""
        digest = _digest(token)
        self._known.pop(digest, None)
        await in_database(lambda: LegacySession.objects.filter(digest=digest).delete())

    def _load(self, digest: str) -> tuple[str, str, str] | None:
        row = LegacySession.objects.filter(digest=digest, created_at__gt=database_now() - KEPT).first()
        if row is None:
            return None
        try:
            upstream = unseal(bytes(row.upstream), context=digest).decode()
        except InvalidTag:
            return None  # sealed under another key: the caller opens a new session
        return row.caller, row.connection, upstream

    def _remember(self, digest: str, known: tuple[str, str, str]) -> None:
        self._known[digest] = known
        self._known.move_to_end(digest)
        if len(self._known) > CACHED:
            self._known.popitem(last=False)


def forget_old() -> int:
    """Delete sessions older than a week; return how many. Run by the sweep."""
    return LegacySession.objects.filter(created_at__lt=database_now() - KEPT).delete()[0]
