"""How many calls may wait at once: in one process, and of one caller. Beyond it a call is refused and nobody is asked.

A refusal of this kind is counted, not recorded one by one: a flood must not become a flood of entries.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.conf import settings

from proxy import replies
from proxy.pipeline import Reply, Settled
from proxy.recording import decision
from proxy.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from approvals.verdicts import Hold
    from proxy.counts import Counts
    from proxy.exchange import Exchange

RETRY_SECONDS = 15.0
FULL = "As many calls as this gateway keeps waiting are waiting already."


class Crowd:
    """The held calls of one process."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._calls: dict[str, float] = {}
        self.waited: Callable[[float], Any] | None = None  # told for how many seconds a call waited

    def __len__(self) -> int:
        return len(self._calls)

    def admit(self, exchange: Exchange) -> bool:
        """Let a call wait unless there are too many; it stays admitted until it leaves."""
        if exchange.own_id not in self._calls and settings.MAX_HELD and len(self._calls) >= settings.MAX_HELD:
            exchange.crowded = FULL
            return False
        self._calls.setdefault(exchange.own_id, time.monotonic())
        return True

    def leave(self, exchange: Exchange) -> None:
        """The call is over, or never waited."""
        began = self._calls.pop(exchange.own_id, None)
        if began is not None and self.waited is not None:
            self.waited(time.monotonic() - began)

    def turn_away(self, exchange: Exchange, hold: Hold) -> Settled:
        """Refuse a call that may not wait: nothing was executed, and nobody was asked."""
        self._counts.add("rate_limited", exchange.connection_name)
        refusal = Refusal(
            reason="rate_limited",
            executed="false",
            message=exchange.crowded,
            call_id=exchange.call_id,
            retry_after=RETRY_SECONDS,
        )
        made = decision(exchange, "hold", hold.rules, hold.would)
        body = replies.refusal(exchange.message, refusal, decision=made)
        return Settled(Reply(body, headers=(replies.retry_after(RETRY_SECONDS),)))
