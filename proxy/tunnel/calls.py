"""The gateway's side of one agent's socket: requests go out in streams, answers come back, nothing is sent twice.

It knows no WebSocket: who has one hands over what sends a message, and every frame that came. When the socket is lost,
each call ends by how far it had come: a request of which a byte had not been handed over was never begun by the agent,
and may be repeated; of any other nobody knows what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial

from proxy.errors import Fault, OutcomeUnknown, UpstreamTimeout, UpstreamUnavailable
from proxy.stdio import faults
from proxy.tunnel import frames
from proxy.tunnel.flow import Allowance, Closed, Intake
from proxy.tunnel.frames import Frame, Head, Hello, Kind, Opening, TunnelBroken
from proxy.upstream_answer import Opened

RETRY_SECONDS = 2
_LOST = "The connection to the agent broke before it had the whole request; nothing was executed."
_TIME = "The server behind the agent did not answer in time."
_LONGEST_SENTENCE = 300
Send = Callable[[bytes], Awaitable[None]]


def away(message: str) -> UpstreamUnavailable:
    """Return the fault of a call that did not reach its agent; it may be repeated soon."""
    return UpstreamUnavailable(message, detail="agent_away", retry_after=RETRY_SECONDS)


class _Stream:
    """One request and its answer. `is_sent`: the agent may have all of the request."""

    def __init__(self) -> None:
        self.head: asyncio.Future[tuple[Head, bytes]] = asyncio.get_running_loop().create_future()
        self.queue: asyncio.Queue[bytes | Fault | None] = asyncio.Queue()
        self.allowance, self.intake = Allowance(), Intake()
        self.is_sent = False

    def end(self, fault: Fault | None = None) -> None:
        """Say that nothing follows, or why; no more of the request is sent either."""
        self.allowance.close()
        if self.head.done():
            self.queue.put_nowait(fault)
        else:
            self.head.set_exception(fault or OutcomeUnknown("The agent ended its answer before it had begun."))
            self.head.exception()  # seen here as well: who asked may have left


class Calls:
    """All requests that are under way through one socket. `hello` is what the agent said of itself."""

    def __init__(self, agent: str, hello: Hello, send: Send) -> None:
        self.agent, self.hello = agent, hello
        self.is_lost = self.is_leaving = False
        self._send = send
        self._streams: dict[int, _Stream] = {}
        self._numbers = 0
        self._saying: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._streams)

    async def open(self, opening: Opening, body: bytes, deadline: float | None) -> Opened:
        """Send a request and return its answer when the head of it has come. Raises faults."""
        if self.is_lost or self.is_leaving:
            raise away(f"The agent {self.agent} is not connected.")
        if len(self._streams) >= frames.MOST_STREAMS:
            raise away(f"The agent {self.agent} has {frames.MOST_STREAMS} calls under way already.")
        self._numbers += 1
        number, stream = self._numbers, _Stream()
        self._streams[number] = stream
        try:
            async with asyncio.timeout_at(deadline):
                with contextlib.suppress(Closed):  # the head says why
                    await self._send_request(number, stream, opening, body)
                head, first = await stream.head
        except TimeoutError as error:
            self._let_go(number)
            raise UpstreamTimeout(_TIME, executed="unknown" if stream.is_sent else "false") from error
        except BaseException:
            self._let_go(number)
            raise
        chunks = self._chunks(number, stream, first)
        return Opened(head.status, head.headers, chunks, partial(self._close, number, chunks))

    async def _send_request(self, number: int, stream: _Stream, opening: Opening, body: bytes) -> None:
        start = stream.allowance.take_now(min(len(body), frames.PIECE))
        stream.is_sent = start == len(body)
        await self._say(Frame(Kind.OPEN, number, opening.payload(body[:start])))
        while start < len(body):
            size = await stream.allowance.take(min(len(body) - start, frames.PIECE))
            stream.is_sent = start + size == len(body)
            await self._say(Frame(Kind.DATA, number, body[start : start + size]))
            start += size

    async def _chunks(self, number: int, stream: _Stream, first: bytes) -> AsyncGenerator[bytes, None]:
        chunk: bytes | Fault | None = first
        while chunk is not None:
            if isinstance(chunk, Fault):
                raise chunk
            if (size := stream.intake.taken(len(chunk))) and number in self._streams:
                self._later(frames.credit(number, size))
            if chunk:
                yield chunk
            chunk = await stream.queue.get()

    async def _close(self, number: int, chunks: AsyncGenerator[bytes, None]) -> None:
        self._let_go(number)
        await chunks.aclose()

    def heard(self, frame: Frame) -> None:
        """Take a frame of the agent. Raises TunnelBroken; what belongs to a call that is over is passed over."""
        self.is_leaving = self.is_leaving or frame.kind is Kind.LEAVING
        stream = self._streams.get(frame.stream)
        if stream is None:
            return
        match frame.kind:
            case Kind.HEAD:
                self._begun(frame, stream)
            case Kind.DATA:
                if not stream.head.done():
                    raise TunnelBroken("a body without a head")
                stream.intake.came(len(frame.payload))
                stream.queue.put_nowait(frame.payload)
            case Kind.END:
                del self._streams[frame.stream]
                stream.end()
            case Kind.FAULT:
                del self._streams[frame.stream]
                stream.end(_told(frame.payload))
            case Kind.CREDIT:
                stream.allowance.grant(frames.credited(frame))

    def _begun(self, frame: Frame, stream: _Stream) -> None:
        head, first = Head.read(frame.payload)
        stream.intake.came(len(first))
        if stream.head.done():
            raise TunnelBroken("a second head")
        stream.head.set_result((head, first))
        if head.is_whole:
            del self._streams[frame.stream]
            stream.end()

    def lost(self) -> None:
        """End every call: the socket is gone."""
        self.is_lost = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.end(
                OutcomeUnknown("The connection to the agent broke before the server's answer was complete.")
                if stream.is_sent
                else away(_LOST)
            )

    def _let_go(self, number: int) -> None:
        """Forget a call; the agent is told where it may still be at it."""
        if self._streams.pop(number, None) is not None:
            self._later(Frame(Kind.CANCEL, number))

    def _later(self, frame: Frame) -> None:
        task = asyncio.ensure_future(self._say(frame))
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    async def _say(self, frame: Frame) -> None:
        if self.is_lost:
            return
        try:
            await self._send(frame.encoded())
        except OSError:  # the reader of the socket hears of it as well, but later
            self.lost()


def _told(payload: bytes) -> Fault:
    """Return the fault that an agent tells; its sentence is for callers, so it is one short line."""
    try:
        fault = faults.heard(payload.decode("ascii"))
    except ValueError:
        raise TunnelBroken("a fault that is none") from None
    fault.message = "".join(character for character in fault.message if character.isprintable())[:_LONGEST_SENTENCE]
    return fault
