"""Which recorded session an exchange belongs to, and the entry that opens a new one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proxy.recording import caller_payload, entry, outlet_of
from sessions.events import SESSION_STARTED
from sessions.grouping import Grouping

if TYPE_CHECKING:
    from proxy.exchange import Exchange


class Places:
    """Groups calls of one caller on one connection: by the run they name, else until they pause for long."""

    def __init__(self) -> None:
        self._grouping = Grouping()

    def forget(self, exchange: Exchange) -> None:
        """Open the session again with the next call, if its first entry was never committed."""
        if exchange.opening:
            self._grouping.forget(exchange.actor, exchange.connection_name, _run_of(exchange))

    def place(self, exchange: Exchange) -> None:
        """Give the exchange its recorded session; a new session's first entry says who calls."""
        run = _run_of(exchange)
        session, is_new = self._grouping.session_id(exchange.actor, exchange.connection_name, run, time.monotonic())
        exchange.recorded_session = session
        if is_new:
            payloads = {"caller": caller_payload(exchange)}
            if run:
                payloads["run"] = outlet_of(exchange).text_for_record(run)
            exchange.opening = (entry(exchange, SESSION_STARTED, payloads=payloads),)


def _run_of(exchange: Exchange) -> str:
    return exchange.knobs.run or "\n".join(f"{key}={value}" for key, value in exchange.caller.run)
