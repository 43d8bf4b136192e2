"""Follows the log and keeps the index of calls: a little at a time, each entry once, by whichever process comes.

Place and rows move in one transaction, and the place by compare-and-set. Nothing on the way of a call waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.db import transaction

from sessions import leaf as leaves
from sessions import progress
from sessions.calls import HELD
from sessions.events import ENDS, INTENT
from sessions.models import CallProgress, Entry, Payload, RecordedCall
from sessions.search.terms import facet, words

STEP: Final = 1_000
MOST_STEPS: Final = 20
_VERDICTS: Final = {INTENT: "allow", HELD: "hold", "call.blocked": "deny", "call.refused": "refused"}
_OUTCOMES: Final = {
    INTENT: "running", HELD: "waiting", "approval.approved": "approved", "approval.denied": "denied",
    "approval.expired": "expired", "approval.cancelled": "cancelled", "approval.superseded": "superseded",
    "approval.lapsed": "lapsed", "approval.revoked": "revoked", "call.result": "answered", "call.failed": "failed",
    "call.unknown": "unknown", "call.cancelled": "cancelled", "call.abandoned": "abandoned",
    "call.blocked": "blocked", "call.refused": "refused",
}  # fmt: skip
VERDICTS: Final = ("allow", "hold", "deny", "refused")
OUTCOMES: Final = tuple(sorted(set(_OUTCOMES.values())))
_FINAL: Final = frozenset(_OUTCOMES[kind] for kind in ENDS)
_CHANGED: Final = ["outcome", "rules", "masked", "exposed", "facets", "words"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def index_up(steps: int = MOST_STEPS, step: int = STEP) -> int:
    """Go on from where it stopped, at most so many steps of so many entries; return how many entries are left."""
    for _ in range(steps):
        if _index(step) <= 0:
            return 0
    return behind()


def behind() -> int:
    """Return how many entries of the log cannot be found yet."""
    return max(0, progress.size() - _position())


def again() -> None:
    """Forget the whole index; it is made anew from the record."""
    with transaction.atomic():
        CallProgress.objects.update(position=0)
        RecordedCall.objects.all().delete()


def first_id(at: datetime) -> int:
    """Return the lowest id that a call of this moment can have."""
    since = at.astimezone(UTC) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) << 10


def _position() -> int:
    row = CallProgress.objects.filter(pk=1).first()
    return 0 if row is None else row.position


def _index(step: int) -> int:
    CallProgress.objects.get_or_create(pk=1)
    size, first = progress.size(), _position()
    last = min(size, first + step)
    if last <= first:
        return 0
    rows = Entry.objects.filter(place__log_index__gte=first, place__log_index__lt=last)
    found = [leaves.decode(bytes(leaf)) for leaf in rows.order_by("place__log_index").values_list("leaf", flat=True)]
    about = [one for one in found if one.call and one.session]
    with transaction.atomic():
        if CallProgress.objects.filter(pk=1, position=first).update(position=last) != 1:
            return 0
        _write(about)
    return size - last


def _write(entries: list[leaves.Leaf]) -> None:
    calls = {entry.call for entry in entries}
    known = {row.call_id: row for row in RecordedCall.objects.filter(call_id__in=calls)}
    old, bodies = set(known), _requests(entries)
    for entry in entries:
        row = known.get(entry.call)
        if row is None:
            if entry.kind not in _VERDICTS:
                continue
            row = known[entry.call] = _begun(entry)
        _goes_on(row, entry, bodies)
    for row in known.values():
        row.facets = " ".join(facets(row))
    _number([row for call, row in known.items() if call not in old])
    RecordedCall.objects.bulk_create([row for call, row in known.items() if call not in old], batch_size=200)
    RecordedCall.objects.bulk_update([known[call] for call in old], _CHANGED, batch_size=100)


def _begun(entry: leaves.Leaf) -> RecordedCall:
    at = leaves.moment(entry.ts)
    return RecordedCall(
        id=first_id(at), call_id=entry.call, session=entry.session, connection=entry.connection, method=entry.method,
        tool=entry.tool, actor=entry.actor, at=at, verdict=_VERDICTS[entry.kind], words="",
    )  # fmt: skip


def _goes_on(row: RecordedCall, entry: leaves.Leaf, bodies: dict[str, bytes]) -> None:
    if (outcome := _OUTCOMES.get(entry.kind)) and row.outcome not in _FINAL:
        row.outcome = outcome
    told = entry.facts.get("rules")
    named = [str(one) for one in told] if isinstance(told, list) else []
    rule = entry.facts.get("rule")
    row.rules = sorted({*row.rules, *named, *([str(rule)] if rule else [])})
    for name in ("masked", "exposed"):
        if isinstance(counts := entry.facts.get(name), list):
            setattr(row, name, dict(Counter(getattr(row, name)) + Counter(progress.numbers(counts))))
    if (commitment := entry.payloads.get("request")) and (body := bodies.get(commitment.digest)) and not row.words:
        row.words = " ".join(words(_arguments(body)))


def facets(row: RecordedCall) -> list[str]:
    """Return the terms of what a call is, beside its words."""
    plain = {"actor": row.actor, "connection": row.connection, "tool": row.tool, "verdict": row.verdict,
             "outcome": row.outcome}  # fmt: skip
    several = {"rule": row.rules, "masked": row.masked, "exposed": row.exposed}
    named = [facet(name, value) for name, value in plain.items()]
    return named + [facet(name, value) for name, values in several.items() for value in values]


def _number(rows: Iterable[RecordedCall]) -> None:
    """Give calls of the same microsecond ids of their own, beside each other."""
    rows = list(rows)
    taken = set(RecordedCall.objects.filter(id__in=[row.id for row in rows]).values_list("id", flat=True))
    for row in rows:
        while row.id in taken or (row.id & 1023 and RecordedCall.objects.filter(id=row.id).exists()):
            row.id += 1
        taken.add(row.id)


def _requests(entries: list[leaves.Leaf]) -> dict[str, bytes]:
    wanted = [bytes.fromhex(one.payloads["request"].digest) for one in entries if "request" in one.payloads]
    rows = Payload.objects.filter(commitment__in=wanted).values_list("commitment", "body")
    return {bytes(commitment).hex(): bytes(body) for commitment, body in rows}


def _arguments(body: bytes) -> Any:
    """Return what a request passed on; all of it where it is none of the usual shapes."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
    params = document.get("params", document) if isinstance(document, dict) else document
    return params.get("arguments", params) if isinstance(params, dict) else params
