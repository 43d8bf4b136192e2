"""What callers of the older era ask for once, for their whole session: a level of logs, resources to watch.

The newer era says the level with each request, and names the resources when it opens a subscription. So both are kept
in the caller's session with the gateway, where every process finds them; the standing stream is a subscription, which
is opened anew when the caller watches something else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from masking import documents
from proxy.between import shapes
from proxy.between.told import Told, error, given, in_words, read, result
from proxy.cutting import until
from proxy.envelope import INVALID_PARAMS, METHOD_NOT_FOUND
from proxy.errors import AccessEnded, SessionLost

if TYPE_CHECKING:
    from proxy.between.told import Send
    from proxy.exchange import Exchange
    from proxy.legacy import LegacySessions
    from proxy.upstream_answer import Answer, UpstreamRequest

SET_LEVEL, WATCH, UNWATCH = "logging/setLevel", "resources/subscribe", "resources/unsubscribe"
METHODS = frozenset({SET_LEVEL, WATCH, UNWATCH})
_LEVELS = frozenset({"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"})
_UPDATED, _WATCHED = "notifications/resources/updated", "resourceSubscriptions"
MOST_WATCHED, LONGEST_URI = 100, 4096
# How often a standing stream looks whether another process was told to watch something else.
LOOK_SECONDS = 1.0
# For which the caller waits who watches something new, until its standing stream was opened anew.
OPENING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept in a session: what its caller said of itself, what the server can, and what was asked for since."""

    capabilities: Mapping[str, Any]
    client: Mapping[str, Any]
    changing: Sequence[str] = ()  # lists of the server that may change
    logs: bool = False  # the server can say what it does
    watches: bool = False  # the server can say when a resource changes
    level: str = ""
    watched: Sequence[str] = ()

    def written(self) -> str:
        """Return it as `read_kept` reads it."""
        return documents.write({name: getattr(self, name) for name in self.__slots__}).decode()


NOTHING_KEPT = Kept({}, shapes.US)


def read_kept(text: str) -> Kept:
    """Return what lies in a session. Raises SessionLost when that began when the server spoke otherwise."""
    try:
        found, _ = documents.read(text)
        return Kept(**{name: found[name] for name in Kept.__slots__ if name in found})
    except (documents.Unreadable, TypeError) as unreadable:
        raise SessionLost("The session was begun when the server spoke otherwise.") from unreadable


def of_session(exchange: Exchange) -> Kept:
    """Return what was said when the session of a caller began. Raises SessionLost."""
    return NOTHING_KEPT if exchange.session is None else read_kept(exchange.session.upstream)


class Lasting:
    """Keeps what was asked for, and the standing streams of this process; one per process."""

    def __init__(self, sessions: LegacySessions) -> None:
        self._sessions = sessions
        self._writing = asyncio.Lock()
        self._streams: dict[str, asyncio.Event] = {}  # by session: set when it is to be opened anew
        self._opened: Counter[str] = Counter()  # how often it was

    async def answered(self, exchange: Exchange, message: Mapping[str, Any]) -> Told:
        """Answer a request that asks for something lasting, or for its end. Raises SessionLost."""
        method, params = message["method"], message.get("params") or {}
        kept = of_session(exchange)
        if exchange.session is None or not (kept.logs if method == SET_LEVEL else kept.watches):
            closed = f"The server, or a caller without a session, has no {method}."
            return _told(error(message["id"], {"code": METHOD_NOT_FOUND, "message": closed}))
        async with self._writing:
            kept = await self._current(exchange)
            changed = _changed(kept, method, params)
            if changed is None:
                wrong = f"There is no such level, or no such uri, or more than {MOST_WATCHED} resources are watched."
                return _told(error(message["id"], {"code": INVALID_PARAMS, "message": wrong}))
            if changed != kept:
                await self._sessions.change(exchange.session.token, changed.written())
        if changed.watched != kept.watched:
            await self._reopened(exchange.session.token)
        return _told(result(message["id"], {}))

    async def level(self, exchange: Exchange) -> str:
        """Return the level of logs that a caller wants to hear; empty for none. Raises SessionLost."""
        return (await self._current(exchange)).level if of_session(exchange).logs else ""

    async def listened(self, exchange: Exchange, request: UpstreamRequest, send: Send) -> Told:
        """Open the standing stream of a session: what changes in the server's lists and in watched resources."""
        kept = of_session(exchange)
        if exchange.session is None or not (kept.changing or kept.watches):
            return Told(status=405)
        kept = await self._current(exchange)
        answer = await _subscribed(kept, request, send)
        if answer is not None and not answer.streamed:
            await answer.aclose()
            return Told(status=405)
        return Told(self._changes(exchange, exchange.session.token, kept, answer, request, send), streamed=True)

    async def _changes(
        self,
        exchange: Exchange,
        session: str,
        kept: Kept,
        answer: Answer | None,
        request: UpstreamRequest,
        send: Send,
    ) -> AsyncGenerator[list[bytes]]:
        """Yield what changes, over as many subscriptions as it takes. Raises Fault."""
        try:
            while True:
                moved = self._streams[session] = asyncio.Event()
                self._opened[session] += 1
                looking = asyncio.ensure_future(self._look(exchange, kept, moved))
                try:
                    if answer is None:
                        await moved.wait()
                    else:
                        async with aclosing(until(moved, answer.groups())) as groups:
                            async for group in groups:
                                if notes := [note for note in map(read, group) if _is_heard(note, kept)]:
                                    yield [_unmarked(note) for note in notes]
                        return
                except AccessEnded:
                    pass  # something else is watched from now on
                finally:
                    looking.cancel()
                kept = await self._current(exchange)
                before, answer = answer, await _subscribed(kept, request, send)
                if before is not None:
                    await before.aclose()
        finally:
            self._streams.pop(session, None)
            self._opened.pop(session, None)
            if answer is not None:
                await answer.aclose()

    async def _look(self, exchange: Exchange, kept: Kept, moved: asyncio.Event) -> None:
        """Look again and again whether the caller watches something else by now, told to whatever process."""
        while not moved.is_set():
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(SessionLost):
                if (await self._current(exchange)).watched != kept.watched:
                    moved.set()

    async def _reopened(self, session: str) -> None:
        """Open the standing stream anew that this process has of a session, and wait until it is open, for a while."""
        if (moved := self._streams.get(session)) is None:
            return
        before = self._opened[session]
        moved.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_SECONDS):
                while session in self._streams and self._opened[session] == before:  # noqa: ASYNC110 - a moment
                    await asyncio.sleep(0.01)

    async def _current(self, exchange: Exchange) -> Kept:
        """Return what is kept now, whichever process kept it. Raises SessionLost."""
        assert exchange.session is not None  # noqa: S101 - looked at before
        text = await self._sessions.current(exchange.session.token)
        if text is None:
            raise SessionLost("The session has ended.")
        return read_kept(text)


def _changed(kept: Kept, method: str, params: Mapping[str, Any]) -> Kept | None:
    """Return what is kept once this was asked for; None when it cannot be."""
    if method == SET_LEVEL:
        level = params.get("level")
        return replace(kept, level=level) if level in _LEVELS else None
    uri = params.get("uri")
    if not isinstance(uri, str) or len(uri) > LONGEST_URI:
        return None
    others = [one for one in kept.watched if one != uri]
    if method == UNWATCH:
        return replace(kept, watched=others)
    return replace(kept, watched=[*others, uri]) if len(others) < MOST_WATCHED else None


async def _subscribed(kept: Kept, request: UpstreamRequest, send: Send) -> Answer | None:
    """Subscribe to what there is to hear of; None when that is nothing. Raises Fault."""
    wanted: dict[str, Any] = dict.fromkeys(kept.changing, True)
    if kept.watched:
        wanted[_WATCHED] = list(kept.watched)
    if not wanted:
        return None
    message = {"jsonrpc": "2.0", "id": "holdgate-listen", "method": "subscriptions/listen"}
    body = shapes.to_newer({**message, "params": {"notifications": wanted}}, kept.capabilities, kept.client)
    return await send(in_words(request, body, shapes.mirrored(body, {}), None))


def _is_heard(note: Mapping[str, Any], kept: Kept) -> bool:
    method = str(note.get("method"))
    return method.endswith("/list_changed") or (method == _UPDATED and bool(kept.watched))


def _unmarked(note: Mapping[str, Any]) -> bytes:
    params = note.get("params") or {}
    meta = {name: value for name, value in (params.get("_meta") or {}).items() if name != shapes.SUBSCRIPTION_KEY}
    kept = {name: value for name, value in chain(params.items(), [("_meta", meta)]) if name != "_meta" or meta}
    return documents.write({"jsonrpc": "2.0", "method": note["method"], **({"params": kept} if kept else {})})


def _told(message: bytes) -> Told:
    return Told(given([[message]]))
