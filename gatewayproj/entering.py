"""Signing in and out of the dashboard, as the record tells it: before the session begins, after it ended."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final

from approvals import keys
from approvals.runtime import runtime
from sessions.events import Event

if TYPE_CHECKING:
    from approvals.models import Person

_MINUTE: Final = 60.0
_REASONS: Final = {"TokenRejected": "token"}


def signed_in(person: Person, via: str) -> None:
    """Record that somebody signs in: at an issuer of this name, or by a `link`. Raises RecordUnavailable."""
    _append("person.signed_in", person, via)


def failed(via: str, why: Exception) -> None:
    """Record that somebody did not get in at an issuer. Raises RecordUnavailable.

    Who, nobody knows: what was presented did not hold. A flood has 60 entries a minute; the next tells of the rest.
    """
    more = _FLOOD.admitted(time.monotonic())
    if more is None:
        return
    snapshot = runtime().policies.current
    event = Event(
        kind="person.sign_in_failed",
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={"via": via, "reason": _REASONS.get(type(why).__name__, "refused"), "more": more},
    )
    runtime().journal.append_now(event)


class Flood:
    """Lets so many through in a minute, and counts the others. Of one process, in any number of threads."""

    def __init__(self, most: int = 60) -> None:
        self._most, self._lock = most, threading.Lock()
        self._began, self._let, self._kept_back = -math.inf, 0, 0

    def admitted(self, now: float) -> int | None:
        """Return how many were kept back since the last that was let through; None keeps this one back too."""
        with self._lock:
            if now - self._began >= _MINUTE:
                self._began, self._let = now, 0
            if self._let >= self._most:
                self._kept_back += 1
                return None
            self._let += 1
            found, self._kept_back = self._kept_back, 0
            return found


_FLOOD: Final = Flood()


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
