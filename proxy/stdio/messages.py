"""What a stdio server wrote, read as JSON-RPC; and the ids of messages on their way to it and back. Pure.

Many requests share one pipe, so each goes out under a number of its own, as its id and as its progress token; what
comes back is given the caller's own again. Nothing else of a message changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from proxy import splice
from proxy.envelope import Id, is_id

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

_ID = ("id",)
_ASKED_TOKEN = ("params", "_meta", "progressToken")
_TOLD_TOKEN = ("params", "progressToken")
_CANCELLED = ("params", "requestId")
_SUBSCRIPTION = ("params", "_meta", SUBSCRIPTION)

Kind = Literal["answer", "request", "notification"]


class BrokenLine(ValueError):
    """A line that begins like a message and is none."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message of a server. `number` is ours, where it belongs to a request: None where it is not known."""

    kind: Kind
    method: str
    id: Any
    number: int | None
    raw: bytes
    is_error: bool = False


def read(line: bytes) -> list[Told]:
    """Return the messages of a line: none when it is no JSON, such as a banner; several of a batch.

    Raises BrokenLine.
    """
    begins_like_one = line.lstrip()[:1] == b"{"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if begins_like_one:
            raise BrokenLine from error
        return []
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return [_told(one, orjson.dumps(one)) for one in value]
    if not isinstance(value, dict):
        return []
    return [_told(value, line)]


def _told(message: dict[str, Any], raw: bytes) -> Told:
    method, request_id = message.get("method"), message.get("id")
    if message.get("jsonrpc") != "2.0" or ("method" in message and not isinstance(method, str)):
        raise BrokenLine
    if isinstance(method, str):
        if "id" in message:
            if not is_id(request_id):
                raise BrokenLine
            return Told("request", method, request_id, None, raw)
        return Told("notification", method, None, _number_of(method, message.get("params")), raw)
    if ("result" in message) == ("error" in message):
        raise BrokenLine
    number = request_id if type(request_id) is int else None
    return Told("answer", "", request_id, number, raw, is_error="error" in message)


def _number_of(method: str, params: Any) -> int | None:
    """Return our number in a notification about a request."""
    if not isinstance(params, Mapping):
        return None
    meta = params.get("_meta")
    subscription = meta.get(SUBSCRIPTION) if isinstance(meta, Mapping) else None
    found = params.get("progressToken") if method == "notifications/progress" else subscription
    return found if type(found) is int else None


def numbered(message: bytes, number: int) -> bytes:
    """Return a caller's request under our number. Raises NotAMessage."""
    return splice.with_values(message, {_ID: number, _ASKED_TOKEN: number})


def cancelling(message: bytes, number: int) -> bytes:
    """Return a caller's `notifications/cancelled` naming our number. Raises NotAMessage."""
    return splice.with_values(message, {_CANCELLED: number})


def restored(told: Told, request_id: Id | None, token: Id | None) -> bytes:
    """Return what a server says about a request under the ids that its caller gave. Raises NotAMessage."""
    if told.kind == "answer":
        # An error without an id is from a server that could not read it; it stays so.
        return told.raw if told.id is None else splice.with_values(told.raw, {_ID: request_id})
    if told.method == "notifications/progress":
        return splice.with_values(told.raw, {_TOLD_TOKEN: token})
    return splice.with_values(told.raw, {_SUBSCRIPTION: request_id})
