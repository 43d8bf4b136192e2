"""How many bytes of a body may be on their way: what the sender may send, and what the receiver gives back."""

from __future__ import annotations

import asyncio

from proxy.tunnel.frames import WINDOW, TunnelBroken

# Credit is given back in portions: a frame for every few bytes would cost more than the bytes.
PORTION = WINDOW // 4


class Closed(Exception):
    """Nothing more of this body is wanted."""


class Allowance:
    """The sender's side of one stream."""

    def __init__(self, size: int = WINDOW) -> None:
        self._left = size
        self._is_closed = False
        self._more = asyncio.Event()

    @property
    def left(self) -> int:
        """How many bytes may be sent now."""
        return self._left

    def take_now(self, wanted: int) -> int:
        """Take at most so many bytes, and return how many; 0 when nothing may be sent."""
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    async def take(self, wanted: int) -> int:
        """Take at least one and at most so many bytes, and return how many; wait until there is one. Raises Closed."""
        while not self._left and not self._is_closed:
            self._more.clear()
            await self._more.wait()
        if self._is_closed:
            raise Closed
        return self.take_now(wanted)

    def close(self) -> None:
        """Let whoever waits, or comes to take, know that nothing more is wanted."""
        self._is_closed = True
        self._more.set()

    def grant(self, size: int) -> None:
        """Allow so many more. Raises TunnelBroken when that is more than was ever taken."""
        if not 0 < size <= WINDOW - self._left:
            raise TunnelBroken("more credit than there is")
        self._left += size
        self._more.set()


class Intake:
    """The receiver's side of one stream."""

    def __init__(self, size: int = WINDOW) -> None:
        self._allowed = size
        self._owed = 0

    def came(self, size: int) -> None:
        """Note bytes that came. Raises TunnelBroken when they were not allowed."""
        if size > self._allowed:
            raise TunnelBroken("more bytes than were allowed")
        self._allowed -= size

    def taken(self, size: int) -> int:
        """Note bytes that went on, and return how many are to be allowed anew now; 0 for none yet."""
        self._owed += size
        if self._owed < PORTION:
            return 0
        returned, self._owed = self._owed, 0
        self._allowed += returned
        return returned
