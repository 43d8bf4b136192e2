"""Why a call was decided as it was, or how one would be; nothing is run.

It tells a caller no more than trying would: the verdict on a call of their own, and the rules that spoke. Of calls and
requests of others, as of connections that the caller may not use, it says what it says of those that do not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from approvals import keys
from approvals.states import Status
from approvals.verdicts import Allow, Block, Call, Hold
from proxy.builtin import asked, connections
from proxy.builtin.question import Mistaken
from proxy.builtin.shapes import Explanation
from proxy.outcomes import refusal_of
from proxy.refusals import EXECUTED_TEXT, REASONS
from sessions import selectors
from sessions.events import INTENT

if TYPE_CHECKING:
    from collections.abc import Collection

    from approvals.models import ApprovalRequest
    from proxy.builtin.question import Question
    from proxy.builtin.shapes import Asked, RuleSaid
    from proxy.refusals import Executed
    from sessions.selectors import CallSummary

UNKNOWN_CALL = "You made no call of that id."
ASKED = "People would have to approve this call, unless a remembered decision covers it."
NOT_LOOKED = "Whether the server has the tool, and what it would answer, is not looked at."


def explained(question: Question, given: Asked) -> Explanation:
    """Explain a call that was made, a request, or a call that might be made. Raises Mistaken for ids of others."""
    if given.approval_id is not None:
        return _of_request(question, asked.own(question, given.approval_id))
    if given.call_id is not None:
        return _of_call(question, given.call_id)
    return _of_plan(question, given)


def _of_request(question: Question, request: ApprovalRequest) -> Explanation:
    told = asked.said(question, request)
    comments = "; ".join(told.comments)
    why = refusal_of(request, request.call_id, question.public_url, comments, retry_after=0, stopping=False)
    approved = request.status == Status.APPROVED
    return Explanation(
        verdict="hold",
        reason=request.status,
        message=f"Approval {request.pk} was given." if approved else why.message,
        rules=_rules(question, request.terms["rules"], request.connection),
        who_decides=told.who_decides,
        asks_for_a_reason=request.terms["reason"] == "required",
        executed=told.executed,
        call_id=request.call_id,
        approval=told,
        policy_revision=request.policy_revision,
        next_step=told.next_step,
    )


def _of_call(question: Question, call_id: str) -> Explanation:
    request = asked.mine(question).filter(call_id=call_id).order_by("-pk").first()
    if request is not None:
        return _of_request(question, request)
    summary = selectors.call_summary(call_id)
    if summary is None or summary.actor != keys.actor(question.caller.key):
        raise Mistaken(UNKNOWN_CALL)
    return _of_record(question, summary)


def _of_record(question: Question, summary: CallSummary) -> Explanation:
    facts: dict[str, Any] = {name: fact for entry in summary.entries for name, fact in entry.leaf.facts.items()}
    forwarded = any(entry.leaf.kind == INTENT for entry in summary.entries)
    executed: Executed = facts.get("executed") or ("unknown" if forwarded else "false")
    reason = facts.get("reason") or None
    known = REASONS.get(str(reason))
    rules = _rules(question, facts.get("rules") or [], summary.connection)
    messages = " ".join(rule.message for rule in rules if rule.message)
    headline = f"{known.headline}." if known else "The call was let through."
    return Explanation(
        verdict=facts.get("verdict") or "unknown",
        reason=reason,
        message=" ".join(part for part in (headline, messages, EXECUTED_TEXT[executed]) if part),
        rules=rules,
        executed=executed,
        call_id=summary.call_id,
        policy_revision=summary.entries[-1].leaf.revision,
        next_step=known.next_step if known else "There is nothing to do.",
    )


def _of_plan(question: Question, given: Asked) -> Explanation:
    """Judge a call that nobody made, by the policy in force."""
    connection, tool = given.connection or "", given.tool or ""
    call = Call(
        caller=question.caller, connection=connection, method="tools/call", name=tool, arguments=given.arguments
    )
    verdict = question.policy.judge(call)
    rules = _rules(question, verdict.rules, connection)
    common: dict[str, Any] = {"rules": rules, "would": verdict.would, "policy_revision": question.snapshot.revision}
    match verdict:
        case Block():
            return Explanation(
                verdict="deny",
                reason=verdict.reason,
                message=verdict.message,
                next_step=REASONS[verdict.reason].next_step,
                **common,
            )
        case Hold():
            return Explanation(
                verdict="hold",
                message=verdict.terms.message or ASKED,
                who_decides=verdict.terms.require.sentence,
                asks_for_a_reason=verdict.terms.reason == "required",
                next_step=f"Make the call, with a reason in _meta holdgate/reason; it waits for people. {NOT_LOOKED}",
                **common,
            )
        case Allow():
            message = "No rule would hold or deny this call."
            return Explanation(verdict="allow", message=message, next_step=f"Make the call. {NOT_LOOKED}", **common)


def _rules(question: Question, names: Collection[str], connection: str) -> tuple[RuleSaid, ...]:
    """Return those of the named rules that are still in force and concern the caller, in the words of today."""
    about = question.policy.rules_about(question.caller, connection)
    return tuple(connections.said(rule) for rule in about if rule.name in names)
