"""What pages and the API read from the record: sessions, entries with payloads, the summary of a call."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from sessions import leaf as leaves
from sessions.events import ENDS, INTENT, TERMINAL_KINDS
from sessions.models import Entry, Payload, RecordedSession

LOOKED_AT = 200
_TELLING = TERMINAL_KINDS | {INTENT, "approval.requested"}


class CursorInvalid(ValueError):
    """A cursor that was not one of ours."""


@dataclass(frozen=True, slots=True)
class RecordedEntry:
    """One entry as it was written. `payloads` holds bytes by name; an erased one is missing there.

    `log_index` is None until the sequencer gave the entry its place. `is_sound`: the leaf still has its hash, and each
    payload its commitment.
    """

    id: int
    leaf: leaves.Leaf
    leaf_hash: bytes
    payloads: Mapping[str, bytes]
    log_index: int | None
    is_sound: bool = True


@dataclass(frozen=True, slots=True)
class CallSummary:
    """One call: where it stands (`kind` of its newest telling entry), and all its entries, oldest first."""

    call_id: str
    session: str
    connection: str
    method: str
    tool: str
    actor: str
    started_at: datetime
    ended_at: datetime | None
    kind: str
    entries: Sequence[RecordedEntry]


def recorded_sessions(
    *, cursor: str = "", limit: int = 50, connection: str = "", actors: Collection[str] | None = None
) -> tuple[list[RecordedSession], str | None]:
    """Return sessions, newest first, and the next page's cursor (None at the end). Raises CursorInvalid.

    `actors`: only those of one of these pseudonyms.
    """
    sessions: QuerySet[RecordedSession] = RecordedSession.objects.order_by("-started_at", "-id")
    if connection:
        sessions = sessions.filter(connection=connection)
    if actors is not None:
        sessions = sessions.filter(actor__in=actors)
    if cursor:
        started_at, session = _read_cursor(cursor)
        sessions = sessions.filter(Q(started_at__lt=started_at) | Q(started_at=started_at, id__lt=session))
    page = list(sessions[: limit + 1])
    if len(page) <= limit:
        return page, None
    return page[:limit], _cursor(page[limit - 1])


def entries_of_session(session: str, *, after: int = 0, limit: int = 500) -> list[RecordedEntry]:
    """Return the entries of a session above an entry id, oldest first."""
    return _recorded(Entry.objects.filter(session=session, id__gt=after).order_by("id")[:limit])


def entry_before_call(session: str, call_id: str) -> int:
    """Return the id below that of a call's first entry in a session; 0 when the session has no such call."""
    first = Entry.objects.filter(call_id=call_id, session=session).order_by("id").values_list("id", flat=True).first()
    return 0 if first is None else first - 1


def entries_of_call(call_id: str) -> list[RecordedEntry]:
    """Return all entries of a call, oldest first."""
    return _recorded(Entry.objects.filter(call_id=call_id).order_by("id"))


def call_summary(call_id: str) -> CallSummary | None:
    """Return one call; None when the record knows nothing of it."""
    entries = entries_of_call(call_id)
    if not entries:
        return None
    # Once it was forwarded, the refusal of a repeat that came meanwhile tells nothing about it.
    kinds = {INTENT} | (ENDS if any(entry.leaf.kind == INTENT for entry in entries) else TERMINAL_KINDS)
    telling = [entry for entry in entries if entry.leaf.kind in kinds]
    last = (telling or entries)[-1].leaf
    first = entries[0].leaf
    return CallSummary(
        call_id=call_id,
        session=first.session,
        connection=first.connection,
        method=first.method,
        tool=first.tool,
        actor=first.actor,
        started_at=leaves.moment(first.ts),
        ended_at=leaves.moment(last.ts) if last.kind in TERMINAL_KINDS else None,
        kind=last.kind,
        entries=entries,
    )


@dataclass(frozen=True, slots=True)
class RecentCall:
    """One call of a session in one line. `kind` is that of its newest telling entry."""

    call_id: str
    tool: str
    at: datetime
    kind: str


def recent_calls(session: str, *, before: str = "", limit: int = 10) -> list[RecentCall]:
    """Return the newest calls of a session, newest first; `before` names a call: it and what came later is left out.

    Looks at the last LOOKED_AT entries and no more.
    """
    rows = Entry.objects.filter(session=session)
    if before and (first := rows.filter(call_id=before).order_by("id").first()):
        rows = rows.filter(id__lt=first.pk)
    found: dict[str, RecentCall] = {}
    for entry in rows.order_by("-id")[:LOOKED_AT]:
        if not entry.call_id or entry.kind not in _TELLING:
            continue
        known = found.get(entry.call_id)
        if known is None and len(found) == limit:
            break
        found[entry.call_id] = RecentCall(entry.call_id, entry.tool, entry.ts, known.kind if known else entry.kind)
    return list(found.values())


def facts_of_call(call_id: str, kinds: Iterable[str]) -> list[tuple[str, Mapping[str, object]]]:
    """Return kind and facts of those entries of a call, oldest first, without any payload; at most LOOKED_AT."""
    rows = Entry.objects.filter(call_id=call_id, kind__in=list(kinds)).order_by("id")[:LOOKED_AT]
    return [(leaf.kind, leaf.facts) for leaf in (leaves.decode(bytes(row.leaf)) for row in rows)]


def _recorded(entries: Iterable[Entry]) -> list[RecordedEntry]:
    rows = [(entry, leaves.decode(bytes(entry.leaf))) for entry in entries]
    wanted = [bytes.fromhex(payload.digest) for _, leaf in rows for payload in leaf.payloads.values()]
    stored = {bytes(p.commitment).hex(): p for p in Payload.objects.filter(commitment__in=wanted)}
    bodies = {digest: bytes(payload.body) for digest, payload in stored.items()}
    altered = {digest for digest, one in stored.items() if not _is_committed(bytes(one.salt), bodies[digest], digest)}
    places = dict(
        Entry.objects.filter(id__in=[entry.id for entry, _ in rows], place__isnull=False).values_list(
            "id", "place__log_index"
        )
    )
    return [
        RecordedEntry(
            id=entry.id,
            leaf=leaf,
            leaf_hash=bytes(entry.leaf_hash),
            payloads={name: bodies[p.digest] for name, p in leaf.payloads.items() if p.digest in bodies},
            log_index=places.get(entry.id),
            is_sound=leaves.leaf_hash(bytes(entry.leaf)) == bytes(entry.leaf_hash)
            and altered.isdisjoint(p.digest for p in leaf.payloads.values()),
        )
        for entry, leaf in rows
    ]


def _is_committed(salt: bytes, body: bytes, digest: str) -> bool:
    return len(salt) == leaves.SALT_BYTES and leaves.commit(salt, body) == digest


def utc(at: datetime) -> datetime:
    """Return a moment in UTC; one without an offset is taken for UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _cursor(session: RecordedSession) -> str:
    text = f"{session.started_at.isoformat()}|{session.id}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        started_at, _, session = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        moment = datetime.fromisoformat(started_at)
    except (ValueError, binascii.Error, UnicodeDecodeError) as error:
        msg = "not a cursor of this list"
        raise CursorInvalid(msg) from error
    if moment.tzinfo is None or not session:
        msg = "not a cursor of this list"
        raise CursorInvalid(msg)
    return moment, session
