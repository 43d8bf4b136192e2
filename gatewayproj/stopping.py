"""A stop signal reaches the held calls first: a server waits for open streams before it tells its application of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """What this process does on SIGTERM and SIGINT, put before what its server does then.

    Only in a main thread, and only where a server has a handler: without one the signal ends the process anyway.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._before: dict[signal.Signals, Any] = {}

    def take(self) -> None:
        """Put `stop`, which will run on the running loop, before the installed handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            before = signal.getsignal(number)
            if callable(before) and before is not signal.default_int_handler:
                self._before[number] = before
                signal.signal(number, lambda signum, frame: self._on_signal(loop, signum, frame))

    def give_back(self) -> None:
        """Put the handlers back that were there before."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before = {}

    def _on_signal(self, loop: asyncio.AbstractEventLoop, signum: int, frame: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._stop)
        self._before[signal.Signals(signum)](signum, frame)
