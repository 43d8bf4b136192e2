"""The JSON-RPC 2.0 envelope of one message, and how a refusal of it looks. Pure.

A member that only resembles a known one (`Params`, `METHOD`) is refused: a server that matches names without
regard to case would act on what nobody here has judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from proxy import strictjson

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602

# A stream is no message of JSON-RPC: it is what a GET asks for, and takes the same way.
Kind = Literal["request", "notification", "response", "stream"]
Id = str | int

_MEMBERS = {name: name for name in ("jsonrpc", "id", "method", "params", "result", "error")}
_NO_MEMBERS: Mapping[str, Any] = MappingProxyType({})
_LONGEST_METHOD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """The rung that failed: HTTP status, JSON-RPC code, what to say, our `reason`, and what belongs into
    `error.data`.
    """

    status: int
    code: int
    message: str
    reason: str = "invalid_request"
    id: Id | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    allow: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every message has: `meta` is `params._meta`, `outcome` the result or error of a response."""

    kind: Kind
    id: Id | None
    method: str
    params: Mapping[str, Any]
    meta: Mapping[str, Any]
    outcome: Any


def read(value: Any) -> Envelope | Rejection:
    """Read the envelope of one parsed message: a string or integer id (0 counts), a method or an outcome."""
    if not isinstance(value, dict):
        return invalid("The body must be one JSON-RPC object.")
    request_id = value.get("id")
    known_id = request_id if is_id(request_id) else None
    if value.get("jsonrpc") != "2.0":
        return invalid('The member jsonrpc must be "2.0".', known_id)
    if (meant := look_alike(value, _MEMBERS)) is not None:
        return invalid(f"A member is spelled almost like {meant}.", known_id)
    if "id" in value and known_id is None:
        return invalid("The id must be a string or an integer.")
    if "method" not in value:
        return _response(value, known_id)
    return _call(value, known_id)


def _response(value: dict[str, Any], request_id: Id | None) -> Envelope | Rejection:
    if request_id is None or ("result" in value) == ("error" in value):
        return invalid("A message has a method, or an id and either a result or an error.", request_id)
    outcome = value["result"] if "result" in value else value["error"]
    if not isinstance(outcome, dict):
        return invalid("The result or error of a response must be an object.", request_id)
    return Envelope("response", request_id, "", _NO_MEMBERS, _NO_MEMBERS, outcome)


def _call(value: dict[str, Any], request_id: Id | None) -> Envelope | Rejection:
    method, params = value["method"], value.get("params")
    if not isinstance(method, str) or not 0 < len(method) <= _LONGEST_METHOD:
        return invalid(f"The method must be a string of 1 to {_LONGEST_METHOD} characters.", request_id)
    if "result" in value or "error" in value:
        return invalid("A message has a method, or a result or an error, not both.", request_id)
    params = _NO_MEMBERS if params is None else params
    if not isinstance(params, Mapping):
        return bad_params("params must be an object.", request_id)
    meta = params.get("_meta")
    meta = _NO_MEMBERS if meta is None else meta
    if not isinstance(meta, Mapping):
        return bad_params("params._meta must be an object.", request_id)
    kind: Kind = "notification" if request_id is None else "request"
    return Envelope(kind, request_id, method, params, meta, None)


def is_id(value: Any) -> bool:
    """Say whether a value may be an id or a progress token: exact types, as a bool is an int in Python."""
    return type(value) in (str, int)


def look_alike(members: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
    """Return the known name that a member only resembles, which a server that ignores case would read as
    that.
    """
    for name in members:
        if known.get(name) == name:
            continue
        meant = known.get(strictjson.fold(name))
        if meant is not None and meant != name:
            return meant
    return None


def invalid(message: str, request_id: Id | None = None) -> Rejection:
    """Build the rejection of something that is not a JSON-RPC message as MCP has it."""
    return Rejection(status=400, code=INVALID_REQUEST, message=message, id=request_id)


def bad_params(message: str, request_id: Id | None) -> Rejection:
    """Build the rejection of parameters that the method cannot have."""
    return Rejection(status=400, code=INVALID_PARAMS, message=message, id=request_id)
