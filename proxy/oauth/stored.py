"""Grants at authorization servers as they are stored: sealed, and renewed by one process at a time.

Who wants to renew takes the lease, which moves `turn`; what comes of it is kept only while `turn` has not moved again.
So a process that was thought dead, or a person who connected anew meanwhile, is never overwritten.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import orjson
from cryptography.exceptions import InvalidTag
from django.db.models import Q

from approvals.database import database_now
from approvals.keys import seal, sealed_anew, unseal
from approvals.secrets import Secret
from proxy.models import TokenGrant
from proxy.oauth.asking import Granted

LEASE = timedelta(seconds=30)
UNUSED = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Stored:
    """A grant as it stands; `until` is Unix time and belongs to `access`."""

    turn: int
    refresh: Secret
    access: Secret | None
    until: float
    ended: str


def load(place: str) -> Stored | None:
    """Return a grant; None where there is none, or it was sealed under another key."""
    row = TokenGrant.objects.filter(pk=place).first()
    if row is None:
        return None
    try:
        found = orjson.loads(unseal(bytes(row.sealed), context=_context(place)))
    except InvalidTag:
        return None
    access = Secret(found["access"]) if found["access"] else None
    return Stored(row.turn, Secret(found["refresh"]), access, found["until"], row.ended)


def put(place: str, *, connection: str, holder: str, refresh: Secret, granted: Granted | None = None) -> None:
    """Store a new grant, in place of the one that was there."""
    now = database_now()
    before = TokenGrant.objects.filter(pk=place).values_list("turn", flat=True).first()
    TokenGrant.objects.update_or_create(
        pk=place,
        defaults={
            "connection": connection,
            "holder": holder,
            "sealed": _sealed(place, refresh, granted),
            "turn": (before or 0) + 1,
            "leased_until": None,
            "made_at": now,
            "renewed_at": now,
            "ended": "",
        },
    )


def seed(place: str, *, connection: str, refresh: Secret) -> None:
    """Store the first refresh token of a connection, unless it was stored already."""
    now = database_now()
    first = TokenGrant(
        place=place, connection=connection, sealed=_sealed(place, refresh, None), made_at=now, renewed_at=now
    )
    TokenGrant.objects.bulk_create([first], ignore_conflicts=True)


def lease(place: str, turn: int) -> int | None:
    """Return the turn by which this process alone may renew the grant for now; None when another one does."""
    now = database_now()
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    mine = TokenGrant.objects.filter(free, pk=place, turn=turn).update(turn=turn + 1, leased_until=now + LEASE)
    return turn + 1 if mine == 1 else None


def keep(place: str, turn: int, refresh: Secret, granted: Granted) -> bool:
    """Store what a renewal gave and end the lease. False: somebody else's word counts meanwhile.

    `turn` moves here as well: who read the grant before must not take the lease with the old refresh token.
    """
    sealed = _sealed(place, refresh, granted)
    mine = TokenGrant.objects.filter(pk=place, turn=turn)
    return mine.update(sealed=sealed, turn=turn + 1, leased_until=None, renewed_at=database_now()) == 1


def give_back(place: str, turn: int, ended: str = "") -> None:
    """End the lease without anything new; `ended` says that the authorization server renews it no more."""
    TokenGrant.objects.filter(pk=place, turn=turn).update(leased_until=None, ended=ended)


def forget_old() -> int:
    """Delete grants that nobody renewed for more than a year; return how many."""
    return TokenGrant.objects.filter(renewed_at__lt=database_now() - UNUSED).delete()[0]


def reseal() -> int:
    """Seal by the secret key in force what an older one sealed; return how many. What no key opens is left alone.

    A renewal that comes between seals by itself, so its newer tokens stay.
    """
    done = 0
    for row in TokenGrant.objects.all():
        with suppress(InvalidTag):
            if anew := sealed_anew(bytes(row.sealed), context=_context(row.place)):
                done += TokenGrant.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=anew)
    return done


def _sealed(place: str, refresh: Secret, granted: Granted | None) -> bytes:
    access, until = ("", 0.0) if granted is None else (granted.access.reveal(), time.time() + granted.seconds)
    plain = orjson.dumps({"refresh": refresh.reveal(), "access": access, "until": until})
    return seal(plain, context=_context(place))


def _context(place: str) -> str:
    return f"token grant {place}"
