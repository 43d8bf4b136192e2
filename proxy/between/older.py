"""Callers of revisions up to 2025-11-25 before a server of 2026-07-28.

The server knows no sessions, so what a caller said at its handshake is kept in the caller's own session with the
gateway and said again with each request. When the server wants answers before it goes on (`input_required`), the caller
is asked by requests on the stream of its call, and the server is called again with what it answered.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from approvals.database import in_database
from masking import documents
from proxy.between import mailbox, shapes
from proxy.between.lasting import METHODS, Kept, Lasting, of_session
from proxy.between.told import Told, error, given, in_words, read, result, whole
from proxy.cutting import until
from proxy.envelope import METHOD_NOT_FOUND
from proxy.errors import AccessEnded, NotAllowedToAsk, OutcomeUnknown, UpstreamInvalid, UpstreamTimeout
from proxy.mcp import MODERN

if TYPE_CHECKING:
    from proxy.between.mirrors import Mirrors
    from proxy.between.told import Send
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions
    from proxy.upstream_answer import Answer, UpstreamRequest

LOOK_SECONDS = 0.1
MOST_ROUNDS, MOST_QUESTIONS = 10, 20
PAUSE_SECONDS = 0.25  # between rounds in which nothing is asked
# Of the newer era alone; and tasks, which the two eras have in ways of their own.
CLOSED_HERE = frozenset(
    {"tasks/get", "tasks/cancel", "tasks/result", "tasks/list", "subscriptions/listen", "server/discover"}
)
_LISTENED = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}
_CANCELLED = "notifications/cancelled"


@dataclass(frozen=True, slots=True)
class _Call:
    """A request on its way, and what its caller said of itself."""

    exchange: Exchange
    request: UpstreamRequest
    send: Send
    message: Mapping[str, Any]
    kept: Kept
    level: str
    annotated: Mapping[tuple[str, ...], str]
    deadline: float  # seconds of the event loop
    cancelled: asyncio.Event


class Older:
    """Translates for callers of the older era; one per process."""

    def __init__(self, sessions: LegacySessions, mirrors: Mirrors) -> None:
        self._lasting = Lasting(sessions)
        self._running: dict[tuple[str, ...], asyncio.Event] = {}
        self._mirrors = mirrors

    async def exchange(self, exchange: Exchange, request: UpstreamRequest, send: Send) -> Told:
        """Send a message of the caller's era and return the answer in it. Raises Fault."""
        if request.verb == "GET":
            return await self._lasting.listened(exchange, request, send)
        message = read(request.body)
        if "method" not in message:
            key = str(message["id"])
            await in_database(lambda: mailbox.put(key, 1, request.body))
            return Told(status=202)
        if "id" not in message:
            if message["method"] == _CANCELLED:
                self._cancel(exchange, (message.get("params") or {}).get("requestId"))
            return Told(status=202)
        return await self._answered(exchange, request, send, message)

    async def _answered(
        self, exchange: Exchange, request: UpstreamRequest, send: Send, message: dict[str, Any]
    ) -> Told:
        """Answer a request: here, where the server's era has nothing like it, or by the server."""
        method, request_id = str(message["method"]), message["id"]
        if method == "initialize":
            return await _shaken(exchange, request, send, message)
        if method == "ping":
            return Told(given([[result(request_id, {})]]))
        if method in METHODS:
            return await self._lasting.answered(exchange, message)
        if method in CLOSED_HERE:
            closed = {"code": METHOD_NOT_FOUND, "message": f"The server's revision has no {method} for this caller."}
            return Told(given([[error(request_id, closed)]]))
        return await self._asked(exchange, request, send, message)

    async def _asked(self, exchange: Exchange, request: UpstreamRequest, send: Send, message: dict[str, Any]) -> Told:
        """Send a request; the answer is a stream unless it is all that comes."""
        name = (message.get("params") or {}).get("name")
        call = _Call(
            exchange,
            request,
            send,
            message,
            of_session(exchange),
            await self._lasting.level(exchange),
            self._mirrors.of(exchange.connection_name, name),
            asyncio.get_running_loop().time() + (request.timeout or exchange.connection.timeout),
            asyncio.Event(),
        )
        answer = await send(_in_newer(call, {}))
        groups = self._told(call, answer)
        first = await anext(groups, None)
        if first is None:
            return Told()
        is_whole = not answer.streamed and "method" not in orjson.loads(first[-1])
        if is_whole:
            await groups.aclose()
            return Told(given([first]), status=answer.status if answer.status >= 500 else 200)
        return Told(_again(first, groups), streamed=True)

    async def _told(self, call: _Call, answer: Answer) -> AsyncGenerator[list[bytes]]:
        """Yield what the server says, over as many rounds as it wants. Raises Fault."""
        place = _place(call.exchange, call.message["id"])
        self._running[place] = call.cancelled
        try:
            for number in range(MOST_ROUNDS):
                asked: Mapping[str, Any] | None = None
                async with answer, aclosing(until(call.cancelled, answer.groups())) as groups:
                    async for group in groups:
                        told, asked = self._heard(call, [read(one) for one in group])
                        if told:
                            yield told
                if asked is None:
                    return
                questions = _questions(asked)
                if questions:
                    yield [documents.write(one) for _, one in questions]
                answers = await _answers(call, questions, number)
                more: dict[str, Any] = {shapes.RESPONSES: answers} if answers else {}
                if asked.get(shapes.STATE) is not None:
                    more[shapes.STATE] = asked[shapes.STATE]
                answer = await call.send(_in_newer(call, more))
            raise UpstreamInvalid(f"The server asked its caller in more than {MOST_ROUNDS} rounds.", executed="unknown")
        except AccessEnded as ended:
            raise OutcomeUnknown("The caller cancelled the call while it ran.") from ended
        finally:
            self._running.pop(place, None)
            await answer.aclose()

    def _heard(self, call: _Call, group: list[dict[str, Any]]) -> tuple[list[bytes], Mapping[str, Any] | None]:
        """Return messages as the caller gets them, or the result in which the server asks for more."""
        told: list[bytes] = []
        for content in group:
            if "method" in content:
                told += [documents.write(content)] if "id" not in content else []
                continue
            if "error" in content:
                told.append(error(call.message["id"], shapes.older_error(call.message["method"], content["error"])))
                continue
            found = content.get("result")
            if not isinstance(found, dict):
                raise UpstreamInvalid("The server's result is no object.")
            kind = found.get("resultType", "complete")
            if kind == "input_required":
                return told, found
            if kind != "complete":
                raise UpstreamInvalid("The server answered with something that this caller's revision does not have.")
            if call.message["method"] == "tools/list":
                self._mirrors.learn(call.exchange.connection_name, found)
            told.append(result(call.message["id"], shapes.older_result(found)))
        return told, None

    def _cancel(self, exchange: Exchange, request_id: Any) -> None:
        """End a call that runs in this process: its stream is closed, which tells the server."""
        if (running := self._running.get(_place(exchange, request_id))) is not None:
            running.set()


async def _shaken(exchange: Exchange, request: UpstreamRequest, send: Send, message: Mapping[str, Any]) -> Told:
    """Answer the handshake by what the server says of itself; what the caller said is kept in the session."""
    params = message.get("params") or {}
    declared = params["capabilities"] if isinstance(params.get("capabilities"), dict) else {}
    capabilities: dict[str, Any] = {
        name: declared[name] for name in exchange.connection.server_requests if name in declared
    }
    client = params["clientInfo"] if isinstance(params.get("clientInfo"), dict) else dict(shapes.US)
    asked = {"jsonrpc": "2.0", "id": message["id"], "method": "server/discover", "params": {}}
    body = shapes.to_newer(asked, capabilities, client)
    answer, _ = await whole(send, in_words(request, body, shapes.mirrored(body, {}), None))
    found = answer.get("result")
    if not isinstance(found, dict) or not set(found.get("supportedVersions") or ()) & set(MODERN):
        raise UpstreamInvalid("The server does not speak the revision that its connection names.", executed="false")
    made = shapes.initialized(found, exchange.message.version)
    able = made["capabilities"]
    changing = [wish for name, wish in _LISTENED.items() if (able.get(name) or {}).get("listChanged")]
    watches = bool((able.get("resources") or {}).get("subscribe"))
    kept = Kept(capabilities, client, changing, logs="logging" in able, watches=watches)
    return Told(given([[result(message["id"], made)]]), session=kept.written())


def _in_newer(call: _Call, more: Mapping[str, Any]) -> UpstreamRequest:
    """Return the request of one round, which takes what is left of the call's time."""
    message = shapes.to_newer(call.message, call.kept.capabilities, call.kept.client, call.level, **more)
    left = max(0.1, call.deadline - asyncio.get_running_loop().time())
    headers = shapes.mirrored(message, call.annotated)
    return replace(in_words(call.request, message, headers, None), timeout=left)


def _questions(asked: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what a server wants to know, by its own keys, as requests under ids that nobody can guess."""
    wanted = asked.get(shapes.ASKED)
    if not isinstance(wanted, dict):
        return []
    if len(wanted) > MOST_QUESTIONS or not all(isinstance(one, dict) and "method" in one for one in wanted.values()):
        raise UpstreamInvalid("The server asks its caller for something that is no request.", executed="unknown")
    return [(key, {"jsonrpc": "2.0", **one, "id": f"holdgate-{secrets.token_hex(24)}"}) for key, one in wanted.items()]


async def _answers(call: _Call, questions: list[tuple[str, dict[str, Any]]], number: int) -> dict[str, Any]:
    """Wait for the answers of the caller, which come by requests of their own. Raises Fault."""
    loop = asyncio.get_running_loop()
    keys = {question["id"]: key for key, question in questions}
    if not keys:
        await asyncio.sleep(PAUSE_SECONDS * (number + 1))
    found: dict[str, bytes] = {}
    while keys and len(found) < len(keys):
        if loop.time() > call.deadline:
            raise UpstreamTimeout("The caller did not answer in time what its server asked.")
        if call.cancelled.is_set():
            raise OutcomeUnknown("The caller cancelled the call while it ran.")
        await asyncio.sleep(LOOK_SECONDS)
        found = await in_database(lambda: mailbox.first_of(list(keys)))
    for one in keys:
        await in_database(partial(mailbox.take, one))
    answers = {keys[one]: read(body) for one, body in found.items()}
    if any("result" not in answer for answer in answers.values()):
        raise NotAllowedToAsk("The server asked its caller for something that was refused.")
    return {key: answer["result"] for key, answer in answers.items()}


def _place(exchange: Exchange, request_id: Any) -> tuple[str, ...]:
    session = exchange.session.token if exchange.session is not None else ""
    return (exchange.actor, exchange.connection_name, session, type(request_id).__name__, str(request_id))


async def _again(first: list[bytes], groups: AsyncGenerator[list[bytes]]) -> AsyncGenerator[list[bytes]]:
    async with aclosing(groups):
        yield first
        async for group in groups:
            yield group
