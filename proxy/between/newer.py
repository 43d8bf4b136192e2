"""Callers of 2026-07-28 before a server that wants a handshake.

Each caller has a hidden session. Its requests go out in it under numbers of their own, for several programs of one
caller share it. When the server asks its caller something in the middle of a call, the caller hears that as a round:
the call is parked with the rest of the server's stream, and the next round sends the answer and takes up the rest.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from approvals.database import in_database
from masking import documents
from proxy.between import mailbox, shapes
from proxy.between.hidden import GONE, Hidden, HiddenSessions, declared_of
from proxy.between.listening import listened
from proxy.between.told import Told, error, given, in_words, read, result, whole
from proxy.envelope import INVALID_PARAMS, METHOD_NOT_FOUND
from proxy.errors import Fault, OutcomeUnknown, SessionLost, UpstreamTimeout, UpstreamUnavailable
from proxy.server_requests import ALLOWED_BY, CLOSED
from proxy.stdio import faults

if TYPE_CHECKING:
    from proxy.background import Background
    from proxy.between.mirrors import Mirrors
    from proxy.between.told import Send
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions
    from proxy.upstream_answer import Answer, UpstreamRequest

LOOK_SECONDS = 0.1
OK, SESSION_GONE, SERVER_ERROR = 200, 404, 500
# For the first words of a stream, before its head is sent on without them.
HEAD_SECONDS = 1.0
MOST_PARKED = 10_000
ONLY = "1"  # the key of the one question in a round
# What the newer era does not have, or has as an extension that is not translated.
CLOSED_HERE = frozenset({"initialize", "logging/setLevel", "tasks/get", "tasks/cancel", "tasks/result", "tasks/update"})
# Notifications that come on streams which were asked for, or belong to what is not translated.
_PROGRESS, _LOG = "notifications/progress", "notifications/message"


@dataclass(frozen=True, slots=True)
class _Call:
    """A request on its way: the caller's id and token, our number for both, and the session it goes in."""

    exchange: Exchange
    request: UpstreamRequest
    send: Send
    id: Any
    method: str
    number: int
    hidden: Hidden
    key: str = ""  # under which its messages lie once it was parked
    until: float = 0.0  # seconds since the epoch

    @property
    def token(self) -> Any:
        return self.exchange.message.progress_token


class Newer:
    """Translates for callers of the newer era; one per process."""

    def __init__(self, sessions: LegacySessions, background: Background, mirrors: Mirrors) -> None:
        self._mirrors = mirrors
        self._hidden = HiddenSessions(sessions)
        self._background = background

    async def exchange(self, exchange: Exchange, request: UpstreamRequest, send: Send) -> Told:
        """Send a message of the caller's era and return the answer in it. Raises Fault."""
        message = read(request.body)
        method, request_id = str(message.get("method")), message.get("id")
        if "id" not in message:
            return Told(status=202)  # callers of this era have nothing to tell that a server should hear
        if refusal := self._refusal(exchange, request, message):
            return Told(given([[error(request_id, refusal)]]), status=shapes.newer_status({"error": refusal}))
        if method == "subscriptions/listen":
            return await listened(self._hidden, exchange, request, send)
        params = message.get("params") or {}
        if params.get(shapes.STATE) is not None:
            return await self._taken_up(exchange, request, send, message)
        hidden = await self._hidden.of(exchange, request, send)
        if method == "server/discover":
            return Told(given([[result(request_id, shapes.discovered(hidden.said))]]))
        call = _Call(exchange, request, send, request_id, method, secrets.randbits(52), hidden)
        return await self._begun(call, message, until=time.time() + exchange.connection.timeout)

    def _refusal(
        self, exchange: Exchange, request: UpstreamRequest, message: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return the error of a request that is nothing for the server, None where it is."""
        method = message["method"]
        if method in CLOSED_HERE:
            return {"code": METHOD_NOT_FOUND, "message": f"The server's revision has no {method} for this caller."}
        return self._mirrors.mismatch(exchange.connection_name, message, request.headers)

    async def _begun(self, call: _Call, message: dict[str, Any], *, until: float) -> Told:
        """Send the request, once. Raises Fault."""
        call = replace(call, until=until)
        body = shapes.to_older(message, call.number)
        try:
            answer = await call.send(in_words(call.request, body, call.hidden.headers, call.hidden.session))
        except SessionLost as lost:
            await self._hidden.forget(call.hidden)
            raise UpstreamUnavailable(GONE) from lost
        except (asyncio.CancelledError, UpstreamTimeout):
            self._background.run(self._cancel(call))
            raise
        if answer.status == SESSION_GONE and call.hidden.session is not None:
            await answer.aclose()
            await self._hidden.forget(call.hidden)
            raise UpstreamUnavailable(GONE)
        return await _headed(self._translated(call, answer), answer)

    async def _translated(self, call: _Call, answer: Answer) -> AsyncGenerator[list[bytes]]:
        """Yield what the server says, up to its answer or its question; then the rest is parked.

        Who stops listening before that cancels the call.
        """
        groups = answer.groups()
        is_over = False
        try:
            async for group in groups:
                told, asked, rest = await self._heard(call, group)
                if asked is not None:
                    call = replace(call, key=secrets.token_hex(24))
                    told.append(await self._asked(call, asked, after=0))
                    self._background.run(self._parked(call, answer, groups, rest))
                    is_over = True
                    yield told
                    return
                is_over = bool(told) and _ends(told[-1])
                if told:
                    yield told
                if is_over:
                    return
        finally:
            if not call.key:
                await groups.aclose()
                await answer.aclose()
                if not is_over:
                    self._background.run(self._cancel(call))

    async def _heard(self, call: _Call, group: list[bytes]) -> tuple[list[bytes], dict[str, Any] | None, list[bytes]]:
        """Return messages as the caller gets them, the server's question if there is one, and what came after it."""
        told: list[bytes] = []
        for number, message in enumerate(group):
            content = read(message)
            if "method" not in content:
                if call.method == "tools/list":
                    self._mirrors.learn(call.exchange.connection_name, content.get("result"))
                told.append(_answer(call, content))
                break
            if "id" not in content:
                told += _note(call, content)
            elif _may_ask(call, content):
                return told, content, group[number + 1 :]
            else:
                await self._refuse(call, content)
        return told, None, []

    async def _refuse(self, call: _Call, asked: Mapping[str, Any]) -> None:
        """Answer a server's request in the caller's stead: a ping, or what is closed."""
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        if asked.get("method") == "ping":
            reply["result"] = {}
        else:
            reply["error"] = {"code": METHOD_NOT_FOUND, "message": CLOSED}
        await self._say(call, reply)

    async def _say(self, call: _Call, message: dict[str, Any]) -> None:
        """Send something that has no answer, in the session of a call. Raises Fault."""
        request = replace(in_words(call.request, message, call.hidden.headers, call.hidden.session), timeout=10.0)
        await whole(call.send, request)

    async def _cancel(self, call: _Call) -> None:
        params = {"requestId": call.number, "reason": "The caller does not wait any more."}
        with suppress(Fault):  # a server that does not take it is not asked again
            await self._say(call, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    # Rounds

    async def _asked(self, call: _Call, asked: Mapping[str, Any], *, after: int) -> bytes:
        """Return the answer that asks the caller, with a state that is good for one round."""
        turn = secrets.token_hex(24)
        await in_database(lambda: mailbox.put(turn, 1, b""))
        hidden = call.hidden
        state = {
            "key": call.key,
            "turn": turn,
            "after": after,
            "asked": asked["id"],
            "number": call.number,
            "until": call.until,
            "hidden": [hidden.token, hidden.session, hidden.version],
            "arguments": shapes.digest(call.exchange.message.arguments),
        }
        value = {
            "resultType": "input_required",
            shapes.ASKED: {ONLY: shapes.question(asked)},
            shapes.STATE: orjson.dumps(state).decode(),
        }
        return result(call.id, value)

    async def _parked(
        self, call: _Call, answer: Answer, groups: AsyncGenerator[list[bytes]], rest: list[bytes]
    ) -> None:
        """Keep what the server says from its question on, up to its answer, for whoever takes the call up."""
        number = 0
        try:
            async with answer, aclosing(groups):
                for message in rest:
                    number += 1
                    await in_database(partial(mailbox.put, call.key, number, message))
                async for group in groups:
                    for message in group:
                        number += 1
                        await in_database(partial(mailbox.put, call.key, number, message))
                    if number > MOST_PARKED:
                        raise OutcomeUnknown("The server says more than anybody waits for.")
        except Fault as fault:
            told = faults.told(fault)[0][1]
            await in_database(lambda: mailbox.put(call.key, number + 1, told))
            await self._cancel(call)

    async def _taken_up(
        self, exchange: Exchange, request: UpstreamRequest, send: Send, message: Mapping[str, Any]
    ) -> Told:
        """Answer the server's question, once, and go on with the call."""
        params = message["params"]
        state = orjson.loads(params[shapes.STATE])
        answers = params.get(shapes.RESPONSES)
        given_answer = answers.get(ONLY) if isinstance(answers, Mapping) else None
        if not isinstance(given_answer, Mapping) or state["arguments"] != shapes.digest(exchange.message.arguments):
            why = f"params.{shapes.RESPONSES} lacks the answer, or the arguments are others than before."
            return _refused(message["id"], why)
        if not await in_database(lambda: mailbox.take(state["turn"])):
            return _refused(message["id"], f"params.{shapes.STATE} was used before, or its call is over.")
        token, session, version = state["hidden"]
        hidden = Hidden(token, session, version, {})
        number, key = state["number"], state["key"]
        call = _Call(exchange, request, send, message["id"], message["method"], number, hidden, key, state["until"])
        reply = {name: value for name, value in given_answer.items() if name != "resultType"}
        await self._say(call, {"jsonrpc": "2.0", "id": state["asked"], "result": reply})
        return Told(self._rest(call, state["after"]), streamed=True)

    async def _rest(self, call: _Call, after: int) -> AsyncGenerator[list[bytes]]:
        """Yield what the server said after its question, as it comes. Raises the fault with which it ended."""
        is_over = False
        try:
            while True:
                for number, message in await in_database(partial(mailbox.after, call.key, after)):
                    after = number
                    if message[:1] not in {b"{", b"[", b" ", b"\n"}:
                        is_over = True
                        await in_database(lambda: mailbox.take(call.key))
                        raise faults.heard(message.decode("ascii", "replace"))
                    told, asked, _ = await self._heard(call, [message])
                    if asked is not None:
                        is_over = True
                        yield [await self._asked(call, asked, after=after)]
                        return
                    is_over = bool(told) and _ends(told[-1])
                    if is_over:
                        await in_database(lambda: mailbox.take(call.key))
                    if told:
                        yield told
                    if is_over:
                        return
                if time.time() > call.until:
                    raise UpstreamTimeout("The upstream's answer was not complete in time.")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if not is_over:
                self._background.run(self._cancel(call))


async def _headed(told: AsyncGenerator[list[bytes]], answer: Answer) -> Told:
    """Return an answer with its status. A server may stream one that is an error: its first words are waited for."""
    coming = asyncio.ensure_future(anext(told, None))
    try:
        await asyncio.wait({coming}, timeout=HEAD_SECONDS if answer.streamed else None)
        first = coming.result() if coming.done() else []
    except BaseException:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await told.aclose()
        raise
    if first and _ends(first[-1]):
        await told.aclose()
        status = shapes.newer_status(orjson.loads(first[-1])) if answer.status < SERVER_ERROR else answer.status
        return Told(given([first]), status=status, streamed=answer.streamed and status == OK)
    return Told(_going_on(coming, told), streamed=True)


async def _going_on(
    coming: asyncio.Task[list[bytes] | None], told: AsyncGenerator[list[bytes]]
) -> AsyncGenerator[list[bytes]]:
    async with aclosing(told):
        try:
            group = await coming
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        while group is not None:
            yield group
            group = await anext(told, None)


def _may_ask(call: _Call, asked: Mapping[str, Any]) -> bool:
    """Say whether the caller can be asked this: in a call of its own, for what is allowed and was declared."""
    is_own = call.id == call.exchange.message.id
    return is_own and ALLOWED_BY.get(str(asked.get("method")), "") in declared_of(call.exchange)


def _ends(message: bytes) -> bool:
    return "method" not in orjson.loads(message)


def _answer(call: _Call, content: Mapping[str, Any]) -> bytes:
    if "error" in content:
        return error(call.id, shapes.newer_error(content["error"]))
    value = content.get("result")
    return result(call.id, shapes.newer_result(call.method, value if isinstance(value, dict) else {}))


def _note(call: _Call, content: dict[str, Any]) -> list[bytes]:
    """Return a notification of the server as its caller gets it; none of what that did not ask for."""
    method, params = content["method"], content.get("params")
    if method == _PROGRESS and isinstance(params, dict) and params.get("progressToken") == call.number:
        return [documents.write({**content, "params": {**params, "progressToken": call.token}})]
    wants_log = shapes.LEVEL_KEY in call.exchange.message.meta
    return [documents.write(content)] if method == _LOG and wants_log else []


def _refused(request_id: Any, why: str) -> Told:
    return Told(given([[error(request_id, {"code": INVALID_PARAMS, "message": why})]]), status=400)
