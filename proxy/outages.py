"""Which servers cannot be reached, as this process sees it: what is recorded when that changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sessions.events import Event

if TYPE_CHECKING:
    from proxy.exchange import Exchange

UNREACHABLE: Final = "upstream_unavailable"


class Outages:
    """One per process. A call that did not reach its server begins an outage, the next one that is answered ends it."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def noted(self, exchange: Exchange, kind: str, reason: str, detail: str) -> list[Event]:
        """Return the entry that the end of a call makes necessary, if it is the first after a change."""
        name = exchange.connection_name
        if reason == UNREACHABLE and name not in self._since:
            self._since[name] = time.monotonic()
            return [_event(exchange, "server.down", {"detail": detail})]
        if kind == "call.result" and name in self._since:
            return [_event(exchange, "server.up", {"seconds": int(time.monotonic() - self._since.pop(name))})]
        return []


def _event(exchange: Exchange, kind: str, facts: dict[str, str | int | bool | list[str] | None]) -> Event:
    return Event(
        kind=kind,
        connection=exchange.connection_name,
        policy_revision=exchange.snapshot.revision,
        policy_digest=exchange.snapshot.digest,
        facts=facts,
    )
