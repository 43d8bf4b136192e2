"""What came of a call, and which exit code says so. Pure.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the tool, or the server that has it, reported an error |
| 2 | usage, network, 401, 403, or the gateway cannot serve the call |
| 3 | a person said no: denied, revoked, cancelled |
| 4 | expired, lapsed, or still pending |
| 5 | blocked by a rule, or the tool changed and nobody has accepted it yet |
| 6 | it is not known whether it was executed |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DONE, TOOL_ERROR, TROUBLE, DENIED, PENDING, BLOCKED, UNKNOWN = range(7)

_BY_REASON = {
    "denied": DENIED,
    "revoked": DENIED,
    "cancelled": DENIED,
    "pending": PENDING,
    "expired": PENDING,
    "lapsed": PENDING,
    "superseded": PENDING,
    "blocked": BLOCKED,
    "tool_changed": BLOCKED,
    # The call ran; only its answer is withheld.
    "masking_failed": TOOL_ERROR,
    "upstream_invalid": TOOL_ERROR,
}
# Nothing was executed, and the same call may go through in a moment.
_PASSING = frozenset({"shutting_down", "record_unavailable", "policy_unavailable", "rate_limited", "superseded"})


@dataclass(frozen=True, slots=True)
class Answered:
    """The tool's own answer: what to print, whether it is an error, and the whole result where there is one."""

    text: str
    is_error: bool = False
    result: Mapping[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        return TOOL_ERROR if self.is_error else DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The gateway's refusal, as its machine-readable fields say; `retry_after` in seconds."""

    reason: str
    executed: str
    message: str
    call_id: str = ""
    approval: str = ""
    url: str = ""
    retry_after: float | None = None

    @property
    def exit_code(self) -> int:
        """Return the exit code; that the outcome is unknown outweighs every reason."""
        return UNKNOWN if self.executed == "unknown" else _BY_REASON.get(self.reason, TROUBLE)

    @property
    def is_pending(self) -> bool:
        """Say whether people have not decided yet: the same call sent again waits on."""
        return self.reason == "pending" and self.executed == "false"

    @property
    def is_passing(self) -> bool:
        """Say whether the same call may be sent again in a moment without anybody's doing."""
        return self.executed == "false" and self.reason in _PASSING


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came: the connection could not be made, or broke. `sent`: the call may have reached the
    gateway.
    """

    why: str
    sent: bool
    retry_after: float | None = None


Outcome = Answered | Refused | Lost


def read_message(message: Mapping[str, Any]) -> Answered | Refused:
    """Read the JSON-RPC response of a call."""
    error = message.get("error")
    if isinstance(error, Mapping):
        data = error.get("data")
        refused = read_refusal(data) if isinstance(data, Mapping) else None
        return refused or Answered(str(error.get("message") or "The server reported an error."), is_error=True)
    result = message.get("result")
    if not isinstance(result, Mapping):
        return Answered("The answer has neither a result nor an error.", is_error=True)
    meta = result.get("_meta")
    if isinstance(meta, Mapping) and isinstance(decision := meta.get("holdgate/decision"), Mapping):
        refused = read_refusal({**decision, "approval": meta.get("holdgate/approval")})
        if refused is not None:
            return refused
    if result.get("resultType", "complete") != "complete":
        return Answered("The tool asks for input, which a command line cannot give.", is_error=True)
    return Answered(_text(result), is_error=result.get("isError") is True, result=result)


def read_refusal(fields: Mapping[str, Any]) -> Refused | None:
    """Read the refusal fields of the contract from a plain body, `error.data` or `_meta`; None when there are
    none.
    """
    reason, executed = fields.get("reason"), fields.get("executed")
    if not isinstance(reason, str) or executed not in ("true", "false", "unknown"):
        return None
    approval = fields.get("approval")
    approval = approval if isinstance(approval, Mapping) else {}
    seconds = fields.get("retry_after", approval.get("retry_after"))
    return Refused(
        reason=reason,
        executed=executed,
        message=str(fields.get("message") or reason),
        call_id=str(fields.get("call_id") or ""),
        approval=str(approval.get("id") or ""),
        url=str(fields.get("url") or approval.get("url") or ""),
        retry_after=float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 86400 else None,
    )


def _text(result: Mapping[str, Any]) -> str:
    """Return what a shell prints: the text blocks, other blocks as JSON, or the structured content alone."""
    content = result.get("content")
    blocks = content if isinstance(content, list) else []
    if not blocks and "structuredContent" in result:
        return _dumped(result["structuredContent"])
    return "\n".join(_block(block) for block in blocks)


def _block(block: Any) -> str:
    text = block.get("text") if isinstance(block, Mapping) and block.get("type") == "text" else None
    return text if isinstance(text, str) else _dumped(block)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
