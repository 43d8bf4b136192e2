"""Record entries of approval requests: one shape for every transition; and what entries say of rules that observe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions.events import Event

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from approvals.publication import Snapshot
    from approvals.verdicts import Caller, Verdict


def approval_entry(
    request: ApprovalRequest,
    what: str,
    snapshot: Snapshot,
    *,
    actor: str = "",
    comment: str = "",
    voter: Caller | None = None,
    **facts: Any,
) -> Event:
    """Return the entry `approval.<what>` of a request, under the policy that is in force now.

    `actor` is the pseudonym of who did it, empty for the clock. A comment becomes an erasable payload, masked; so
    does who voted, with the groups of that moment, for an auditor asks by what right.
    """
    outlet = snapshot.outlet(request.connection)
    payloads = {"comment": outlet.value_for_record(comment)} if comment else {}
    if voter is not None:
        payloads["voter"] = outlet.value_for_record(_account(voter))
    return Event(
        kind=f"approval.{what}",
        call_id=request.call_id,
        session=request.session,
        connection=request.connection,
        method=request.method,
        tool=request.tool,
        actor=actor,
        policy_revision=snapshot.revision,
        policy_digest=snapshot.digest,
        facts={
            "approval": request.id,
            "binding": request.binding,
            "call": request.call_digest,
            "rule": request.rule,
            **facts,
        },
        payloads=payloads,
    )


def unspoken(verdict: Verdict) -> dict[str, Any]:
    """Return what was only observed about a call, as facts of its entry; empty where nothing was."""
    facts: dict[str, Any] = {"observed": list(verdict.observed)} if verdict.observed else {}
    return facts | ({"would": verdict.would} if verdict.would else {})


def _account(caller: Caller) -> dict[str, Any]:
    groups = sorted(caller.groups)
    return {"iss": caller.iss, "sub": caller.sub, "kind": caller.kind, "display": caller.display, "groups": groups}
