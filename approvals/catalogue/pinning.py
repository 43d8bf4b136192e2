"""Pinning: what a listing changes in the pins, and an admin's word that a changed definition is accepted.

The first definitions that are seen of a connection are trusted. From then on a new or changed one waits for an admin,
who accepts the very digest that they have read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from approvals import hints, keys
from approvals.catalogue.definitions import canonical, digest_of
from approvals.catalogue.flags import flags_of
from approvals.catalogue.models import PinnedConnection, ToolPin
from approvals.database import database_now
from approvals.outlet import together
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from approvals.outlet import Outlet
    from approvals.publication import Snapshot
    from approvals.runtime import Runtime
    from approvals.verdicts import Caller
    from sessions.events import Payload

PINS = "pins"
"""The word of the hint that some pin changed."""
LONGEST_NAME = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """One definition of a listing, ready to be written down."""

    key: str
    tool: str
    digest: str
    definition: Payload = field(repr=False)
    flags: Sequence[Mapping[str, str]] = ()


@dataclass(slots=True)
class Changes:
    """What a listing found to be other than it was."""

    new: list[Seen] = field(default_factory=list)
    changed: list[Seen] = field(default_factory=list)
    restored: list[Seen] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.restored or self.removed)


@lru_cache(maxsize=4096)
def key_of(tool: str) -> str:
    """Return the key of a tool's name: the name itself may hold anything, secrets as well."""
    return keys.keyed_digest("tool", tool)


def prepared(definitions: Mapping[str, Any], outlet: Outlet) -> list[Seen]:
    """Mask and flag the definitions of a listing, by name. Raises MaskingFailed."""
    return [_seen(name, definition, outlet) for name, definition in definitions.items()]


def _seen(name: str, definition: Any, outlet: Outlet) -> Seen:
    tool = outlet.text(name).replace("\x00", "\ufffd")[:LONGEST_NAME]
    flags = [{"reason": flag.reason, "place": outlet.text(flag.place)} for flag in flags_of(definition)]
    return Seen(key_of(name), tool, digest_of(definition), outlet.for_record(canonical(definition)), flags)


def note(connection: str, listing: Sequence[Seen], snapshot: Snapshot) -> tuple[bool, Sequence[Event]]:
    """Bring the pins of a connection up to what its server lists; say whether anything changed, with the entries.

    Runs in the writer's transaction. Of two processes that list at once, the second finds nothing left to do.
    """
    PinnedConnection.objects.bulk_create([PinnedConnection(name=connection)], ignore_conflicts=True)
    row = PinnedConnection.objects.select_for_update().get(pk=connection)
    now = database_now()
    if row.pinned_at is None:
        row.pinned_at = now
        ToolPin.objects.bulk_create([_first(row, seen, now) for seen in listing])
        events = [_pinned(connection, listing, snapshot)]
    else:
        changes = _compared(row, listing, now)
        if not changes:
            return False, ()
        events = [_changed(connection, changes, snapshot)]
    _move(row)
    return True, events


def _move(row: PinnedConnection) -> None:
    row.version += 1
    row.save()
    hints.changed(PINS)


def _first(row: PinnedConnection, seen: Seen, now: datetime) -> ToolPin:
    return ToolPin(
        connection=row,
        key=seen.key,
        tool=seen.tool,
        digest=seen.digest,
        definition=seen.definition.decode(),
        flags=list(seen.flags),
        first_seen_at=now,
    )


def _compared(row: PinnedConnection, listing: Sequence[Seen], now: datetime) -> Changes:
    """Compare the listing with the pins and write down what differs."""
    pins = {pin.key: pin for pin in row.pins.all()}
    found = Changes()
    for seen in listing:
        pin = pins.get(seen.key)
        if pin is None:
            found.new.append(seen)
            pin = ToolPin(connection=row, key=seen.key, tool=seen.tool, first_seen_at=now)
        elif pin.seen == seen.digest:
            continue
        elif pin.digest == seen.digest:
            found.restored.append(seen)
        else:
            found.changed.append(seen)
        _wait_or_not(pin, seen, now)
    listed = {seen.key for seen in listing}
    for pin in pins.values():
        if pin.key not in listed and not pin.gone_at:
            found.removed.append(pin.tool)
            _gone(pin, now)
    return found


def _wait_or_not(pin: ToolPin, seen: Seen, now: datetime) -> None:
    """What differs from the accepted definition waits; what is the accepted one again does not."""
    waits = pin.digest != seen.digest
    pin.pending_digest = seen.digest if waits else ""
    pin.pending_definition = seen.definition.decode() if waits else ""
    pin.pending_flags = list(seen.flags) if waits else []
    pin.pending_since = now if waits else None
    pin.gone_at = None
    pin.save()


def _gone(pin: ToolPin, now: datetime) -> None:
    """Note that the server lists it no more; what nobody had accepted is forgotten, so that it cannot pile up."""
    if not pin.digest:
        pin.delete()
        return
    pin.gone_at, pin.pending_since = now, None
    pin.pending_digest = pin.pending_definition = ""
    pin.pending_flags = []
    pin.save()


def _pinned(connection: str, listing: Sequence[Seen], snapshot: Snapshot) -> Event:
    catalogue = keys.keyed_digest("tools", *sorted(seen.digest for seen in listing))
    flagged = sum(bool(seen.flags) for seen in listing)
    facts = {"tools": len(listing), "flagged": flagged, "catalogue": catalogue}
    payloads = {"definitions": _definitions(listing)} if listing else {}
    return _event("tool.pinned", connection, snapshot, facts, payloads)


def _changed(connection: str, changes: Changes, snapshot: Snapshot) -> Event:
    named = {"new": changes.new, "changed": changes.changed, "restored": changes.restored}
    facts = {name: len(found) for name, found in named.items() if found}
    payloads = {name: _definitions(found) for name, found in named.items() if found}
    if changes.removed:
        facts["removed"] = len(changes.removed)
        payloads["removed"] = snapshot.outlet(connection).value_for_record(changes.removed)
    names = [seen.tool for found in named.values() for seen in found] + changes.removed
    return _event("tool.changed", connection, snapshot, facts, payloads, tool=names[0] if len(names) == 1 else "")


def _definitions(found: Iterable[Seen]) -> Payload:
    return together([seen.definition for seen in found])


def _event(
    kind: str,
    connection: str,
    snapshot: Snapshot,
    facts: Mapping[str, Any],
    payloads: Mapping[str, Payload],
    *,
    tool: str = "",
    actor: str = "",
) -> Event:
    return Event(
        kind=kind,
        connection=connection,
        tool=tool,
        actor=actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts=facts,
        payloads=payloads,
    )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The definition of this digest is the accepted one, now or before."""

    pin: ToolPin


@dataclass(frozen=True, slots=True)
class Stale:
    """The definition that waits is another one than was read."""

    pin: ToolPin


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such tool."""


@dataclass(frozen=True, slots=True)
class AllAccepted:
    """Every definition that was read is accepted, now or before."""

    pins: tuple[ToolPin, ...]


def accept(runtime: Runtime, *, connection: str, tool: str, digest: str, admin: Caller) -> Accepted | Stale | Unknown:
    """Accept the definition of this digest, which the admin has read, in one transaction with its entry.

    It waits, or was trusted unread when it was first seen. `tool` is the name as it is shown. The next call in every
    process may use it. Raises RecordUnavailable.
    """
    outcome = accept_all(runtime, connection=connection, read=[(tool, digest)], admin=admin)
    return Accepted(outcome.pins[0]) if isinstance(outcome, AllAccepted) else outcome


def accept_all(
    runtime: Runtime, *, connection: str, read: Sequence[tuple[str, str]], admin: Caller
) -> AllAccepted | Stale | Unknown:
    """Accept the definitions that the admin has read (name as shown, digest), all of them or none.

    One transaction, with an entry for each. Raises RecordUnavailable.
    """

    def work() -> tuple[AllAccepted | Stale | Unknown, Sequence[Event]]:
        row = PinnedConnection.objects.select_for_update().filter(pk=connection).first()
        found = [] if row is None else [_read(row, tool, digest) for tool, digest in read]
        if row is None or not found:
            return Unknown(), ()
        for one in found:
            if not isinstance(one, ToolPin):
                return one, ()
        pins = {pin.pk: pin for pin in found if isinstance(pin, ToolPin)}
        events = [_accepted(runtime, pin, admin) for pin in pins.values() if _is_open(pin)]
        if events:
            _move(row)
        return AllAccepted(tuple(pins.values())), events

    outcome = runtime.journal.transact_now(work)
    runtime.waiting.hint([PINS])
    return outcome


def _read(row: PinnedConnection, tool: str, digest: str) -> ToolPin | Stale | Unknown:
    """Return the tool of which this definition was read, if that is what the server lists."""
    pins = list(row.pins.filter(tool=tool))
    if not pins:
        return Unknown()
    pin = next((one for one in pins if digest in {one.pending_digest, one.digest} and digest), pins[0])
    return pin if digest and pin.seen == digest else Stale(pin)


def _is_open(pin: ToolPin) -> bool:
    """Say whether a definition waits, or was trusted unread."""
    return bool(pin.pending_digest) or not pin.accepted_at


def _accepted(runtime: Runtime, pin: ToolPin, admin: Caller) -> Event:
    was = pin.status if pin.pending_digest else "unread"
    _take(pin, admin)
    snapshot = runtime.policies.reload()
    facts = {"definition": keys.keyed_digest("tools", pin.digest), "was": was, "flags": len(pin.flags)}
    payloads = {"definition": snapshot.outlet(pin.connection_id).for_record(pin.definition.encode())}
    actor = keys.actor(admin.key)
    return _event("tool.accepted", pin.connection_id, snapshot, facts, payloads, tool=pin.tool, actor=actor)


def _take(pin: ToolPin, admin: Caller) -> None:
    if pin.pending_digest:
        pin.digest, pin.definition, pin.flags = pin.pending_digest, pin.pending_definition, pin.pending_flags
    pin.pending_digest, pin.pending_definition, pin.pending_flags, pin.pending_since = "", "", [], None
    pin.accepted_by, pin.accepted_at = admin.key, database_now()
    pin.save()
