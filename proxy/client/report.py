"""What came of a call as one JSON document, for programs (`--json`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.client.outcomes import UNKNOWN, Answered, Refused


def report(code: int, said: Answered | Refused | None, key: str) -> dict[str, Any]:
    """Return the outcome. Every member is always there; `said` is None when the gateway never answered."""
    document: dict[str, Any] = {
        "exit_code": code,
        "executed": "unknown" if code == UNKNOWN else "false",
        "reason": None,
        "message": None,
        "call_id": None,
        "approval": None,
        "url": None,
        "idempotency_key": key,
        "result": None,
    }
    if isinstance(said, Refused):
        told = {"reason": said.reason, "message": said.message, "call_id": said.call_id, "url": said.url}
        document |= {name: value or None for name, value in {**told, "approval": said.approval}.items()}
        document["executed"] = "unknown" if code == UNKNOWN else said.executed
    elif said is not None:
        document |= _answered(said)
    return document


def _answered(said: Answered) -> dict[str, Any]:
    result = said.result or {}
    meta = result.get("_meta")
    known = meta if isinstance(meta, Mapping) else {}
    return {
        "executed": "true",
        "message": said.text if said.is_error else None,
        "call_id": _member(known.get("holdgate/decision"), "call_id"),
        "approval": _member(known.get("holdgate/approval"), "id"),
        "url": _member(known.get("holdgate/approval"), "url"),
        "result": said.result,
    }


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
