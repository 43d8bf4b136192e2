"""Signing in and out of the dashboard, as the record tells it: before the session begins, after it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals import keys
from approvals.runtime import runtime
from sessions.events import Event

if TYPE_CHECKING:
    from approvals.models import Person


def signed_in(person: Person, via: str) -> None:
    """Record that somebody signs in: at an issuer of this name, or by a `link`. Raises RecordUnavailable."""
    _append("person.signed_in", person, via)


def signed_out(person: Person) -> None:
    """Record that somebody signed out. Raises RecordUnavailable."""
    _append("person.signed_out", person, "page")


def _append(kind: str, person: Person, via: str) -> None:
    house = runtime()
    snapshot = house.policies.current
    named = {"iss": person.iss, "sub": person.sub, "display": str(person), "groups": person.issuer_groups}
    event = Event(
        kind=kind,
        actor=keys.actor(person.key),
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"via": via},
        payloads={"who": snapshot.outlet("").value_for_record(named)},
    )
    house.journal.append_now(event)
