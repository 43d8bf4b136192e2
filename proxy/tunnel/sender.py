"""From a connection with an agent to its server: the same questions as to any upstream, through the agent's socket.

Where another process of the installation has that socket, the question takes one hop to it (`proxy.tunnel.hop`).
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from approvals.database import in_database
from proxy.errors import Fault, OutcomeUnknown, UpstreamTimeout, UpstreamUnavailable
from proxy.tunnel import hop, registry
from proxy.tunnel.calls import RETRY_SECONDS, away
from proxy.tunnel.frames import Opening
from proxy.upstream import Upstream
from proxy.upstream_answer import Answer, Opened, UpstreamRequest, exchange

if TYPE_CHECKING:
    from proxy.tunnel.door import Agents

_SCHEME = "agent://"
# For how long it is not looked up anew which process has an agent's socket.
KEPT_SECONDS = 1.0


def address_of(agent: str, connection: str) -> str:
    """Return what stands for the address of a server behind an agent."""
    return f"{_SCHEME}{agent}/{connection}"


class AgentUpstream:
    """Sends requests whose address is one of `address_of`; as `proxy.upstream.Upstream` does all others."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._others = Upstream(hears_faults=True)
        self._routes: dict[str, tuple[str, float]] = {}

    async def exchange(self, request: UpstreamRequest) -> Answer:
        """Send one request and return its answer, of which the head has come. Raises the faults of `proxy.errors`."""
        return await exchange(self._send, request)

    async def aclose(self) -> None:
        """Close the connections to other processes."""
        await self._others.aclose()

    async def _send(self, request: UpstreamRequest, deadline: float | None) -> Opened:
        agent, _, connection = request.url.removeprefix(_SCHEME).partition("/")
        opening = Opening(
            connection=connection,
            verb=request.verb,
            size=len(request.body),
            headers=request.passed_on(),
            fields=request.fields,
            session=request.session,
            last_event_id=request.last_event_id,
        )
        if agent not in self._agents.sockets and (address := await self._route(agent)):
            return await self._hop(agent, address, opening, request, deadline)
        return await self._agents.open(agent, opening, request.body, deadline)

    async def _route(self, agent: str) -> str:
        """Return the address of the process that has an agent's socket; empty for none but this one."""
        address, until = self._routes.get(agent, ("", 0.0))
        if time.monotonic() >= until:
            address = await in_database(partial(registry.route, agent))
            self._routes[agent] = address, time.monotonic() + KEPT_SECONDS
        return "" if address == self._agents.address else address

    async def _hop(
        self, agent: str, address: str, opening: Opening, request: UpstreamRequest, deadline: float | None
    ) -> Opened:
        path, body = hop.path_of(agent), opening.payload(request.body)
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        asked = UpstreamRequest(url=f"{address}{path}", body=body, fields=hop.signed(path, body), timeout=left)
        try:
            opened = await self._others.open(asked)
        except UpstreamTimeout:
            raise UpstreamTimeout("The server behind the agent did not answer in time.") from None
        except UpstreamUnavailable as fault:
            self._routes.pop(agent, None)
            fault.retry_after, fault.detail = RETRY_SECONDS, "agent_away"
            raise
        except Fault:
            self._routes.pop(agent, None)
            raise
        if opened.headers.get("holdgate-agents") is None:
            await opened.close()
            if opened.status not in hop.REFUSED:
                raise OutcomeUnknown("The process that has the agent's socket failed while it was asked.")
            raise away("The process that has the agent's socket refused the request of this one.")
        return opened
