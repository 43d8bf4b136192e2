"""The one place where the real parts of the data path are put together."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from approvals import secret_reader
from approvals.runtime import runtime
from gatewayproj import metrics
from proxy.background import Background
from proxy.between.translation import Translation
from proxy.counts import Counts
from proxy.credentials import Credentials
from proxy.endpoint import Gateway
from proxy.identity import Identity
from proxy.jwks import KeySets
from proxy.legacy import LegacySessions
from proxy.oauth.tokens import Tokens
from proxy.stdio.door import Door
from proxy.steps import GatewaySteps
from proxy.transport import Transport
from proxy.tunnel.door import Agents
from proxy.tunnel.sender import AgentUpstream
from proxy.upstream import Upstream, pooled_transport

# For what is asked of issuers: their keys, and tokens for servers.
_key_transport = cache(lambda: pooled_transport(networks=settings.UPSTREAM_NETWORKS.for_others))


@cache
def key_sets() -> KeySets:
    """Return the issuers' keys that this process knows."""
    return KeySets(_key_transport())


async def close_key_sets() -> None:
    """Close the connections to the issuers, at the end of the process."""
    await key_sets().aclose()
    await _key_transport().aclose()


@cache
def identity() -> Identity:
    """Return the process's verifier of bearer tokens, for the data path and the API alike."""
    return Identity(key_sets(), public_url=settings.PUBLIC_URL)


def build_gateway() -> tuple[Gateway, Agents]:
    """Return the MCP endpoint with all that is behind it, and the door for agents. Nothing is opened before its use."""
    house = runtime()
    background = Background()
    sessions = LegacySessions()
    counts = Counts()
    metrics.watch_record(house.journal)
    counts.observe = metrics.refused
    runner = Door(lambda: settings.STDIO_SOCKET)
    upstream, credentials = Upstream(networks=settings.UPSTREAM_NETWORKS), Credentials(secret_reader.configured())
    tokens, between = Tokens(_key_transport(), credentials), Translation(sessions, background)
    agents = Agents(house, counts)
    transport = Transport(upstream, credentials, tokens, sessions, runner, AgentUpstream(agents), between)
    steps = GatewaySteps(house, transport, sessions, background, counts)
    metrics.watch_crowd(steps.crowd)
    gateway = Gateway(
        house=house,
        identity=identity(),
        sessions=sessions,
        steps=steps,
        transport=transport,
        background=background,
        counts=counts,
    )
    agents.is_idle = lambda: not gateway.running
    return gateway, agents
