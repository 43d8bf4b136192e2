"""The real steps of the pipeline, wired once per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy import polling
from proxy.asking import Asking
from proxy.catalogue import Catalogue
from proxy.crowd import Crowd
from proxy.discovery import Discovery
from proxy.forwarding import Forwarding
from proxy.judging import Judging
from proxy.outages import Outages
from proxy.own_requests import OwnRequests
from proxy.pipeline import Settled, run
from proxy.places import Places
from proxy.rates import Rates
from proxy.recording import mask_large_request
from proxy.releasing import Releasing
from proxy.resuming import Resuming
from proxy.server_requests import ServerRequests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from approvals.runtime import Runtime
    from approvals.verdicts import Allow, Block, Hold, Verdict
    from proxy.background import Background
    from proxy.counts import Counts
    from proxy.exchange import Exchange, Permit
    from proxy.legacy import LegacySessions
    from proxy.pipeline import Moved, Pulse, Reply
    from proxy.transport import Transport


class GatewaySteps:
    """What `proxy.pipeline.run` calls: each step is done by the part that owns it."""

    def __init__(
        self,
        house: Runtime,
        transport: Transport,
        sessions: LegacySessions,
        background: Background,
        counts: Counts,
    ) -> None:
        self._transport = transport
        self._background = background
        requests = OwnRequests(house, transport, background)
        outages = Outages()
        catalogue = Catalogue(house, requests, outages)
        self.discovery = Discovery(house, transport, requests, catalogue)
        self._judging = Judging(house, catalogue, Rates(), counts)
        self.forwarding = Forwarding(house, transport, sessions, background, outages)
        self._requests = ServerRequests(house, transport, background)
        self._releasing = Releasing(house, self.forwarding, catalogue, self._requests, self._judging)
        self.resuming = Resuming(house, self, self._requests)
        self.asking = Asking(house, self._judging, catalogue, self.forwarding, background)
        self.places = Places()
        self.crowd = Crowd(counts)

    def run(self, exchange: Exchange) -> AsyncGenerator[Sequence[Reply | Pulse]]:
        """Take one exchange through the pipeline by these steps."""
        self.asking.cancelling.note(exchange)
        return run(exchange, self)

    async def judge(self, exchange: Exchange) -> Verdict:
        await self._transport.note_secret(exchange)
        await mask_large_request(exchange)
        return await self._judging.judge(exchange)

    async def block(self, exchange: Exchange, block: Block) -> Moved | Settled:
        outcome = await self._judging.block(exchange, block)
        if exchange.message.kind == "response" and isinstance(outcome, Settled):
            self._requests.refuse(exchange)
        return outcome

    def wait(self, exchange: Exchange, hold: Hold) -> AsyncIterator[Pulse | Reply]:
        return self.asking.wait(exchange, hold) if self.crowd.admit(exchange) else _nothing()

    async def claim(self, exchange: Exchange, hold: Hold) -> Moved | Settled | Permit:
        if exchange.crowded:
            return self.crowd.turn_away(exchange, hold)
        return await self.asking.claim(exchange, hold)

    async def intend(self, exchange: Exchange, allow: Allow) -> Moved | Settled | Permit:
        return await self.forwarding.intend(exchange, allow)

    async def unsettled(self, exchange: Exchange) -> Settled:
        return await self._judging.unsettled(exchange)

    def forward(self, exchange: Exchange, permit: Permit) -> AsyncGenerator[Sequence[bytes]]:
        return self.forwarding.forward(exchange, permit)

    async def release(self, exchange: Exchange, permit: Permit, group: Sequence[bytes]) -> Sequence[Reply | Pulse]:
        return await self._releasing.release(exchange, permit, group)

    def finished(self, exchange: Exchange) -> None:
        """Forget an exchange, however it ended: if who calls was not recorded, the next call brings that entry."""
        self.places.forget(exchange)
        self.asking.unattend(exchange)
        if exchange.parked and exchange.handed_over:
            self._background.run(polling.forget(exchange.parked))
        self.crowd.leave(exchange)

    def left(self, exchange: Exchange) -> None:
        """The caller is gone: whoever comes back may join what they waited for."""
        self.asking.let_go(exchange)

    async def close(self) -> None:
        """Close the connections to the upstreams."""
        await self._transport.aclose()


async def _nothing() -> AsyncIterator[Pulse]:
    nothing: tuple[Pulse, ...] = ()
    for pulse in nothing:
        yield pulse
