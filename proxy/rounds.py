"""Calls in rounds (2026-07-28): the server asks for more by `input_required`, and the caller calls again with answers.

What a server may ask for is what the connection allows (`server_requests`), as for the requests of the older era. Its
`requestState` leaves as a handle for this caller and this call; what another caller brings, or what was changed, is no
state of anybody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from masking import documents
from proxy import handles
from proxy.envelope import bad_params
from proxy.errors import NotAllowedToAsk
from proxy.server_requests import is_allowed

if TYPE_CHECKING:
    from proxy.envelope import Rejection
    from proxy.exchange import Exchange
    from proxy.mcp import Message

STATE, ASKED = "requestState", "inputRequests"
TASK_NOTE = "notifications/tasks"


def opened(message: Message, holder: str) -> Message | Rejection:
    """Return a message with the server's own state in place of the handle that its caller brought."""
    if message.era != "modern" or STATE not in message.params:
        return message
    state = handles.take("state", message.params[STATE], _holder(message, holder))
    if state is None:
        return bad_params("params.requestState is no state of this call and caller.", message.id)
    content, _ = documents.read(message.raw.decode("utf-8"))
    content["params"][STATE] = state
    return replace(message, params={**message.params, STATE: state}, raw=documents.write(content))


def sealed(exchange: Exchange, content: dict[str, Any], answer: bytes) -> bytes:
    """Return an answer with its state as a handle. Raises NotAllowedToAsk where it asks for what is closed."""
    result = content.get("result")
    if exchange.message.era != "modern" or not isinstance(result, dict) or result.keys().isdisjoint({STATE, ASKED}):
        return answer
    _check_questions(exchange, result.get(ASKED))
    if result.get(STATE) is None:
        return answer
    whole, _ = documents.read(answer.decode("utf-8"))
    holder = _holder(exchange.message, handles.holder_of(exchange))
    whole["result"][STATE] = handles.give("state", whole["result"][STATE], holder)
    return documents.write(whole)


def unasked(exchange: Exchange, note: dict[str, Any], message: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return a notification without questions that are closed: of a task, which may say what it waits for."""
    params = note.get("params")
    if note.get("method") != TASK_NOTE or not isinstance(params, dict) or ASKED not in params:
        return message, note
    try:
        _check_questions(exchange, params[ASKED])
    except NotAllowedToAsk:
        whole, _ = documents.read(message.decode("utf-8"))
        del whole["params"][ASKED]
        message = documents.write(whole)
        return message, orjson.loads(message)
    return message, note


def _check_questions(exchange: Exchange, asked: Any) -> None:
    if asked is None:
        return
    questions = asked.values() if isinstance(asked, dict) else [asked]
    methods = [one.get("method") if isinstance(one, dict) else None for one in questions]
    if not all(isinstance(method, str) and is_allowed(exchange.connection, method) for method in methods):
        raise NotAllowedToAsk("The server asks its caller for something that is closed on this connection.")


def _holder(message: Message, holder: str) -> str:
    return f"{holder}\n{message.method}\n{message.name or ''}"
