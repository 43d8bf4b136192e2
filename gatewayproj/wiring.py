"""The one place where the real parts of the data path are put together."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from approvals.runtime import runtime
from proxy.background import Background
from proxy.counts import Counts
from proxy.credentials import Credentials
from proxy.endpoint import Gateway
from proxy.identity import Identity
from proxy.jwks import KeySets
from proxy.legacy import LegacySessions
from proxy.steps import GatewaySteps
from proxy.transport import Transport
from proxy.upstream import Upstream, pooled_transport

_key_transport = cache(pooled_transport)


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


def build_gateway() -> Gateway:
    """Return the MCP endpoint with everything behind it. Connections are opened at first use."""
    house = runtime()
    background = Background()
    sessions = LegacySessions()
    transport = Transport(Upstream(), Credentials(commands=_commands()), sessions)
    return Gateway(
        house=house,
        identity=identity(),
        sessions=sessions,
        steps=GatewaySteps(house, transport, sessions, background),
        transport=transport,
        background=background,
        counts=Counts(),
    )


def _commands() -> dict[str, list[str]]:
    """Return what `exec:NAME` may run: a JSON object of argument vectors, from the environment alone."""
    try:
        commands: Any = json.loads(settings.EXEC_CREDENTIALS)
    except ValueError as error:
        msg = "HOLDGATE_EXEC_CREDENTIALS must be a JSON object."
        raise ImproperlyConfigured(msg) from error
    valid = isinstance(commands, dict) and all(
        isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv) for argv in commands.values()
    )
    if not valid:
        msg = "HOLDGATE_EXEC_CREDENTIALS must map each name to a list of words."
        raise ImproperlyConfigured(msg)
    return dict(commands)
