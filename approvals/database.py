"""The way from the event loop to the ORM: a few threads of our own, never Django's single shared one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from django.db import close_old_connections, connection

T = TypeVar("T")

# Reads of waiting calls, joins and pages beside the hot path; each thread keeps one connection.
_THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="holdgate-db")


async def in_database(work: Callable[[], T]) -> T:
    """Run synchronous ORM work in one of our database threads and return what it returns."""

    def run() -> T:
        close_old_connections()  # one that broke; a sound one is kept
        try:
            return work()
        finally:
            connection.close_at = None

    return await asyncio.get_running_loop().run_in_executor(_THREADS, run)


def database_now() -> datetime:
    """Return the database's clock in UTC, which alone decides what has expired."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)  # SQLite has no clock of its own: it reads this machine's
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now.astimezone(UTC)
