"""How many calls in how much time: by caller, by connection, by tool, over all processes together.

Counted when a governed call arrives and may use the connection. A refusal is counted, not recorded one by one: a flood
must not become a flood of entries, and costs the database next to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error as DatabaseFailure

from approvals import keys
from approvals.database import in_database
from approvals.rules.folding import EvaluationError, fold
from proxy.buckets import lease
from proxy.faults import record_unavailable

if TYPE_CHECKING:
    from approvals.config.connections import Rate
    from proxy.exchange import Exchange

MOST_SCOPES = 10_000


@dataclass(slots=True)
class _Purse:
    """What this process may spend of one bucket, until when it counts, and until when there is nothing to be had."""

    tokens: int = 0
    good_until: float = 0.0
    empty_until: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Rates:
    """The purses of one process, by scope; used on its event loop."""

    def __init__(self) -> None:
        self._purses: OrderedDict[str, _Purse] = OrderedDict()

    async def wait_for(self, exchange: Exchange) -> float:
        """Take a token of each limit on this call; return 0, or after how many seconds the call may come again.

        Counts a call once, however often it is judged. Raises CallFailed when the database does not answer.
        """
        if exchange.rated:
            return 0.0
        exchange.rated = True
        try:
            for rate in exchange.connection.rate:
                if wait := await self._spend(_scope(exchange, rate), rate):
                    return wait
        except DatabaseFailure as error:
            raise record_unavailable(exchange.call_id, "false") from error
        return 0.0

    async def _spend(self, scope: str, rate: Rate) -> float:
        purse = self._purse(scope)
        async with purse.asking:  # who comes meanwhile spends of the same lease
            now = time.monotonic()
            if purse.empty_until > now:
                return purse.empty_until - now
            if purse.tokens == 0 or purse.good_until <= now:
                found = await in_database(partial(lease, scope, rate))
                if not found.tokens:
                    purse.empty_until = now + found.wait
                    return found.wait
                purse.tokens, purse.good_until = found.tokens, now + rate.per
            purse.tokens -= 1
            return 0.0

    def _purse(self, scope: str) -> _Purse:
        purse = self._purses.setdefault(scope, _Purse())
        self._purses.move_to_end(scope)
        if len(self._purses) > MOST_SCOPES:
            self._purses.popitem(last=False)
        return purse


def _scope(exchange: Exchange, rate: Rate) -> str:
    """Return whom a limit limits, as a keyed digest: another limit, after a change of the policy, is another bucket."""
    parts = [exchange.connection_name, str(rate.calls), str(rate.per), rate.by]
    if rate.by != "connection":
        parts.append(exchange.caller.key)
    if rate.by == "tool":
        parts += [exchange.message.method, _name(exchange)]
    return keys.keyed_digest("rate", *parts)


def _name(exchange: Exchange) -> str:
    try:
        return fold(exchange.message.name or "")
    except EvaluationError:
        return ""  # names that cannot be compared share one bucket; the policy refuses them
