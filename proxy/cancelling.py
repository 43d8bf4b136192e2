"""`notifications/cancelled` of the older era: a caller that gives up a held call without hanging up.

The TypeScript SDK does so after a minute, and its model calls again. As long as the first call counted as attended, the
repeat would be another request, and people would approve, and the gateway run, the same thing twice.

The notice may reach another process than the call did; that one hears of it as of a request that changed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from approvals import hints, keys
from approvals.database import in_database
from proxy.between import mailbox
from proxy.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from approvals.runtime import Runtime
    from proxy.background import Background
    from proxy.exchange import Exchange

NOTICE = "notifications/cancelled"
_PREFIX = "given-up."


class Cancelling:
    """The calls of one process that wait for people, by who waits and under which request id."""

    def __init__(self, house: Runtime, background: Background) -> None:
        self._house = house
        self._background = background
        self._waiting: dict[str, dict[int, tuple[Exchange, str]]] = defaultdict(dict)
        house.waiting.listen(self._heard)

    @contextmanager
    def waits(self, exchange: Exchange, approval_id: str) -> Iterator[None]:
        """Know a call as waiting for this approval while the block lasts."""
        name = _name(exchange, exchange.message.id)
        self._waiting[name][id(exchange)] = (exchange, approval_id)
        try:
            yield
        finally:
            self._waiting[name].pop(id(exchange), None)
            if not self._waiting[name]:
                del self._waiting[name]

    def note(self, notice: Exchange) -> None:
        """End the wait of the call that a notice speaks of, here or in whatever process; other messages do nothing.

        Ids are one session's. Without sessions another program of the same caller and run may use the same one, if it
        calls itself the same (`User-Agent`). It loses nothing: its call is answered as pending, and joins when it is
        sent again.
        """
        if notice.message.method != NOTICE or notice.message.era == "modern":
            return
        name = _name(notice, notice.message.params.get("requestId"))
        if notice.session is not None and notice.connection.wait.stream is not None:
            # It may be between two answers now, and its transport comes back for the next one all the same.
            self._background.run(in_database(lambda: mailbox.put(_mark(name), 1, b"")))
        if name in self._waiting:
            self._end(name)
        elif self._house.listener is not None:
            self._background.run(in_database(lambda: hints.changed(name)))

    async def was_given_up(self, exchange: Exchange) -> bool:
        """Say whether a notice has spoken of this call, whose caller comes back for the rest of its answer."""
        mark = _mark(_name(exchange, exchange.message.id))
        return bool(await in_database(lambda: mailbox.after(mark, 0)))

    def _heard(self, ids: Iterable[str] | None) -> None:
        for name in ids or ():
            if name.startswith(_PREFIX):
                self._end(name)

    def _end(self, name: str) -> None:
        found = tuple(self._waiting.get(name, {}).values())
        for exchange, _ in found:
            exchange.hold_until = time.monotonic()
        self._house.waiting.hint([approval_id for _, approval_id in found])


def _name(exchange: Exchange, request_id: Any) -> str:
    kind, known = (type(request_id).__name__, str(request_id)) if isinstance(request_id, str | int) else ("", "")
    place = exchange.session.token if exchange.session is not None else _program(exchange)
    return _PREFIX + keys.keyed_digest("given-up", exchange.actor, exchange.connection_name, place, kind, known)


def _mark(name: str) -> str:
    """Return the place of a notice in the mailbox."""
    return name.removeprefix(_PREFIX)


def _program(exchange: Exchange) -> str:
    """Return what tells the programs of one caller apart that have no session, as far as that goes.

    Their addresses do not: behind a proxy a notice may come from another one than its call, and tokens are renewed.
    """
    run = "\n".join(f"{name}={value}" for name, value in sorted(exchange.caller.run))
    return f"{Headers(exchange.headers).first('user-agent') or ''}\n{run}"
