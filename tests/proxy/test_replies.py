"""Refusals in every shape: what a person reads, what a machine reads, and what is never there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy import mcp, replies
from proxy.refusals import EXECUTED_TEXT, REASONS, Refusal

CONTRACT = [
    "unauthenticated",
    "forbidden",
    "invalid_request",
    "too_large",
    "blocked",
    "reason_required",
    "denied",
    "pending",
    "expired",
    "cancelled",
    "superseded",
    "lapsed",
    "revoked",
    "tool_changed",
    "rate_limited",
    "idempotency_conflict",
    "credential_unavailable",
    "record_unavailable",
    "policy_unavailable",
    "masking_failed",
    "upstream_unavailable",
    "upstream_timeout",
    "upstream_invalid",
    "outcome_unknown",
    "shutting_down",
]

DECISION = {"call_id": "c-1", "verdict": "hold", "rules": ["r"], "policy_revision": 4}
APPROVAL = {"id": "a-1", "status": "pending", "url": "https://gw/approvals/a-1", "retry_after": 5}
PENDING = Refusal(
    reason="pending",
    executed="false",
    message="Group dba decides.",
    call_id="c-1",
    rule="r",
    retry_after=5,
    url="https://gw/approvals/a-1",
)
FIELDS = {
    "reason": "pending",
    "executed": "false",
    "call_id": "c-1",
    "rule": "r",
    "message": "Group dba decides.",
    "retry_after": 5,
    "url": "https://gw/approvals/a-1",
}


def message(method: str = "tools/call", params: Any = None, era: str = "legacy") -> mcp.Message:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params or {"name": "t"}}
    headers = [(b"content-type", b"application/json")]
    if era == "modern":
        body["params"]["_meta"] = {mcp.VERSION_KEY: "2026-07-28", mcp.CAPABILITIES_KEY: {}}
        headers += [
            (b"mcp-protocol-version", b"2026-07-28"),
            (b"mcp-method", method.encode()),
            (b"mcp-name", b"t"),
        ]
    parsed = mcp.parse(json.dumps(body).encode(), headers)
    assert isinstance(parsed, mcp.Message)
    return parsed


def test_the_table_holds_every_reason_of_the_contract_once() -> None:
    assert list(REASONS) == CONTRACT
    assert [row.number for row in REASONS.values()] == list(range(1, len(CONTRACT) + 1))
    assert len({row.headline for row in REASONS.values()}) == len(CONTRACT)


def test_own_codes_lie_outside_the_reserved_range() -> None:
    assert REASONS["unauthenticated"].code == -33001
    assert not any(-32768 <= row.code <= -32000 for row in REASONS.values())


@pytest.mark.parametrize("reason", CONTRACT)
@pytest.mark.parametrize("executed", ["true", "false", "unknown"])
def test_the_text_says_what_happened_and_whether_anything_was_executed(reason: str, executed: Any) -> None:
    text = Refusal(reason=reason, executed=executed, message="Why.").text()
    assert text.startswith(f"{REASONS[reason].headline}: Why. {EXECUTED_TEXT[executed]}")
    assert text.endswith(REASONS[reason].next_step)


def test_a_refused_tool_call_is_a_tool_result_with_the_same_for_machines() -> None:
    answer = json.loads(replies.refusal(message(), PENDING, decision=DECISION, approval=APPROVAL, receipt="s"))
    result = answer["result"]
    assert (answer["id"], result["isError"]) == (0, True)
    assert "Nothing was executed" in result["content"][0]["text"]
    assert "https://gw/approvals/a-1" in result["content"][0]["text"]
    assert result["_meta"] == {
        "holdgate/decision": DECISION | FIELDS,
        "holdgate/approval": APPROVAL,
        "holdgate/receipt": "s",
    }
    assert "structuredContent" not in result
    assert "resultType" not in result


def test_a_modern_tool_result_says_that_it_is_complete() -> None:
    answer = json.loads(replies.refusal(message(era="modern"), PENDING, decision=DECISION))
    assert answer["result"]["resultType"] == "complete"
    assert "holdgate/approval" not in answer["result"]["_meta"]


def test_another_refused_method_is_a_json_rpc_error() -> None:
    read = message("resources/read", {"uri": "file:///a"})
    answer = json.loads(replies.refusal(read, PENDING, decision=DECISION, approval=APPROVAL))
    assert answer["error"]["code"] == -33008
    data = answer["error"]["data"]
    assert {name: data[name] for name in FIELDS} == FIELDS
    assert data["approval"] == APPROVAL
    assert data["holdgate/decision"] == DECISION | FIELDS


def test_mcps_own_codes_can_be_used_where_it_has_one() -> None:
    why = Refusal(reason="forbidden", executed="false", message="No such tool.")
    answer = json.loads(replies.error("x", why, code=mcp.METHOD_NOT_FOUND))
    assert (answer["error"]["code"], answer["error"]["data"]["reason"]) == (-32601, "forbidden")


def test_a_rejection_becomes_an_error_that_says_nothing_was_executed() -> None:
    rejected = mcp.Rejection(status=400, code=-32022, message="No.", data={"supported": ["2026-07-28"]})
    answer = json.loads(replies.rejection(rejected))
    assert "id" not in answer
    assert answer["error"]["data"] == {
        "reason": "invalid_request",
        "executed": "false",
        "message": "No.",
        "supported": ["2026-07-28"],
    }


def test_a_plain_refusal_is_the_object_with_its_status() -> None:
    why = Refusal(reason="record_unavailable", executed="false", message="Later.", retry_after=1.2)
    status, headers, body = replies.http_refusal(why)
    assert status == 503
    assert (b"retry-after", b"2") in headers
    assert json.loads(body)["reason"] == "record_unavailable"


def test_progress_carries_the_callers_token() -> None:
    note = json.loads(replies.progress("p", 3, "Waiting"))
    assert note["params"] == {"progressToken": "p", "progress": 3, "message": "Waiting"}
    assert "id" not in note


def test_an_approval_cannot_break_out_of_the_reply() -> None:
    why = Refusal(reason="denied", executed="false", message='"}],"isError":false,"x":[{"\n\u2028')
    assert json.loads(replies.refusal(message(), why, decision={}))["result"]["isError"] is True
