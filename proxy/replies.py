"""What the gateway itself answers, in the shape of the caller's era. Pure.

A refused `tools/call` is a tool result with `isError`, so that a model reads why; every other refused method
is a JSON-RPC error; before a message could be read it is the plain refusal object. `structuredContent` is
never made up: it would have to satisfy the tool's `outputSchema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.envelope import Id, Rejection
from proxy.mcp import Era, Message
from proxy.refusals import REASONS, Refusal
from proxy.splice import NotAMessage, offset_progress, with_meta, without_ours

__all__ = [
    "NotAMessage",
    "error",
    "http_refusal",
    "offset_progress",
    "progress",
    "refusal",
    "rejection",
    "result",
    "tool_refusal",
    "with_meta",
    "without_ours",
]

DECISION, APPROVAL, RECEIPT = "holdgate/decision", "holdgate/approval", "holdgate/receipt"


def refusal(
    message: Message,
    why: Refusal,
    *,
    decision: Mapping[str, Any],
    approval: Mapping[str, Any] | None = None,
    receipt: Any = None,
) -> bytes:
    """Answer a request with a refusal in the shape of its method: tool result or JSON-RPC error.

    `decision` is `{call_id, verdict, would?, rules, policy_revision}`; the refusal fields are added to it
    here. `approval` is `{id, status, url, expires_at, retry_after}`.
    """
    if message.method == "tools/call":
        return tool_refusal(message.id, why, era=message.era, decision=decision, approval=approval, receipt=receipt)
    return error(message.id, why, decision=decision, approval=approval, receipt=receipt)


def tool_refusal(
    request_id: Id | None,
    why: Refusal,
    *,
    era: Era,
    decision: Mapping[str, Any],
    approval: Mapping[str, Any] | None = None,
    receipt: Any = None,
) -> bytes:
    """Build the tool result of a refused call: text for people, and the same for machines in `_meta`."""
    value = {
        "content": [{"type": "text", "text": why.text()}],
        "isError": True,
        "_meta": _meta(why, decision, approval, receipt),
    }
    return result(request_id, value, era=era)


def result(request_id: Id | None, value: Mapping[str, Any], *, era: Era) -> bytes:
    """Build a response; results of the modern era say that they are complete (`resultType`)."""
    kind = {"resultType": "complete"} if era == "modern" and "resultType" not in value else {}
    return _dump({"jsonrpc": "2.0", "id": request_id, "result": {**kind, **value}})


def error(
    request_id: Id | None,
    why: Refusal,
    *,
    decision: Mapping[str, Any] | None = None,
    approval: Mapping[str, Any] | None = None,
    receipt: Any = None,
    code: int | None = None,
) -> bytes:
    """Build a JSON-RPC error: refusal fields, `approval` and `receipt` in `data`, and our `holdgate/` members
    beside.

    `code` replaces the code of the table where MCP has one of its own (-32601, -32602).
    """
    data: dict[str, Any] = why.fields()
    if approval is not None:
        data["approval"] = approval
    if receipt is not None:
        data["receipt"] = receipt
    if decision is not None:
        data |= _meta(why, decision, approval, receipt)
    return _error(request_id, REASONS[why.reason].code if code is None else code, why.text(), data)


def rejection(rejected: Rejection, *, call_id: str = "") -> bytes:
    """Build the JSON-RPC error of a request that failed on a rung of `proxy.mcp`; its HTTP status is the
    rejection's.
    """
    why = Refusal(reason=rejected.reason, executed="false", message=rejected.message, call_id=call_id)
    return _error(rejected.id, rejected.code, rejected.message, {**why.fields(), **rejected.data})


def http_refusal(why: Refusal) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Build the plain HTTP answer where there is no message to answer: status, header fields, the refusal."""
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if why.retry_after is not None:
        headers.append(retry_after(why.retry_after))
    return REASONS[why.reason].status, headers, _dump(why.fields())


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """Return the Retry-After field: whole seconds, rounded up, at least one (RFC 9110 §10.2.3)."""
    return (b"retry-after", str(max(1, -int(-seconds // 1))).encode())


def progress(token: Id, value: float, message: str) -> bytes:
    """Build a progress note for a caller that gave a token."""
    params = {"progressToken": token, "progress": value, "message": message}
    return _dump({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def _meta(
    why: Refusal, decision: Mapping[str, Any], approval: Mapping[str, Any] | None, receipt: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {DECISION: {**decision, **why.fields()}}
    if approval is not None:
        found[APPROVAL] = approval
    if receipt is not None:
        found[RECEIPT] = receipt
    return found


def _error(request_id: Id | None, code: int, message: str, data: Mapping[str, Any]) -> bytes:
    # JSON-RPC 2.0 has a null id here; MCP's schema has none, so an unknown id is left out.
    known = {} if request_id is None else {"id": request_id}
    return _dump({"jsonrpc": "2.0", **known, "error": {"code": code, "message": message, "data": data}})


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, default=dict)
