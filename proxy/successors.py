"""Which request took the place of a superseded one. Pure."""

from __future__ import annotations

KEPT = 1000


class Successors:
    """Lets all who waited for a superseded request share the next one; of one process, used by its writer alone."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {}

    def of(self, superseded: str) -> str:
        """Return the request that was opened in its place, or empty."""
        return self._next.get(superseded, "")

    def note(self, superseded: str, request: str) -> None:
        """Remember what was opened in its place; the oldest are forgotten."""
        self._next[superseded] = request
        if len(self._next) > KEPT:
            del self._next[next(iter(self._next))]
