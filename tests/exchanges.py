"""Exchanges as the endpoint makes them, for tests of single steps of the data path."""

from __future__ import annotations

import json
from typing import Any

from approvals.policy import Policy, local_groups
from approvals.runtime import Runtime
from approvals.verdicts import Caller
from proxy import mcp
from proxy.exchange import Exchange
from proxy.knobs import Knobs
from sessions.ids import uuid7
from tests.held import caller
from tests.people import CONNECTION


async def _same_token(policy: Policy) -> Caller:
    """Say who the token of these exchanges belongs to under another policy."""
    found = caller()
    issued = frozenset(group for group in found.groups if "/" in group)
    return found.with_groups(issued | local_groups(policy.config, found))


def exchange_of(house: Runtime, *, timeout: float = 5.0, wait: float | None = None, **arguments: Any) -> Exchange:
    """Return a call of the tool `one` on the usual connection, which gives it so many seconds."""
    params = {"name": "one", "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    message = mcp.parse(json.dumps(body).encode(), [(b"content-type", b"application/json")])
    assert isinstance(message, mcp.Message)
    snapshot = house.policies.current
    connection = snapshot.policy.connection(CONNECTION)
    assert connection is not None
    return Exchange(
        call_id=uuid7(),
        caller=caller(),
        connection_name=CONNECTION,
        connection=connection.model_copy(update={"timeout": timeout}),
        message=message,
        identify=_same_token,
        identified_under=snapshot.revision,
        knobs=Knobs(wait=wait),
        snapshot=snapshot,
    )
