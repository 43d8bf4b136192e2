"""Sending many requests at once over sockets of their own, and reading what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

AT_ONCE = 48
GUARD = 10.0


@dataclass(frozen=True)
class Heard:
    """What came back until the connection was closed: nothing, or one or more answers."""

    data: bytes
    is_open: bool = False  # nobody closed it in all the time

    @property
    def status(self) -> int | None:
        """The status of the first answer; None when there was none."""
        return int(self.data[9:12]) if self.data.startswith(b"HTTP/1.1 ") else None

    @property
    def kind(self) -> str:
        """The media type of the first answer."""
        lines = self.data.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        found = (line.partition(b":")[2] for line in lines if line.startswith(b"content-type:"))
        return next(found, b"").decode().partition(";")[0].strip()

    @property
    def body(self) -> bytes:
        """What follows the head of the first answer."""
        return self.data.partition(b"\r\n\r\n")[2]

    def json(self) -> Any:
        """The body as JSON, or None where it is none. Of a stream the last event."""
        body = self.body
        if self.kind == "text/event-stream":
            lines = body.rpartition(b"event: message\n")[2].partition(b"\n\n")[0].split(b"\n")
            body = b"\n".join(line.removeprefix(b"data: ") for line in lines)
        with contextlib.suppress(ValueError):
            return json.loads(body)
        return None


def send_all(port: int, requests: Sequence[bytes]) -> list[Heard]:
    """Send each of these on a connection of its own, some at a time, and return what came back, in their order."""

    async def all_of_them() -> list[Heard]:
        places = asyncio.Semaphore(AT_ONCE)
        return await asyncio.gather(*(_send(places, port, data) for data in requests))

    return asyncio.run(all_of_them())


async def _send(places: asyncio.Semaphore, port: int, data: bytes) -> Heard:
    async with places:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = b""
        # Whoever is refused in the midst of a body hears it, and may not be able to send the rest.
        sending = asyncio.ensure_future(_write(writer, data))
        is_open = False
        try:
            async with asyncio.timeout(GUARD):
                while piece := await reader.read(65536):
                    found += piece
        except ConnectionError:
            pass
        except TimeoutError:
            is_open = True
        finally:
            sending.cancel()
            writer.close()
        return Heard(found, is_open)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(data)
        await writer.drain()
