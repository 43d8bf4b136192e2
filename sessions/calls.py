"""The calls of a period as the record has them: each once, with its masked request and the time it came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from sessions import leaf as leaves
from sessions.events import INTENT, SESSION_STARTED
from sessions.models import Entry, Payload

# The first entry of a call is one of these, and has the request as a payload.
HELD: Final = "approval.requested"
OPENING: Final = {INTENT: "allow", "call.blocked": "deny", HELD: "hold"}
PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call as it was recorded. `verdict` is what became of it at first; `request` is None once it was erased."""

    call_id: str
    session: str
    connection: str
    method: str
    tool: str
    at: datetime
    verdict: str
    request: bytes | None
    revision: int = 0
    """Of the policy that judged it."""
    rules_read: int | None = None
    """How many rules were read for it; None where that was not written down."""
    judged: bytes | None = None
    """What was kept of the verdict; None where no rule spoke, or it was erased. Only `recorded_call` looks it up."""
    has_judged: bool = False
    """Whether there was something to keep."""


def recorded_calls(since: datetime, until: datetime, *, connection: str = "") -> Iterator[RecordedCall]:
    """Yield the calls that came from `since` on and before `until`, oldest first, in pages: memory does not grow."""
    rows = Entry.objects.filter(kind__in=list(OPENING), ts__gte=since, ts__lt=until).order_by("ts", "id")
    if connection:
        rows = rows.filter(connection=connection)
    page = list(rows[:PAGE])
    while page:
        found = [(row, leaves.decode(bytes(row.leaf))) for row in page]
        bodies = _bodies([leaf for _, leaf in found], ("request",))
        for row, leaf in found:
            call = _call(row, leaf, bodies)
            if call is not None:
                yield call
        last = page[-1]
        page = list(rows.filter(Q(ts__gt=last.ts) | Q(ts=last.ts, id__gt=last.id))[:PAGE])


def calls_of_session(session: str, limit: int) -> Iterator[RecordedCall]:
    """Yield the first calls of a session as they came, at most so many."""
    rows = Entry.objects.filter(session=session, kind__in=list(OPENING)).order_by("id")
    last, left = 0, limit
    while left > 0 and (page := list(rows.filter(id__gt=last)[:PAGE])):
        found = [(row, leaves.decode(bytes(row.leaf))) for row in page]
        bodies = _bodies([leaf for _, leaf in found], ("request",))
        made = [call for row, leaf in found if (call := _call(row, leaf, bodies)) is not None]
        yield from made[:left]
        left, last = left - len(made), page[-1].id


def newest_verdicts(since: datetime, most: int) -> Iterator[tuple[datetime, list[str], list[str]]]:
    """Yield when calls were allowed or denied, by which rules, and which only observed, of the `most` newest ones.

    Newest first. What was held is not among them, nor what ran after it was.
    """
    kinds = [kind for kind in OPENING if kind != HELD]
    rows = Entry.objects.filter(kind__in=kinds, ts__gte=since).order_by("-ts", "-id").values_list("ts", "leaf")
    for at, stored in rows[:most].iterator():
        facts = leaves.decode(bytes(stored)).facts
        rules = facts.get("rules")
        if isinstance(rules, list) and "approval" not in facts:
            observed = facts.get("observed")
            yield at, rules, observed if isinstance(observed, list) else []


def recorded_call(call_id: str) -> RecordedCall | None:
    """Return one call as it came, or None when the record holds no such call."""
    for row in Entry.objects.filter(call_id=call_id, kind__in=list(OPENING)).order_by("id")[:PAGE]:
        leaf = leaves.decode(bytes(row.leaf))
        call = _call(row, leaf, _bodies([leaf], ("request", "judged")))
        if call is not None:
            return call
    return None


def _call(row: Entry, leaf: leaves.Leaf, bodies: dict[str, bytes]) -> RecordedCall | None:
    commitment = leaf.payloads.get("request")
    # Without a request it is a question of the gateway's own; after a hold, a later step of that call.
    if commitment is None or (row.kind != HELD and "approval" in leaf.facts):
        return None
    judged, read = leaf.payloads.get("judged"), leaf.facts.get("rules_read")
    return RecordedCall(
        call_id=row.call_id,
        session=row.session,
        connection=row.connection,
        method=leaf.method,
        tool=row.tool,
        at=row.ts,
        verdict=OPENING[row.kind],
        request=bodies.get(commitment.digest),
        revision=leaf.revision,
        rules_read=read if isinstance(read, int) else None,
        judged=None if judged is None else bodies.get(judged.digest),
        has_judged=judged is not None,
    )


def caller_of_session(session: str) -> bytes | None:
    """Return who called, as the session's first entry says it; None when that was erased or never written."""
    row = Entry.objects.filter(session=session, kind=SESSION_STARTED).order_by("id").first()
    commitment = None if row is None else leaves.decode(bytes(row.leaf)).payloads.get("caller")
    if commitment is None:
        return None
    found = Payload.objects.filter(commitment=bytes.fromhex(commitment.digest)).first()
    return None if found is None else bytes(found.body)


def _bodies(found: list[leaves.Leaf], names: tuple[str, ...]) -> dict[str, bytes]:
    wanted = [bytes.fromhex(leaf.payloads[name].digest) for leaf in found for name in names if name in leaf.payloads]
    return {bytes(row.commitment).hex(): bytes(row.body) for row in Payload.objects.filter(commitment__in=wanted)}
