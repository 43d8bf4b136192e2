"""Erases payloads: those whose time is over, and those that people decided to erase. Never what is held.

First the entry that says so, then the payloads: a crash in between repeats a step, and no payload is ever gone without
its entry. Nothing here keeps a writer of the record waiting: each step is small and has its own transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import Q

from sessions import erasing
from sessions import leaf as leaves
from sessions.events import ERASED, Event, Fact
from sessions.ids import uuid7
from sessions.models import Entry, ErasedPayload, LegalHold, Payload, RecordedCall, RetentionProgress

if TYPE_CHECKING:
    from sessions.journal import Journal

STEP: Final = 500
# Commitments that one entry names: with their quotes and commas they stay below a leaf's size.
_AT_ONCE: Final = 500
_SLOW: Final = timedelta(hours=1)


class Held(Exception):
    """It is held for a legal reason; nothing was erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Who or what erases, for the entry: its facts, who did it (a pseudonym, empty for the clock), and the policy."""

    facts: Mapping[str, Fact]
    actor: str = ""
    revision: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: payloads erased, entries passed over because they are held, and whether more may be due."""

    erased: int
    held: int
    more: bool


def expire(journal: Journal, connection: str, before: datetime, why: Why, limit: int = STEP) -> Step:
    """Erase payloads of the next entries of a connection from before a moment; at most so many entries are looked at.

    Raises RecordUnavailable, erasing.NotRecorded and django.db.Error; the step is then done again later.
    """
    progress = RetentionProgress.objects.filter(connection=connection).first()
    rows = Entry.objects.filter(connection=connection, ts__lt=before).order_by("ts", "id")
    if progress is not None:
        rows = rows.filter(Q(ts__gt=progress.ts) | Q(ts=progress.ts, id__gt=progress.entry_id), ts__gte=progress.ts)
    page = list(rows[:limit])
    holds = list(LegalHold.objects.filter(lifted_at=None))
    free = [row for row in page if not any(_fits(hold, row) for hold in holds)]
    erased = erase(journal, free, why, connection=connection)
    more = len(page) == limit
    # At the end nobody need look at what is older again, but for a little: an entry may have been slow to come.
    last = (page[-1].ts, page[-1].id) if more else (before - _SLOW, 0)
    looked = dict(zip(("ts", "entry_id"), last, strict=True))
    RetentionProgress.objects.update_or_create(connection=connection, defaults=looked)
    return Step(erased, len(page) - len(free), more=more)


def require_free(session: str, call_id: str = "") -> None:
    """Raise Held when a hold stands on an entry of a session, or of one call in it."""
    holds = list(LegalHold.objects.filter(lifted_at=None))
    for page in _pages(session, call_id) if holds else ():
        if any(_fits(hold, row) for hold in holds for row in page):
            raise Held("A legal hold stands on it.")


def erase_session(journal: Journal, session: str, call_id: str, why: Why) -> int:
    """Erase all payloads of a session, or of one call in it; return how many. Raises Held, and what `expire` raises."""
    require_free(session, call_id)
    return sum(erase(journal, page, why, session=session) for page in _pages(session, call_id))


def erase(journal: Journal, rows: Iterable[Entry], why: Why, *, connection: str = "", session: str = "") -> int:
    """Erase the payloads of these entries that are still there, and what the index of calls has of them.

    Returns how many there were. Raises what `expire` raises.
    """
    found = {bytes.fromhex(one.digest): row for row in rows for one in leaves.decode(bytes(row.leaf)).payloads.values()}
    there = list(Payload.objects.filter(commitment__in=list(found)).values_list("commitment", flat=True))
    commitments = sorted(bytes(one) for one in there)
    erased = 0
    for at in range(0, len(commitments), _AT_ONCE):
        some = commitments[at : at + _AT_ONCE]
        leaf_hash = _recorded(journal, some, why, connection, session)
        ErasedPayload.objects.bulk_create(
            [
                ErasedPayload(
                    commitment=one, leaf_hash=leaf_hash, session=found[one].session, call_id=found[one].call_id
                )
                for one in some
            ],
            ignore_conflicts=True,
        )
        erased += erasing.erase(leaf_hash)
    RecordedCall.objects.filter(call_id__in={found[one].call_id for one in commitments} - {""}).update(words="")
    return erased


def look_again(hold: LegalHold) -> None:
    """Let retention begin anew where a hold that was lifted may have kept something."""
    rows = RetentionProgress.objects.all()
    (rows.filter(connection=hold.connection) if hold.connection else rows).delete()


def reasons(commitments: Sequence[bytes]) -> dict[bytes, leaves.Leaf]:
    """Return for payloads that were erased the entries that say so."""
    rows = {bytes(one.commitment): bytes(one.leaf_hash) for one in ErasedPayload.objects.filter(pk__in=commitments)}
    entries = Entry.objects.filter(leaf_hash__in=set(rows.values())).values_list("leaf_hash", "leaf")
    told = {bytes(leaf_hash): leaves.decode(bytes(leaf)) for leaf_hash, leaf in entries}
    return {one: told[leaf_hash] for one, leaf_hash in rows.items() if leaf_hash in told}


def _pages(session: str, call_id: str) -> Iterator[list[Entry]]:
    rows = Entry.objects.filter(session=session).order_by("id")
    if call_id:
        rows = rows.filter(call_id=call_id)
    last = 0
    while page := list(rows.filter(id__gt=last)[:STEP]):
        yield page
        last = page[-1].id


def _recorded(journal: Journal, commitments: list[bytes], why: Why, connection: str, session: str) -> bytes:
    """Commit the entry that names them and return its leaf hash."""
    name = uuid7()
    told = [one.hex() for one in commitments]
    newest = Entry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    journal.append_now(
        Event(
            kind=ERASED,
            connection=connection,
            session="",
            actor=why.actor,
            policy_revision=why.revision,
            policy_digest=why.digest,
            facts={**why.facts, "erasure": name, **({"session": session} if session else {}), "commitments": told},
        )
    )
    for row in Entry.objects.filter(id__gt=newest, kind=ERASED).order_by("id"):
        if name.encode() in bytes(row.leaf):
            return bytes(row.leaf_hash)
    raise erasing.NotRecorded("the entry of this erasure is not found")


def _fits(hold: LegalHold, row: Entry) -> bool:
    names = ("connection", "session", "call_id", "actor")
    if any((wanted := getattr(hold, name)) and wanted != getattr(row, name) for name in names):
        return False
    return (hold.since is None or row.ts >= hold.since) and (hold.until is None or row.ts < hold.until)
