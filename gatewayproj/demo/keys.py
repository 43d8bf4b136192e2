"""Single letters typed at the terminal, each followed by Enter, while other things go on."""

from __future__ import annotations

import asyncio
import os
import sys
from types import TracebackType


class Keys:
    """Gives what is typed as long as it is entered. Without a terminal nothing ever comes."""

    def __init__(self) -> None:
        self._typed: asyncio.Queue[str] = asyncio.Queue()
        self.is_terminal = sys.stdin is not None and sys.stdin.isatty()

    def __enter__(self) -> Keys:
        if self.is_terminal:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_terminal:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    async def next(self) -> str:
        """Return the first letter of the next line, in lower case."""
        return await self._typed.get()

    def _read(self) -> None:
        line = os.read(sys.stdin.fileno(), 1024)
        if not line:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        for word in line.decode(errors="replace").split():
            self._typed.put_nowait(word[0].lower())
