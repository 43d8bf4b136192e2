"""Who translates, and for whom: the eras of a caller and of the server, as the connection says it (`protocol`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.between.mirrors import Mirrors
from proxy.between.newer import Newer
from proxy.between.older import Older
from proxy.mcp import MODERN

if TYPE_CHECKING:
    from approvals.config.schema import Connection
    from proxy.background import Background
    from proxy.between.told import Send, Told
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions
    from proxy.mcp import Era
    from proxy.upstream_answer import UpstreamRequest


class Translation:
    """Stands between an exchange and its server where they are of two eras; one per process.

    Policy, approvals, masking and the record are before it: they see the caller's era alone.
    """

    def __init__(self, sessions: LegacySessions, background: Background) -> None:
        mirrors = Mirrors()
        self._newer = Newer(sessions, background, mirrors)
        self._older = Older(sessions, mirrors)

    async def exchange(self, exchange: Exchange, request: UpstreamRequest, send: Send) -> Told:
        """Send a message of the caller's era and return the answer in it. Raises Fault."""
        translating = self._newer if exchange.message.era == "modern" else self._older
        return await translating.exchange(exchange, request, send)


def is_needed(connection: Connection, era: Era) -> bool:
    """Say whether a caller of this era and the server of a connection need a translation."""
    return connection.protocol is not None and (era == "modern") != (connection.protocol in MODERN)
