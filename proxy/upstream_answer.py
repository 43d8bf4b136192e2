"""What an upstream answers to one request: judged by its head, then message by message. Pure but for the
waiting.

It knows no HTTP library: whoever sends the request hands over an `Opened` answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import orjson

from approvals.secrets import Secret
from proxy import sse
from proxy.envelope import Id
from proxy.errors import (
    Fault,
    MaskingBroken,
    OutcomeUnknown,
    SessionLost,
    UpstreamInvalid,
    UpstreamTimeout,
)
from proxy.headers import RawHeaders
from proxy.refusals import Executed
from proxy.refused import Whose, refused
from proxy.routes import Route

MAX_ANSWER = 32 * 1024 * 1024
MAX_RESUMPTIONS = 100
# What is released together is recorded as one entry, whose size is limited.
MAX_GROUP = 100
_DRAIN_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The field that authenticates the gateway to an upstream: `Authorization`, `Bearer `, and the secret.

    `was_kept` says of a token that it was got for an earlier call, and that a new one may be better.
    """

    header: str
    secret: Secret
    prefix: str = ""
    whose: Whose = "secret"
    was_kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """One request to an upstream.

    `body` goes out as it is. `headers` are the caller's, of which few are passed on. `id` is the request's
    id; None for notifications, responses, GET and DELETE. `session` is the upstream's own session id.
    `fields` are of the gateway's own, for its runner of stdio servers.
    `timeout` bounds the whole exchange in seconds, `max_answer` the answer in bytes. `resume` allows to fetch
    the rest of an event stream that the upstream closed early (2025-11-25, "Resumability"). `route` is the way to its
    server, where it is not the usual one.
    """

    url: str
    body: bytes = field(default=b"", repr=False)
    id: Id | None = None
    verb: Literal["POST", "GET", "DELETE"] = "POST"
    headers: RawHeaders = field(default=(), repr=False)
    session: str | None = field(default=None, repr=False)
    last_event_id: str | None = None
    credential: Credential | None = None
    fields: tuple[tuple[str, str], ...] = ()
    timeout: float | None = 60.0
    max_answer: int = MAX_ANSWER
    resume: bool = True
    route: Route | None = None

    def passed_on(self) -> tuple[tuple[str, str], ...]:
        """Return those of the caller's header fields that a server sees, by lower-case name."""
        found = ((name.lower(), value) for name, value in self.headers if value.isascii())
        return tuple((name.decode("ascii"), value.decode("ascii")) for name, value in found if _is_listed(name))


_TRACING = frozenset({b"traceparent", b"tracestate"})
_OWN = frozenset({b"mcp-session-id"})


def _is_listed(name: bytes) -> bool:
    return (name.startswith(b"mcp-") and name not in _OWN) or name in _TRACING


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose head has come: `headers` by lower-case name, `chunks` that raise faults, `close`."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


# Sends a request once and returns when the head of its answer has come. The deadline is loop time.
Send = Callable[[UpstreamRequest, float | None], Awaitable[Opened]]


class Answer:
    """What an upstream answers: `status`, its `session` and `version` fields, and the messages, in their own
    bytes.
    """

    def __init__(self, send: Send, request: UpstreamRequest, opened: Opened, deadline: float | None) -> None:
        self.status = opened.status
        self.session = opened.headers.get("mcp-session-id")
        self.version = opened.headers.get("mcp-protocol-version")
        self.streamed = False
        self.last_id: str | None = None  # of the event that came last
        self.is_paused = False  # the upstream ended its stream for now, and the rest is asked for
        self._send, self._request, self._deadline = send, request, deadline
        self._opened = opened
        self._size = 0
        self._plain: list[bytes] = []
        self._finished = False

    async def begin(self) -> None:
        """Decide by status and content type; read a plain body. Raises the faults that need no body."""
        if self.status in {401, 403}:
            credential = self._request.credential
            challenge = self._opened.headers.get("www-authenticate", "")
            raise refused(self.status, challenge, None if credential is None else credential.whose)
        if 300 <= self.status < 400:
            raise UpstreamInvalid("The upstream redirected.", executed="false", status=self.status)
        kind = self._opened.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._opened.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._invalid("The upstream encoded its answer.")
        if kind == "text/event-stream" and self.status == 200:
            self.streamed = True
            return
        body = await self._whole()
        self._finished = True
        if self._request.id is None and (self._request.verb != "POST" or not body or self.status < 300):
            return
        self._plain = self._read_plain(kind, body)

    async def groups(self) -> AsyncGenerator[list[bytes]]:
        """Yield the messages as they come, those that came together as one list. The last one is the answer.

        An empty list says that the stream has a gap: `is_paused`.

        A stream without a request id (GET) has no answer and ends when the upstream ends it. Raises faults.
        """
        if not self.streamed:
            for group in _groups(self._plain):
                yield group
            return
        for _ in range(MAX_RESUMPTIONS):
            resumption = _Resumption()
            async for group in self._stream(resumption):
                yield group
            if self._finished or self._request.id is None:
                return
            if resumption.last_id is not None and self._request.resume:
                self.is_paused = True
                yield []
            await self._resume(resumption)
        raise OutcomeUnknown("The upstream kept closing its stream without an answer.")

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield the messages one by one; as `groups`."""
        async for group in self.groups():
            for message in group:
                yield message

    async def aclose(self) -> None:
        """End the exchange. Before the answer has come this cancels it upstream: the connection is closed."""
        if self.streamed and self._finished:
            # What follows is the end of the stream; once that is read the connection can serve again.
            with contextlib.suppress(Fault, TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    async for _ in self._opened.chunks:
                        pass
        await self._opened.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _whole(self) -> bytes:
        """Read a plain body to its end within the deadline."""
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout_at(self._deadline):
                async for chunk in self._opened.chunks:
                    self._count(chunk)
                    chunks.append(chunk)
        except TimeoutError as error:
            raise UpstreamTimeout("The upstream's answer was not complete in time.") from error
        return b"".join(chunks)

    async def _read(self) -> AsyncIterator[bytes]:
        """Yield a stream in pieces within the deadline; the next one is read when the last was taken."""
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(self._opened.chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise UpstreamTimeout("The upstream's answer was not complete in time.") from error
            yield chunk

    def _count(self, chunk: bytes) -> None:
        self._size += len(chunk)
        # A standing stream is the only answer without an end of its own, in time and in size.
        endless = self._request.verb == "GET" or self._request.timeout is None
        if not endless and self._size > self._request.max_answer:
            # A stream without end says nothing of the call: its answer never came.
            raise self._too_large("unknown" if self.streamed else "true")

    def _read_plain(self, kind: str, body: bytes) -> list[bytes]:
        found = _parsed(body) if kind == "application/json" else None
        if found is None or not found or not all(_is_message(message) for message in found):
            if self.status == 404 and self._request.session is not None:
                raise SessionLost("The upstream no longer knows the session.", status=404)
            if kind == "application/json" and found is None:
                self._refuse_undecodable(body)
            raise self._invalid("The upstream's answer is not a JSON-RPC message.")
        if (asked := self._request.id) is not None and not (
            _answers(found[-1], asked) and all("method" in message or _answers(message, asked) for message in found)
        ):
            raise self._invalid("The upstream answered another request.")
        if self._request.id is not None and len(found) > 1:
            first = next(number for number, message in enumerate(found) if _answers(message, self._request.id))
            del found[first + 1 :]  # nothing may follow the answer
        return [body] if len(found) == 1 and not body.lstrip().startswith(b"[") else [*map(orjson.dumps, found)]

    async def _stream(self, resumption: _Resumption) -> AsyncIterator[list[bytes]]:
        decoder = sse.Decoder(limit=self._request.max_answer)
        async for chunk in self._read():
            try:
                events = decoder.feed(chunk)
            except sse.EventTooLarge:
                raise self._too_large() from None
            self._count(chunk)
            group: list[bytes] = []
            for event in events:
                resumption.note(event)
                self.last_id = resumption.last_id
                if event.data and event.name == "message":
                    group += self._take(event.data)
                if self._finished:
                    break
            for few in _groups(group):
                yield few
            if self._finished:
                return

    def _take(self, data: bytes) -> list[bytes]:
        """Check one event's data, and whether it is the answer. Almost always one message; a batch on
        2025-03-26.
        """
        found = _parsed(data)
        if found is None:
            self._refuse_undecodable(data)
        if found is None or not all(_is_message(message) for message in found):
            raise self._invalid("The upstream's stream holds something that is not a JSON-RPC message.")
        for number, message in enumerate(found):
            if "method" not in message and self._request.id is not None:
                if not _answers(message, self._request.id):
                    raise self._invalid("The upstream answered another request.")
                self._finished = True
                del found[number + 1 :]  # nothing may follow the answer
        return [data] if len(found) == 1 and not data.lstrip().startswith(b"[") else [*map(orjson.dumps, found)]

    async def _resume(self, resumption: _Resumption) -> None:
        """Ask for the rest of a stream that ended early, by GET and event id: the call itself is not sent
        again.
        """
        request = self._request
        if resumption.last_id is None or not request.resume:
            raise OutcomeUnknown("The upstream ended its stream without an answer.")
        await self.aclose()
        try:
            async with asyncio.timeout_at(self._deadline):
                await asyncio.sleep(resumption.retry)
        except TimeoutError as error:
            raise UpstreamTimeout("The upstream's answer was not complete in time.") from error
        again = replace(request, verb="GET", body=b"", last_event_id=resumption.last_id)
        try:
            self._opened = await self._send(again, self._deadline)
        except Fault as fault:
            raise OutcomeUnknown("The upstream's stream could not be resumed.") from fault
        kind = self._opened.headers.get("content-type", "").lower()
        if self._opened.status != 200 or not kind.startswith("text/event-stream"):
            raise OutcomeUnknown("The upstream's stream could not be resumed.")

    def _refuse_undecodable(self, body: bytes) -> None:
        """Raise MaskingBroken for what is the answer to the request, but for bytes in it that are no UTF-8.

        The server has answered, so the call ran; what cannot be read cannot be masked.
        """
        asked = self._request.id
        if asked is None or self.status >= 500:
            return
        found = _parsed(body.decode("utf-8", "replace").encode()) or ()
        if any(_is_message(message) and "method" not in message and _answers(message, asked) for message in found):
            text = "The upstream's answer is withheld: text in it is not UTF-8, so it cannot be masked."
            raise MaskingBroken(text, status=self.status)

    def _invalid(self, message: str) -> UpstreamInvalid:
        return UpstreamInvalid(message, status=self.status)

    def _too_large(self, executed: Executed = "true") -> UpstreamInvalid:
        message = f"The upstream's answer is larger than {self._request.max_answer} bytes."
        return UpstreamInvalid(message, executed="unknown" if self.status >= 500 else executed, status=self.status)


def deadline_of(request: UpstreamRequest) -> float | None:
    """Return until when a request that begins now may take, in loop time; None: for ever."""
    return None if request.timeout is None else asyncio.get_running_loop().time() + request.timeout


async def exchange(send: Send, request: UpstreamRequest) -> Answer:
    """Send one request and return its answer, of which the head has come. Raises the faults of `proxy.errors`."""
    deadline = deadline_of(request)
    answer = Answer(send, request, await send(request, deadline), deadline)
    try:
        await answer.begin()
    except BaseException:
        await answer.aclose()
        raise
    return answer


@dataclass(slots=True)
class _Resumption:
    """From where a stream could be resumed, and after how many seconds."""

    last_id: str | None = None
    retry: float = 1.0

    def note(self, event: sse.Event) -> None:
        if event.id is not None:
            self.last_id = event.id or None
        if event.retry is not None:
            self.retry = min(event.retry / 1000, 60.0)


def _groups(messages: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(messages), MAX_GROUP):
        yield messages[start : start + MAX_GROUP]


def _parsed(body: bytes) -> list[Any] | None:
    """Return the messages of a body: one, or the elements of a batch; None when it is not JSON."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, list) else [value]


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        return False
    if "method" in value:
        return isinstance(value["method"], str)
    return ("result" in value) != ("error" in value) and isinstance(value.get("result", value.get("error")), dict)


def _answers(message: dict[str, Any], request_id: Id) -> bool:
    """Say whether a message answers the request. An error without an id does: its server could not read the
    id.
    """
    found = message.get("id")
    if found is None:
        return "error" in message
    return type(found) is type(request_id) and found == request_id and "method" not in message
