"""`subscriptions/listen` before a server of the older era: the standing stream of a session that is opened for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from masking import documents
from proxy.between import shapes
from proxy.between.told import Told, error, given, in_words, read, whole
from proxy.envelope import METHOD_NOT_FOUND
from proxy.errors import Fault

if TYPE_CHECKING:
    from proxy.between.hidden import Hidden, HiddenSessions
    from proxy.between.told import Send
    from proxy.exchange import Exchange
    from proxy.upstream_answer import Answer, UpstreamRequest

ACKNOWLEDGED, UPDATED = "notifications/subscriptions/acknowledged", "notifications/resources/updated"
# What a caller asks for, by the capability that a server needs for it, and the notification that comes then.
_LISTS = {
    "toolsListChanged": ("tools", "notifications/tools/list_changed"),
    "promptsListChanged": ("prompts", "notifications/prompts/list_changed"),
    "resourcesListChanged": ("resources", "notifications/resources/list_changed"),
}
_WATCHED = "resourceSubscriptions"
MOST_WATCHED = 100


async def listened(sessions: HiddenSessions, exchange: Exchange, request: UpstreamRequest, send: Send) -> Told:
    """Open the stream, and watch what the caller wants to hear of. Raises Fault."""
    message = read(request.body)
    wanted = (message.get("params") or {}).get("notifications") or {}
    hidden = await sessions.opened(exchange, request, send)
    honoured, heard = await _honoured(hidden, wanted, request, send)
    get = replace(in_words(request, message, hidden.headers, hidden.session), verb="GET", body=b"", id=None)
    answer = await send(get)
    if not answer.streamed:
        await answer.aclose()
        await _left(hidden, request, send)
        closed = {"code": METHOD_NOT_FOUND, "message": "The server says nothing that nobody asked for."}
        return Told(given([[error(message["id"], closed)]]), status=404)
    return Told(_told(message["id"], honoured, heard, answer, hidden, request, send), streamed=True)


async def _honoured(
    hidden: Hidden, wanted: Mapping[str, Any], request: UpstreamRequest, send: Send
) -> tuple[dict[str, Any], set[str]]:
    """Return what of the caller's wishes the server fulfils, and the notifications that come of it."""
    can = hidden.said.get("capabilities") or {}
    honoured: dict[str, Any] = {}
    heard: set[str] = set()
    for wish, (capability, notification) in _LISTS.items():
        if wanted.get(wish) is True and (can.get(capability) or {}).get("listChanged"):
            honoured[wish] = True
            heard.add(notification)
    uris = wanted.get(_WATCHED)
    if isinstance(uris, list) and (can.get("resources") or {}).get("subscribe"):
        watched = []
        for number, uri in enumerate(uris[:MOST_WATCHED]):
            asked = {"jsonrpc": "2.0", "id": 10 + number, "method": "resources/subscribe", "params": {"uri": uri}}
            answer, _ = await whole(
                send, replace(in_words(request, asked, hidden.headers, hidden.session), timeout=60.0)
            )
            watched += [uri] if "result" in answer else []
        honoured[_WATCHED] = watched
        heard.add(UPDATED)
    return honoured, heard


async def _told(
    subscription: Any,
    honoured: Mapping[str, Any],
    heard: set[str],
    answer: Answer,
    hidden: Hidden,
    request: UpstreamRequest,
    send: Send,
) -> AsyncGenerator[list[bytes]]:
    ack = {"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": {"notifications": dict(honoured)}}
    try:
        yield [_marked(ack, subscription)]
        async for group in answer.groups():
            notes = [note for note in map(read, group) if note.get("method") in heard and "id" not in note]
            if notes:
                yield [_marked(note, subscription) for note in notes]
        yield [documents.write(_ended(subscription))]
    finally:
        await answer.aclose()
        await _left(hidden, request, send)


def _marked(note: Mapping[str, Any], subscription: Any) -> bytes:
    params = note.get("params") or {}
    meta = {**(params.get("_meta") or {}), shapes.SUBSCRIPTION_KEY: subscription}
    return documents.write({**note, "params": {**params, "_meta": meta}})


def _ended(subscription: Any) -> dict[str, Any]:
    value = {"resultType": "complete", "_meta": {shapes.SUBSCRIPTION_KEY: subscription}}
    return {"jsonrpc": "2.0", "id": subscription, "result": value}


async def _left(hidden: Hidden, request: UpstreamRequest, send: Send) -> None:
    """End the session; a server that does not take that is left alone."""
    if hidden.session is None:
        return
    ended = replace(
        request, verb="DELETE", body=b"", id=None, session=hidden.session, headers=hidden.headers, timeout=10.0
    )
    with suppress(Fault):
        async with await send(ended):
            return
