"""Calls with an Idempotency-Key: the same key and call run once within a day, and get the same answer.

Synchronous ORM work that the journal runs in its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from approvals import keys
from approvals.database import database_now
from approvals.models import KeyedCall

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class New:
    """The key was not used before; it is taken now."""


@dataclass(frozen=True, slots=True)
class Running:
    """The same call is running, or was interrupted before it had an answer."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """The same call ran; this is the (masked) answer it got."""

    call_id: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key belongs to another call."""


def scope_of(caller: str, connection: str, key: str) -> str:
    """Return the keyed digest under which a caller's key on a connection is known."""
    return keys.keyed_digest("idempotency", caller, connection, key)


def take(scope: str, call_digest: str, call_id: str) -> New | Running | Known | Conflict:
    """Take the key for a call, or say what became of the call that took it before."""
    now = database_now()
    KeyedCall.objects.filter(scope=scope, created_at__lte=now - KEPT).delete()
    known = KeyedCall.objects.filter(scope=scope).first()
    if known is None:
        KeyedCall.objects.create(scope=scope, call_digest=call_digest, call_id=call_id, created_at=now)
        return New()
    if known.call_digest != call_digest:
        return Conflict()
    return Running(known.call_id) if known.answer is None else Known(known.call_id, bytes(known.answer))


def keep(scope: str, call_id: str, answer: bytes) -> None:
    """Keep the masked answer of the call that took the key."""
    KeyedCall.objects.filter(scope=scope, call_id=call_id).update(answer=answer)


def release(scope: str, call_id: str) -> None:
    """Give the key back: the call it was taken for was certainly not executed."""
    KeyedCall.objects.filter(scope=scope, call_id=call_id).delete()


def forget_old() -> int:
    """Delete keys older than a day; return how many. Run by the sweep."""
    return KeyedCall.objects.filter(created_at__lte=database_now() - KEPT).delete()[0]
