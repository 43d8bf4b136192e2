"""Hints to open pages: one page that does not read, or has gone, keeps nothing from the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from approvals.consumers import MOST_NEWS, InboxConsumer

Send = Callable[[Any], Awaitable[None]]


def page(send: Send) -> InboxConsumer:
    made = InboxConsumer()
    made.base_send = send
    return made


def test_a_page_that_does_not_read_holds_up_nobody_and_keeps_little() -> None:
    async def main() -> int:
        calls = 0

        async def stuck(message: dict[str, Any]) -> None:
            nonlocal calls
            calls += 1
            await asyncio.Event().wait()

        blocked = page(stuck)
        for number in range(3 * MOST_NEWS):
            blocked.hint([f"id-{number}"])  # returns at once
            await asyncio.sleep(0)
        await blocked.disconnect(1006)
        return calls

    assert asyncio.run(main()) == 1


def test_each_id_is_told_and_a_page_that_is_gone_is_no_error() -> None:
    async def main() -> tuple[list[str], list[Any]]:
        told: list[str] = []
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

        async def reads(message: dict[str, Any]) -> None:
            told.append(json.loads(message["text"])["id"])

        async def gone(message: dict[str, Any]) -> None:
            raise ConnectionResetError

        for one in (page(gone), page(reads)):
            one.hint(["a", "b"])
            for _ in range(10):
                await asyncio.sleep(0)
        return sorted(told), errors

    assert asyncio.run(main()) == (["a", "b"], [])
