"""Switching people off and on, and ending their browsers' sessions: at once, everywhere, and recorded.

A session is bound to a random mark of its person (Django's session hash, made of the password column, which holds no
password here). A new mark ends every session that was begun under the old one, also after a later reactivation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from approvals import hints, keys
from approvals.models import Person
from sessions.events import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from approvals.runtime import Runtime

What = Literal["deactivated", "reactivated", "signed_out"]


def deactivate(runtime: Runtime, person: Person, *, by: str) -> None:
    """Switch a person off: they sign in no more, decide no more, and open sessions and pages end at once.

    `by` is `iss|sub` or the name of a command. Raises RecordUnavailable; nothing has changed then, unless that is
    RecordUncertain.
    """
    _change(runtime, person, "deactivated", by)


def reactivate(runtime: Runtime, person: Person, *, by: str) -> None:
    """Let a person sign in again. Sessions from before stay ended. Raises RecordUnavailable, as `deactivate`."""
    _change(runtime, person, "reactivated", by)


def end_sessions(runtime: Runtime, person: Person, *, by: str) -> None:
    """Sign a person out in all browsers. Raises RecordUnavailable, as `deactivate`."""
    _change(runtime, person, "signed_out", by)


def _change(runtime: Runtime, person: Person, what: What, by: str) -> None:
    def work() -> tuple[None, Sequence[Event]]:
        fresh = Person.objects.get(pk=person.pk)
        if what != "signed_out" and fresh.is_active == (what == "reactivated"):
            return None, ()
        if what != "signed_out":
            fresh.is_active = what == "reactivated"
        fresh.set_unusable_password()
        fresh.save(update_fields=["password", "is_active"])
        event = Event(kind=f"person.{what}", actor=keys.actor(by), facts={"person": keys.actor(fresh.key)})
        return None, [event]

    runtime.journal.transact_now(work)
    closing(runtime, person)


def closing(runtime: Runtime, person: Person) -> None:
    """Have the open pages of this person look at once whether they may stay, here and in the other processes."""
    hints.changed(person.pk)
    runtime.waiting.hint([person.pk])
