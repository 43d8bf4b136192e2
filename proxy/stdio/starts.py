"""How the server of a connection is started or reached: by the policy, or an agent's file."""

from __future__ import annotations

from typing import Final, Protocol

from proxy.stdio.child import Launch
from proxy.stdio.remote import Address

Start = Launch | Address
# Each session on the network is a stream, and no program.
MOST_STREAMS: Final = 500


class Starts(Protocol):
    """Says how the server of each connection is started, and hears its complaints. Used in one event loop."""

    async def of(self, name: str, revision: int, /) -> tuple[Start, bool]:
        """Return how a server is started or reached, and whether all callers share it. Raises faults."""
        ...

    def complain(self, name: str, line: str, /) -> None:
        """Take a line that a program wrote to standard error."""

    def close(self) -> None:
        """Let go of what is held."""
