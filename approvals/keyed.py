"""Calls with an Idempotency-Key: the same key and call run once within a day, and get the same answer.

Synchronous ORM work that the journal runs in its own transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals import keys
from approvals.database import database_now
from approvals.models import KeyedCall
from sessions.events import INTENT
from sessions.models import Entry, OpenCall

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class New:
    """The key was not used before; it is taken now."""


@dataclass(frozen=True, slots=True)
class Running:
    """The same call is running."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The same call was begun, and its process ended before there was an answer."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """The same call ran; this is the (masked) answer it got."""

    call_id: str
    answer: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key belongs to another call."""


Found = New | Running | Interrupted | Known | Conflict


class KeyTaken(Exception):
    """The key of a call that is to be held belongs to another call."""


def scope_of(caller: str, connection: str, key: str) -> str:
    """Return the keyed digest under which a caller's key on a connection is known."""
    return keys.keyed_digest("idempotency", caller, connection, key)


def take(scope: str, call_digest: str, call_id: str) -> Found:
    """Take the key for a call that is allowed, or say what became of the call that took it before."""
    now = _forget_overdue(scope)
    if _is_anothers(scope, call_digest):
        return Conflict()
    # Another process may take it at this moment: then its row is found, not made.
    mine = {"call_digest": call_digest, "call_id": call_id, "created_at": now}
    known, made = KeyedCall.objects.get_or_create(scope=scope, defaults=mine)
    if made:
        return New()
    if known.call_digest != call_digest:
        return Conflict()
    if known.answer is None and _is_open(known.call_id):
        return Running(known.call_id)
    # It may have ended between these two looks; then its answer came, or its key went, together with its end.
    ended = KeyedCall.objects.filter(pk=scope).first()
    return take(scope, call_digest, call_id) if ended is None else _what_came_of(ended)


def _what_came_of(known: KeyedCall) -> Known | Interrupted | Running:
    """Say what became of a call that is not open; its intent is unwritten while this very transaction begins it."""
    if known.answer is not None:
        return Known(known.call_id, bytes(known.answer))
    begun = Entry.objects.filter(call_id=known.call_id, kind=INTENT).exists()
    return Interrupted(known.call_id) if begun else Running(known.call_id)


def take_for_held(scope: str, call_digest: str, call_id: str) -> None:
    """Take the key for a call that is held; its repeat finds the approval request itself. Raises KeyTaken."""
    now = _forget_overdue(scope)
    if _is_anothers(scope, call_digest):
        raise KeyTaken
    mine = {"call_digest": call_digest, "call_id": call_id, "created_at": now}
    known, _ = KeyedCall.objects.get_or_create(scope=_of_held(scope), defaults=mine)
    if known.call_digest != call_digest:
        raise KeyTaken


def _is_open(call_id: str) -> bool:
    return OpenCall.objects.filter(call_id=call_id).exists()


def _of_held(scope: str) -> str:
    """Return where the key of a held call stands: it has no answer of its own here."""
    return keys.keyed_digest("idempotency of held", scope)


def _is_anothers(scope: str, call_digest: str) -> bool:
    rows = KeyedCall.objects.filter(scope__in=[scope, _of_held(scope)])
    return rows.exclude(call_digest=call_digest).exists()


def _forget_overdue(scope: str) -> datetime:
    now = database_now()
    KeyedCall.objects.filter(scope__in=[scope, _of_held(scope)], created_at__lte=now - KEPT).delete()
    return now


def keep(scope: str, call_id: str, answer: bytes) -> None:
    """Keep the masked answer of the call that took the key, unless it was given up meanwhile."""
    if _is_open(call_id):
        KeyedCall.objects.filter(scope=scope, call_id=call_id).update(answer=answer)


def release(scope: str, call_id: str) -> None:
    """Give the key back: the call it was taken for was certainly not executed, and nobody was told else."""
    if _is_open(call_id):
        KeyedCall.objects.filter(scope=scope, call_id=call_id).delete()


def forget_old() -> int:
    """Delete keys older than a day; return how many. Run by the sweep."""
    return KeyedCall.objects.filter(created_at__lte=database_now() - KEPT).delete()[0]
