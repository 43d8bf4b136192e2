"""The gateway's way to the runner of stdio servers: its socket, its token, and what it must know of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals import keys
from approvals.secrets import Secret
from proxy.stdio.fields import OWNER, REVISION, RUN
from proxy.upstream import Credential, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from approvals.verdicts import Caller


def token() -> Secret:
    """Return what shows that somebody belongs to this installation."""
    return Secret(keys.derive("stdio runner").hex())


class Door:
    """Where the runner is. `socket` is asked for at the first request: the launcher may still choose it."""

    def __init__(self, socket: Callable[[], Path]) -> None:
        self.upstream = Upstream(socket=lambda: str(socket()))

    def url(self, connection: str) -> str:
        """Return the address of a connection's server."""
        return f"http://runner/{connection}"

    @property
    def credential(self) -> Credential:
        """Return what the runner asks for."""
        return Credential(header="authorization", prefix="Bearer ", secret=token())


def fields(caller: Caller, revision: int) -> tuple[tuple[str, str], ...]:
    """Return what the runner is told of a request: for whom, in which run, and by which policy it was judged.

    Behind a request of the gateway's own is nobody; a server is started for that only where there is room.
    """
    run = keys.keyed_digest("stdio run", *(f"{key}={value}" for key, value in caller.run)) if caller.run else ""
    actor = keys.actor(caller.key) if caller.iss else ""
    return (*owner(actor), (RUN, run), (REVISION, str(revision)))


def owner(actor: str) -> tuple[tuple[str, str], ...]:
    """Return what the runner is told of whose a session is."""
    return ((OWNER, actor),)
