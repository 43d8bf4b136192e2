"""How often one caller may ask the gateway's own tools. One process counts for itself. No clock of its own."""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proxy.builtin.question import Mistaken

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE, PER_SECOND = 60, 2.0
MOST_WAITS = 20
REMEMBERED = 10_000


class Pace:
    """A bucket of questions for each caller, filled again as time goes by; and how many of them wait."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._waits: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._buckets)

    def ask(self, actor: str, now: float) -> float:
        """Count one question at `now` (monotonic seconds); return 0, or in how many seconds the next is answered."""
        left, at = self._buckets.pop(actor, (float(AT_ONCE), now))
        left = min(AT_ONCE, left + (now - at) * PER_SECOND)
        allowed = left >= 1
        self._buckets[actor] = (left - 1 if allowed else left, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)  # whoever was silent for longest has a full bucket again
        return 0.0 if allowed else (1 - left) / PER_SECOND

    @contextmanager
    def waiting(self, actor: str) -> Iterator[None]:
        """Count a wait while the block lasts. Raises Mistaken."""
        if self._waits[actor] >= MOST_WAITS:
            raise Mistaken(f"You wait {MOST_WAITS} times already.", "rate_limited")
        self._waits[actor] += 1
        try:
            yield
        finally:
            self._waits[actor] -= 1
            if not self._waits[actor]:
                del self._waits[actor]
