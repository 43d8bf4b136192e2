"""The real steps of the pipeline, wired once per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.asking import Asking
from proxy.catalogue import Catalogue
from proxy.forwarding import Forwarding
from proxy.judging import Judging
from proxy.places import Places
from proxy.releasing import Releasing
from proxy.server_requests import ServerRequests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from approvals.runtime import Runtime
    from approvals.verdicts import Allow, Block, Hold, Verdict
    from proxy.background import Background
    from proxy.exchange import Exchange, Permit
    from proxy.legacy import LegacySessions
    from proxy.pipeline import Moved, Pulse, Reply, Settled
    from proxy.transport import Transport


class GatewaySteps:
    """What `proxy.pipeline.run` calls: each step is done by the part that owns it."""

    def __init__(self, house: Runtime, transport: Transport, sessions: LegacySessions, background: Background) -> None:
        self._transport = transport
        catalogue = Catalogue(house, transport, background)
        self._judging = Judging(house, catalogue)
        self._forwarding = Forwarding(house, transport, sessions, background)
        requests = ServerRequests(house, transport, background)
        self._releasing = Releasing(house, self._forwarding, catalogue, requests)
        self.asking = Asking(house, self._judging, catalogue, self._forwarding, background)
        self.places = Places()

    async def judge(self, exchange: Exchange) -> Verdict:
        await self._transport.note_secret(exchange)
        return await self._judging.judge(exchange)

    async def block(self, exchange: Exchange, block: Block) -> Moved | Settled:
        return await self._judging.block(exchange, block)

    def wait(self, exchange: Exchange, hold: Hold) -> AsyncIterator[Pulse]:
        return self.asking.wait(exchange, hold)

    async def claim(self, exchange: Exchange, hold: Hold) -> Moved | Settled | Permit:
        return await self.asking.claim(exchange, hold)

    async def intend(self, exchange: Exchange, allow: Allow) -> Moved | Settled | Permit:
        return await self._forwarding.intend(exchange, allow)

    async def unsettled(self, exchange: Exchange) -> Settled:
        return await self._judging.unsettled(exchange)

    def forward(self, exchange: Exchange, permit: Permit) -> AsyncGenerator[Sequence[bytes]]:
        return self._forwarding.forward(exchange, permit)

    async def release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply]:
        return await self._releasing.release(exchange, permit, group)

    async def close(self) -> None:
        """Close the connections to the upstreams."""
        await self._transport.aclose()
