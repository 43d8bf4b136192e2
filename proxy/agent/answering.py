"""The agent's side of one socket: requests come in streams, are asked of the servers, and answers go back.

A request begins when all of it came, and once: when the socket is lost, what runs is cancelled, and the gateway says
of it that nobody knows. Nothing is taken up again on another socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from proxy.agent.hiding import Hiding
from proxy.errors import Fault, UpstreamUnavailable
from proxy.stdio import faults
from proxy.tunnel import frames
from proxy.tunnel.flow import Allowance, Intake
from proxy.tunnel.frames import Frame, Head, Kind, Opening, TunnelBroken

if TYPE_CHECKING:
    from proxy.agent.servers import Servers
    from proxy.upstream_answer import Opened

log = logging.getLogger("holdgate.agent")

Send = Callable[[bytes], Awaitable[None]]
# What of an answer's head the gateway reads.
_PASSED_ON = ("content-type", "content-encoding", "mcp-session-id", "mcp-protocol-version", "www-authenticate")


class _Asked:
    """A request that comes, or is under way."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.body = bytearray()
        self.intake, self.allowance = Intake(), Allowance()
        self.task: asyncio.Task[None] | None = None

    def came(self, piece: bytes) -> bool:
        """Take a piece of the body; say whether it was the last. Raises TunnelBroken for more than was said."""
        self.intake.came(len(piece))
        self.body += piece
        if self.task is not None or len(self.body) > self.opening.size:
            raise TunnelBroken("more of a body than was said")
        return len(self.body) == self.opening.size


class Answering:
    """Answers what comes through one socket."""

    def __init__(self, servers: Servers, send: Send) -> None:
        self._servers = servers
        self._send = send
        self._asked: dict[int, _Asked] = {}
        self.idle = asyncio.Event()
        self.idle.set()

    async def heard(self, frame: Frame) -> None:
        """Take a frame of the gateway. Raises TunnelBroken; what belongs to a call that is over is passed over."""
        if frame.kind is Kind.OPEN:
            await self._opened(frame)
            return
        asked = self._asked.get(frame.stream)
        if asked is None:
            return
        match frame.kind:
            case Kind.DATA:
                await self._came(frame.stream, asked, frame.payload)
            case Kind.CREDIT:
                asked.allowance.grant(frames.credited(frame))
            case Kind.CANCEL:
                self._over(frame.stream)
                if asked.task is not None:
                    asked.task.cancel()

    async def _opened(self, frame: Frame) -> None:
        if frame.stream in self._asked:
            raise TunnelBroken("a stream that is open already")
        opening, first = Opening.read(frame.payload)
        if len(self._asked) >= frames.MOST_STREAMS:
            raise TunnelBroken("more requests than may be under way")
        self.idle.clear()
        asked = self._asked[frame.stream] = _Asked(opening)
        await self._came(frame.stream, asked, first)

    async def _came(self, number: int, asked: _Asked, piece: bytes) -> None:
        if asked.came(piece):
            asked.task = asyncio.create_task(self._answer(number, asked))
        elif size := asked.intake.taken(len(piece)):
            await self._say(frames.credit(number, size))

    async def _answer(self, number: int, asked: _Asked) -> None:
        name = asked.opening.connection
        try:
            opened = await self._servers.open(asked.opening, bytes(asked.body))
            try:
                await self._pass_on(number, asked, opened)
            finally:
                await opened.close()
        except Fault as fault:
            if fault.executed == "unknown" and name in self._servers.health:
                self._servers.failed(name, fault.reason)
            await self._say(Frame(Kind.FAULT, number, faults.told(fault)[0][1]))
        except OSError:
            log.info("%s: the socket was lost while its answer went out", name)
        except Exception as error:
            log.exception("%s: a request failed", name)
            unknown = UpstreamUnavailable(f"The agent failed ({type(error).__name__}).", executed="unknown")
            await self._say(Frame(Kind.FAULT, number, faults.told(unknown)[0][1]))
        finally:
            self._over(number)

    async def _pass_on(self, number: int, asked: _Asked, opened: Opened) -> None:
        """Send head and body: a small answer in one frame, a stream as it comes."""
        hiding = Hiding()
        fields = _fields(opened.headers, hiding)
        first = b""
        if not opened.headers.get("content-type", "").lower().startswith("text/event-stream"):
            first, is_whole = await _start(opened, hiding)
            if is_whole:
                await self._say(Frame(Kind.HEAD, number, Head(opened.status, fields, is_whole=True).payload(first)))
                return
        await self._say(Frame(Kind.HEAD, number, Head(opened.status, fields).payload()))
        await self._pieces(number, asked, first)
        async for chunk in opened.chunks:
            await self._pieces(number, asked, hiding.piece(chunk))
        await self._pieces(number, asked, hiding.end())
        await self._say(Frame(Kind.END, number))

    async def _pieces(self, number: int, asked: _Asked, body: bytes) -> None:
        start = 0
        while start < len(body):
            size = await asked.allowance.take(min(len(body) - start, frames.PIECE))
            await self._say(Frame(Kind.DATA, number, body[start : start + size]))
            start += size

    async def _say(self, frame: Frame) -> None:
        await self._send(frame.encoded())

    def _over(self, number: int) -> None:
        self._asked.pop(number, None)
        if not self._asked:
            self.idle.set()

    async def aclose(self) -> None:
        """Cancel all that runs; return when nothing does."""
        tasks = [asked.task for asked in self._asked.values() if asked.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start(opened: Opened, hiding: Hiding) -> tuple[bytes, bool]:
    """Return what of a plain body fits into one frame, and whether it is all of it."""
    first = b""
    async for chunk in opened.chunks:
        first += hiding.piece(chunk)
        if len(first) > frames.PIECE:
            return first, False
    first += hiding.end()
    return first, len(first) <= frames.PIECE


def _fields(headers: Mapping[str, str], hiding: Hiding) -> dict[str, str]:
    found = {name: headers.get(name) for name in _PASSED_ON}
    return {
        name: hiding.whole(value.encode("latin-1", "replace")).decode("latin-1")
        for name, value in found.items()
        if value is not None
    }
