"""Which recorded session a call belongs to: caller and connection, within a run or until an idle gap."""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from typing import Final

from sessions.ids import uuid7

IDLE_SECONDS: Final = 30 * 60.0
_CAPACITY: Final = 100_000


class Grouping:
    """Remembers, per process, the sessions that are going on. Not shared between threads.

    A named run has the same id in every process. Without a name, each process groups what it sees.
    """

    def __init__(self, *, idle: float = IDLE_SECONDS, capacity: int = _CAPACITY) -> None:
        self._idle = idle
        self._capacity = capacity
        self._going_on: OrderedDict[tuple[str, str, str], tuple[str, float]] = OrderedDict()

    def session_id(self, actor: str, connection: str, run: str, now: float) -> tuple[str, bool]:
        """Return the session's id, and whether this process sees it for the first time.

        `run` is "" without a name; `now` is in seconds of any steady clock. When it is new, send a
        `session.started` event (with the payload `run`) together with the first event of the session;
        when that fails, `forget` it.
        """
        key = (actor, connection, run)
        known = self._going_on.pop(key, None)
        is_new = known is None or now - known[1] > self._idle
        fresh = _of_run(key) if run else uuid7()
        session = known[0] if known and (run or not is_new) else fresh
        self._going_on[key] = (session, now)
        if len(self._going_on) > self._capacity:
            self._going_on.popitem(last=False)
        return session, is_new

    def forget(self, actor: str, connection: str, run: str) -> None:
        """Take the next call for the first of its session again."""
        self._going_on.pop((actor, connection, run), None)


def _of_run(key: tuple[str, str, str]) -> str:
    """Return the same UUIDv8 for the same run everywhere (RFC 9562 §5.8)."""
    text = "".join(f"{len(part)}:{part}" for part in ("holdgate-run-v1", *key))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
    number = int.from_bytes(digest, "big") & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0b10 << 62
    return str(uuid.UUID(int=number))
