"""Asking an ASGI application of one's own process: no socket, no HTTP, the same questions and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from proxy.errors import OutcomeUnknown
from proxy.stdio import faults
from proxy.upstream_answer import Opened

# Pieces of an answer that wait to be taken; the application waits for the rest.
_MOST_WAITING = 16


async def ask(app: Any, verb: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Opened:
    """Ask, and return the answer when its head has come. Raises the fault that the answer tells, or OutcomeUnknown."""
    asked = _Asked(body)
    scope = {"type": "http", "method": verb, "path": path, "headers": list(headers)}
    task = asyncio.ensure_future(asked.run(app, scope))
    try:
        event = await asked.said.get()
    except BaseException:
        await asked.leave(task)
        raise
    if event is None:
        raise OutcomeUnknown("The agent's runner of servers failed.")
    found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event["headers"]}
    if told := found.get(faults.FIELD):
        await asked.leave(task)
        raise faults.heard(told)
    chunks = asked.chunks()

    async def close() -> None:
        await chunks.aclose()
        await asked.leave(task)

    return Opened(event["status"], found, chunks, close)


class _Asked:
    def __init__(self, body: bytes) -> None:
        self.said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(_MOST_WAITING)
        self._body: bytes | None = body
        self._gone = asyncio.Event()

    async def run(self, app: Any, scope: dict[str, Any]) -> None:
        """Run the application; None is said when it ended, whatever it said before."""
        try:
            await app(scope, self._receive, self._send)
        finally:
            if not self._gone.is_set():
                await self.said.put(None)

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        if not self._gone.is_set():
            await self.said.put(event)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body. Raises OutcomeUnknown when it ends before its end."""
        while (event := await self.said.get()) is not None:
            if event.get("body"):
                yield event["body"]
            if not event.get("more_body"):
                return
        raise OutcomeUnknown("The server ended before its answer was complete.")

    async def leave(self, task: asyncio.Future[None]) -> None:
        """Let the application know that nobody waits any more, and wait for its end."""
        self._gone.set()
        while not self.said.empty():
            self.said.get_nowait()
        with contextlib.suppress(Exception):
            await task
