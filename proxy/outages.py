"""Which servers cannot be reached, as this process sees it, and their credentials: entries when that changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from approvals import keys
from sessions.events import Event

if TYPE_CHECKING:
    from proxy.exchange import Exchange

UNREACHABLE: Final = "upstream_unavailable"


class Outages:
    """One per process. A call that did not reach its server begins an outage, the next one that is answered ends it.

    Credentials that are fetched where they live change without the gateway: that another one is used is seen here.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._credentials: dict[str, str] = {}

    def noted(self, exchange: Exchange, kind: str, reason: str, detail: str) -> list[Event]:
        """Return the entries that the end of a call makes necessary, if it is the first after a change."""
        exchange.noted += [*self._reached(exchange, kind, reason, detail), *self._credential(exchange)]
        return exchange.noted  # once more where the policy moved and the end is committed again

    def _credential(self, exchange: Exchange) -> list[Event]:
        """Tell which credential a connection has when it is first used here, and when it is another one.

        Not of tokens, which are got anew all the time: where one was, the end of the call says `renewed`.
        """
        name, configured = exchange.connection_name, exchange.connection.credential
        if configured is None or configured.value is None or not exchange.secrets:
            return []
        version = keys.keyed_digest("credential", *(secret.reveal() for secret in exchange.secrets))[:16]
        before = self._credentials.get(name)
        if version == before:
            return []
        self._credentials[name] = version
        kind = "credential.used" if before is None else "credential.rotated"
        return [_event(exchange, kind, {"version": version, "was": before, "reference": configured.value})]

    def _reached(self, exchange: Exchange, kind: str, reason: str, detail: str) -> list[Event]:
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
