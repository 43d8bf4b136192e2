"""Large bodies are worked on beside the event loop, so that nobody else waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.conf import settings

from masking.engine import MaskingFailed

T = TypeVar("T")

# Parsing and masking of so many bytes take about a millisecond; below that a thread would cost more than it spares.
LARGE = 64 * 1024
# Few: they share one interpreter, and each holds a body and what becomes of it in memory.
_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="holdgate-large")


async def apart(size: int, work: Callable[[], T], *, large: int = LARGE) -> T:
    """Return what the work on `size` bytes returns; in a thread when they are `large`, at once when they are few."""
    if size < large:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


async def masked_apart(size: int, work: Callable[[], T]) -> T:
    """Return what the masking of `size` bytes returns; large ones get their time and no more.

    Raises MaskingFailed when that is up. The thread goes on to its end, and what it brings is dropped.
    """
    try:
        async with asyncio.timeout(settings.MASKING_TIMEOUT):
            return await apart(size, work)
    except TimeoutError as error:
        raise MaskingFailed("masking took too long") from error
