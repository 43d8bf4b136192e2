"""What is said with one running server: requests in flight, and whose each of its messages is."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import orjson

from proxy.envelope import METHOD_NOT_FOUND, Envelope
from proxy.errors import Fault, OutcomeUnknown, UpstreamInvalid, UpstreamUnavailable
from proxy.splice import NotAMessage
from proxy.stdio import messages
from proxy.stdio.framing import LineTooLong

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.envelope import Id
    from proxy.stdio.child import Child
    from proxy.stdio.messages import Told
    from proxy.stdio.remote import Remote

log = logging.getLogger("holdgate.stdio")

CANCELLED = "notifications/cancelled"
# What a server may write that nobody waits for, since it last wrote something that somebody did.
MOST_UNASKED_BYTES, MOST_UNASKED_LINES = 4 << 20, 10_000
MOST_ABANDONED = 1000
_BROKEN = "The server wrote something that is not a JSON-RPC message."
_CLOSED = "Requests of servers to their callers are closed here."


class Stream:
    """What a server says to one request, or to a listener. `limit` is in bytes that wait to be taken."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._queue: asyncio.Queue[bytes | Fault | None] = asyncio.Queue()
        self.is_over = False
        self.overhear: Callable[[bytes], None] | None = None  # is told the last message as well

    def put(self, message: bytes, *, last: bool = False) -> bool:
        """Add a message; False when the taker is too far behind, which ends the stream."""
        self._size += len(message)
        if self._size > self._limit:
            self.end(UpstreamInvalid(f"More than {self._limit} bytes of the answer wait to be taken."))
            return False
        self._queue.put_nowait(message)
        if last:
            if self.overhear is not None:
                self.overhear(message)
            self.end()
        return True

    def end(self, fault: Fault | None = None) -> None:
        """Say that nothing follows, or why."""
        if not self.is_over:
            self.is_over = True
            self._queue.put_nowait(fault)

    async def next(self) -> bytes | None:
        """Return the next message, None after the last. Raises the fault with which it ended."""
        found = await self._queue.get()
        if isinstance(found, Fault):
            raise found
        if found is not None:
            self._size -= len(found)
        return found

    @property
    def is_drained(self) -> bool:
        """Say whether nothing but the end is left."""
        return self.is_over and self._queue.qsize() <= 1


@dataclass(frozen=True, slots=True)
class _Asked:
    id: Id | None
    token: Id | None
    method: str
    stream: Stream


class Conversation:
    """One server, spoken to by the program of one caller, or by several (`is_common`).

    Of several nobody can say whose a message is that names no request; so only changed lists are passed on then.
    `spoke` is called when the server first says something that is MCP, `failed` when it ends before.
    """

    def __init__(
        self, child: Child | Remote, *, is_common: bool, spoke: Callable[[], None], failed: Callable[[], None]
    ) -> None:
        self.child = child
        self.is_common = is_common
        self._spoken = self._is_ending = False
        self.used = asyncio.get_running_loop().time()
        self.listener: Stream | None = None
        self._spoke, self._failed = spoke, failed
        self._numbers = 0
        self._asked: dict[int, _Asked] = {}
        self._abandoned: OrderedDict[int, None] = OrderedDict()
        self._changed: dict[str, bytes] = {}
        self._unasked_bytes = self._unasked_lines = 0
        self._fault: Fault | None = None
        self._listening = asyncio.create_task(self._listen())

    @property
    def is_over(self) -> bool:
        """Say whether the server is gone, or going."""
        return self._is_ending or self.child.ended.is_set() or self._listening.done()

    @property
    def is_busy(self) -> bool:
        """Say whether somebody waits for something."""
        return bool(self._asked) or self.listener is not None

    def ask(self, body: bytes, envelope: Envelope) -> Stream:
        """Send a request and return the stream of what the server says to it. Raises UpstreamUnavailable."""
        if self.is_over:
            raise UpstreamUnavailable(self._gone())
        self._numbers += 1
        number = self._numbers
        token = envelope.meta.get("progressToken")
        self.child.send(messages.numbered(body, number), partial(self._not_sent, number))
        stream = Stream(self.child.launch.longest)
        for changed in self._changed.values():
            stream.put(changed)
        self._changed.clear()
        self._asked[number] = _Asked(envelope.id, token, envelope.method, stream)
        self._touch()
        return stream

    def _not_sent(self, number: int, fault: Fault) -> None:
        """The server did not take a request."""
        if (asked := self._asked.pop(number, None)) is not None:
            asked.stream.end(fault)

    def tell(self, body: bytes, envelope: Envelope) -> None:
        """Send a notification or a response. Raises UpstreamUnavailable."""
        self._touch()
        if self.is_over:
            raise UpstreamUnavailable(self._gone())
        if envelope.method == CANCELLED:
            wanted = envelope.params.get("requestId")
            found = [number for number, asked in self._asked.items() if _same(asked.id, wanted)]
            if len(found) == 1:  # otherwise it came too late, or could mean another program's
                self.child.send(messages.cancelling(body, found[0]))
        elif not self.is_common:
            self.child.send(body)

    def cancel(self, stream: Stream) -> bool:
        """Tell the server that nobody waits for this any more; say whether it may be spoken to again."""
        number = next((number for number, asked in self._asked.items() if asked.stream is stream), None)
        if number is None:
            return True
        asked = self._asked.pop(number)
        self._abandon(number)
        self._touch()
        if asked.method == "initialize":
            return False  # it cannot be cancelled (MCP, cancellation)
        params = {"requestId": number, "reason": "The caller does not wait any more."}
        self._send_own({"jsonrpc": "2.0", "method": CANCELLED, "params": params})
        return True

    def listen(self) -> Stream | None:
        """Open the stream of what belongs to no request; None when somebody listens already, or may not."""
        if self.is_common or self.listener is not None or self.is_over:
            return None
        self.listener = Stream(self.child.launch.longest)
        return self.listener

    def hang_up(self) -> None:
        """The listener is gone."""
        self.listener = None
        self._touch()

    async def end(self, fault: Fault | None = None) -> None:
        """End the server; whoever waits hears the fault."""
        self._is_ending = True
        self._fault = self._fault or fault
        self._release()
        await self.child.end()
        await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        """Read all that the server writes, until it ends."""
        try:
            async with aclosing(self.child.lines()) as lines:
                async for line in lines:
                    self._hear(line)
        except LineTooLong:
            message = f"The server wrote a message of more than {self.child.launch.longest} bytes."
            self._fault = UpstreamInvalid(message)
        except (messages.BrokenLine, NotAMessage):
            self._fault = UpstreamInvalid(_BROKEN)
        except _Flood:
            self._fault = UpstreamInvalid("The server writes without end what nobody asked it.")
        ended_by_itself = not self._is_ending
        if self._fault is None:
            await self._noted_end()
        if ended_by_itself and not self._spoken:
            self._failed()
        self._release()
        await self.child.end()

    async def _noted_end(self) -> None:
        """Its output ended: wait a moment for the reason, so that it can be said."""
        try:
            async with asyncio.timeout(1.0):
                await self.child.ended.wait()
        except TimeoutError:
            return

    def _hear(self, line: bytes) -> None:
        found = messages.read(line)
        if not found:
            self._count(line)
            log.info("%s wrote a line that is not MCP, of %d bytes", self.child.launch.connection, len(line))
        for told in found:
            if not self._spoken:
                self._spoken = True
                self._spoke()
            if self._give(told):
                self._unasked_bytes = self._unasked_lines = 0
            else:
                self._count(told.raw)

    def _give(self, told: Told) -> bool:
        """Bring a message to whom it belongs; say whether somebody waited for it."""
        match told.kind:
            case "answer":
                return self._give_answer(told)
            case "request":
                return self._give_request(told)
        if told.number is not None and told.number in self._asked:
            asked = self._asked[told.number]
            return self._put(told.number, messages.restored(told, asked.id, asked.token))
        if told.method == "notifications/progress" or told.number is not None:
            return False  # of a request that is over
        return self._give_loose(told)

    def _give_answer(self, told: Told) -> bool:
        number = told.number
        if number is None and told.id is None and told.is_error and len(self._asked) == 1:
            number = next(iter(self._asked))
        if number is None or number not in self._asked:
            return self._abandoned.pop(number, self) is None if number is not None else False
        asked = self._asked.pop(number)
        asked.stream.put(messages.restored(told, asked.id, asked.token), last=True)
        self._touch()
        return True

    def _give_request(self, told: Told) -> bool:
        """A request of the server's own: to the caller in the middle of whose call it comes; else it is answered."""
        if told.method == "ping":
            self._send_own({"jsonrpc": "2.0", "id": told.id, "result": {}})
        elif not self.is_common and self._asked:
            return self._put(next(reversed(self._asked)), told.raw)
        elif self.listener is not None:
            return self.listener.put(told.raw)
        else:
            error = {"code": METHOD_NOT_FOUND, "message": _CLOSED}
            self._send_own({"jsonrpc": "2.0", "id": told.id, "error": error})
        return False

    def _give_loose(self, told: Told) -> bool:
        """A notification that names no request."""
        is_change = told.method.endswith("/list_changed")
        if self.listener is not None and (is_change or not self._asked):
            return self.listener.put(told.raw)
        if self._asked and (is_change or not self.is_common):
            return self._put(next(reversed(self._asked)), told.raw)
        if is_change and len(told.raw) < 10_000 and len(self._changed) < 10:
            self._changed[told.method] = told.raw  # said with the next request
        return False

    def _put(self, number: int, message: bytes) -> bool:
        if self._asked[number].stream.put(message):
            return True
        self._asked.pop(number)
        self._abandon(number)
        return False

    def _abandon(self, number: int) -> None:
        self._abandoned[number] = None
        if len(self._abandoned) > MOST_ABANDONED:
            self._abandoned.popitem(last=False)

    def _count(self, line: bytes) -> None:
        self._unasked_bytes += len(line)
        self._unasked_lines += 1
        if self._unasked_bytes > MOST_UNASKED_BYTES or self._unasked_lines > MOST_UNASKED_LINES:
            raise _Flood

    def _send_own(self, message: dict[str, object]) -> None:
        try:
            self.child.send(orjson.dumps(message))
        except UpstreamUnavailable as fault:
            log.info("%s was not told something: %s", self.child.launch.connection, fault.message)

    def _release(self) -> None:
        """Tell everybody who waits that nothing will come."""
        for asked in self._asked.values():
            fault = self._fault
            if fault is None and asked.method == "initialize":
                fault = UpstreamUnavailable(self._gone())
            asked.stream.end(fault or OutcomeUnknown(f"{self._gone()} It had not answered."))
        self._asked.clear()
        if self.listener is not None:
            self.listener.end()

    def _gone(self) -> str:
        return f"The server ended {self.child.why}".rstrip() + "."

    def _touch(self) -> None:
        self.used = asyncio.get_running_loop().time()


class _Flood(Exception):
    """More than anybody could have asked for."""


def _same(one: Id | None, other: object) -> bool:
    return type(one) is type(other) and one == other
