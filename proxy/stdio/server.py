"""The runner's door: each server that it keeps as a Streamable HTTP endpoint `/<connection>`, for the gateway alone.

A bare ASGI callable, served on a socket that only this installation may open, to whoever shows its token. The gateway
sends what it sends to any upstream, so that policy, holding, masking and record know nothing of pipes. A fault that a
real HTTP server would show as a broken connection is told in a header field of its own (`proxy.stdio.faults`).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from proxy import envelope, splice
from proxy.between.mirrors import Mirrors
from proxy.between.shapes import newer_status
from proxy.between.told import error
from proxy.body import BodyTooLarge, CallerGone, read_body
from proxy.envelope import Envelope, Rejection
from proxy.errors import Fault
from proxy.headers import Headers
from proxy.mcp import MODERN
from proxy.stdio import faults
from proxy.stdio.fields import OWNER, REVISION, RUN
from proxy.stdio.handshake import Handshakes
from proxy.stdio.pool import Owner, Pool

if TYPE_CHECKING:
    from approvals.secrets import Secret
    from proxy.stdio.conversation import Conversation, Stream
    from proxy.stdio.starts import Start, Starts
    from proxy.upstream import Upstream

log = logging.getLogger("holdgate.stdio")

MAX_BODY = 1 << 30  # the gateway keeps to what its connection allows
SWEEP_SECONDS = 1.0
SESSION = b"mcp-session-id"


class Runner:
    """Runs the stdio servers of one installation. Made once; used in one event loop; closed at the end."""

    def __init__(self, launches: Starts, token: Secret, upstream: Upstream) -> None:
        self._launches = launches
        self._token = f"Bearer {token.reveal()}".encode()
        self._upstream = upstream
        self.pool = Pool(launches.complain, upstream)
        self._handshakes = Handshakes()
        self._mirrors = Mirrors()
        self._sweeping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = Headers(scope["headers"])
        if not hmac.compare_digest((headers.first("authorization") or "").encode(), self._token):
            await _answer(send, 401)
            return
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        try:
            await self._serve(scope, headers, receive, send)
        except CallerGone:
            return
        except Fault as fault:
            await _answer(send, 502, b"", *faults.told(fault))

    async def aclose(self) -> None:
        """End every server and return when nothing is left of any."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.pool.aclose()
        await self._upstream.aclose()
        self._launches.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.pool.sweep()

    async def _serve(self, scope: Any, headers: Headers, receive: Any, send: Any) -> None:
        owner = Owner(headers.first(OWNER) or "", headers.first(RUN) or "")
        session = headers.first("mcp-session-id")
        if scope["method"] == "DELETE":
            self.pool.close(session or "")
            await _answer(send, 204)
            return
        revision = int(headers.first(REVISION) or 0)
        launch, is_shared = await self._launches.of(scope["path"].strip("/"), revision)
        if scope["method"] == "GET":
            await self._listen(self.pool.find(session or "", launch, owner), receive, send)
            return
        try:
            body = await read_body(receive, scope["headers"], MAX_BODY)
        except BodyTooLarge:
            await _answer(send, 413)
            return
        read = envelope.read(_parsed(body))
        if isinstance(read, Rejection):
            await _answer(send, 400)
            return
        if read.method == "initialize" and read.kind == "request":
            await self._initialize(launch, owner, is_shared, body, read, receive, send)
            return
        if session is not None:
            conversation = self.pool.find(session, launch, owner)
        else:
            conversation = await self._without_session(launch, owner, is_shared, headers)
        if conversation is None:
            await _answer(send, 404)
        elif read.kind == "request":
            await self._ask(conversation, headers, scope, body, read, receive, send)
        else:
            conversation.tell(body, read)
            await _answer(send, 202)

    async def _ask(
        self,
        conversation: Conversation,
        headers: Headers,
        scope: Any,
        body: bytes,
        read: Envelope,
        receive: Any,
        send: Any,
    ) -> None:
        """Ask the server, unless header fields, of which it sees nothing, say something else than the body."""
        is_modern, name = headers.first("mcp-protocol-version") in MODERN, conversation.child.launch.connection
        if is_modern:
            message = {"method": read.method, "params": read.params}
            if mismatch := self._mirrors.mismatch(name, message, scope["headers"]):
                await _answer(send, 400, error(read.id, mismatch), _JSON)
                return
        stream = conversation.ask(body, read)
        if read.method == "tools/list":
            stream.overhear = partial(self._learn, name)
        await self._pass_on(conversation, stream, receive, send, is_modern=is_modern)

    def _learn(self, connection: str, message: bytes) -> None:
        self._mirrors.learn(connection, orjson.loads(message).get("result"))

    async def _without_session(self, launch: Start, owner: Owner, is_shared: bool, headers: Headers) -> Conversation:
        if headers.first("mcp-protocol-version") in MODERN:
            return await self.pool.common(launch, owner, "modern", is_shared=is_shared)
        conversation = await self.pool.common(launch, owner, "legacy", is_shared=is_shared)
        await self._handshakes.answer(conversation)
        return conversation

    async def _initialize(
        self, launch: Start, owner: Owner, is_shared: bool, body: bytes, read: Envelope, receive: Any, send: Any
    ) -> None:
        """Open a session: with a server of its own, whose handshake is the caller's, or with the one of all."""
        if is_shared:
            conversation = await self.pool.common(launch, owner, "legacy", is_shared=True)
            answer = await self._handshakes.answer(conversation)
            answer = splice.with_values(answer, {("id",): read.id})
            await _answer(send, 200, answer, _JSON, (SESSION, self.pool.open(conversation, owner).encode()))
            return
        conversation = await self.pool.begin(launch, owner)
        try:
            stream = conversation.ask(body, read)
            opened = (SESSION, self.pool.open(conversation, owner).encode())
            if not await self._pass_on(conversation, stream, receive, send, opened):
                self.pool.end(conversation)
        except BaseException:
            self.pool.end(conversation)
            raise

    async def _pass_on(
        self,
        conversation: Conversation,
        stream: Stream,
        receive: Any,
        send: Any,
        *extra: tuple[bytes, bytes],
        is_modern: bool = False,
    ) -> bool:
        """Answer with what the server says, as JSON when the answer comes first; say whether it came."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            message = await _next(stream, gone)
            if message is not None and stream.is_drained:
                # Since 2026-07-28 errors have a status of HTTP, which a server over pipes cannot give.
                await _answer(send, newer_status(orjson.loads(message)) if is_modern else 200, message, _JSON, *extra)
                return True
            await _begin(send, *extra)
            while message is not None:
                await send({"type": "http.response.body", "body": _event(message), "more_body": True})
                message = await _next(stream, gone)
            await send({"type": "http.response.body", "body": b""})
        except CallerGone:
            if not conversation.cancel(stream):
                self.pool.end(conversation)
            return False
        finally:
            gone.cancel()
        return True

    async def _listen(self, conversation: Conversation | None, receive: Any, send: Any) -> None:
        """Give what belongs to no request, for as long as the listener is there."""
        if conversation is None:
            await _answer(send, 404)
            return
        stream = conversation.listen()
        if stream is None:
            await _answer(send, 405)
            return
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await _begin(send)
            while (message := await _next(stream, gone)) is not None:
                await send({"type": "http.response.body", "body": _event(message), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            conversation.hang_up()


_JSON = (b"content-type", b"application/json")


def _parsed(body: bytes) -> Any:
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(body)
    return None


async def _next(stream: Stream, gone: asyncio.Future[None]) -> bytes | None:
    """Return the next message, None after the last. Raises CallerGone, and the fault of the server."""
    taking = asyncio.ensure_future(stream.next())
    waiting: set[asyncio.Future[Any]] = {taking, gone}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if taking.done():
        return taking.result()
    taking.cancel()
    raise CallerGone


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _begin(send: Any, *extra: tuple[bytes, bytes]) -> None:
    fields = [(b"content-type", b"text/event-stream"), *extra]
    await send({"type": "http.response.start", "status": 200, "headers": fields})


def _event(message: bytes) -> bytes:
    # Outside of strings, where JSON allows none, a carriage return is white space; in an event it would end the line.
    return b"event: message\ndata: " + message.replace(b"\r", b" ") + b"\n\n"


async def _answer(send: Any, status: int, body: bytes = b"", *fields: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    headers = [*fields] if status == 204 else [length, *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
