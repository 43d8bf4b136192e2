"""Who may decide a request, and who must not. Over the request's own columns and the caller's ties alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.keys import email_digest
from approvals.second_factor import NOT_HERE

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from approvals.verdicts import Caller, Ties


OWN_ACCOUNT = (
    "This is the request of an account that is or was linked to yours, or has your e-mail address; somebody else must "
    "decide it."
)


def why_not(request: ApprovalRequest, caller: Caller, *, via: str = "") -> str:
    """Return in plain words why this caller, whose ties are known, may not decide the request; empty when they may.

    With `via` (dashboard, slack, api) the rule's way of deciding counts too. Being an admin helps nobody here.
    """
    groups = request.quorum.groups
    entitled = caller.groups & groups or stood_for(request, caller) is not None
    outside = "" if entitled else f"Only members of {', '.join(sorted(groups))} can decide this request."
    return _why_not(request, caller, outside, via)


def why_not_alone(request: ApprovalRequest, caller: Caller, *, via: str = "") -> str:
    """Return, as `why_not`, why this caller may not approve the request alone, in an emergency."""
    emergency = request.emergency
    if emergency is None:
        return "The rule lets nobody approve this request alone."
    outside = "" if emergency.admits(caller.groups) else f"Only members of {emergency.groups} can approve this alone."
    return _why_not(request, caller, outside, via)


def _why_not(request: ApprovalRequest, caller: Caller, outside: str, via: str) -> str:
    ways = request.terms["decide_in"]
    if reason := _barred(request, caller):
        return reason
    reasons = (
        (bool(outside), outside),
        (bool(via) and via != "dashboard" and request.terms["mfa"] == "required", NOT_HERE),
        (bool(via) and via not in ways, f"This request can be decided in {', '.join(ways)} only."),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _barred(request: ApprovalRequest, caller: Caller) -> str:
    """Return why this caller must not decide the request, whatever group they are in; empty when nothing bars them."""
    owned = request.requester_kind == "ci" and not request.requester_person
    reasons = (
        (caller.kind != "person", "Only a person can decide; this token belongs to an agent or a CI job."),
        (has_asked(request, caller), "This is your own request; somebody else must decide it."),
        (is_own(request, caller), OWN_ACCOUNT),
        (
            owned and bool(caller.groups & set(request.requester_owners)),
            "Your group owns the CI identity that asks, and who started the job is not known.",
        ),
    )
    return next((reason for applies, reason in reasons if applies), "")


def stood_for(request: ApprovalRequest, caller: Caller) -> Caller | None:
    """Return in whose place the caller would decide: somebody who is away and could, and has not been heard on it.

    None for who may decide in their own right, which goes before: one human being fills one place.
    """
    if caller.groups & request.quorum.groups:
        return None
    heard = {vote.right for vote in request.votes.all() if (vote.iss, vote.sub) != (caller.iss, caller.sub)}
    free = (one for one in _ties(caller).stands_in_for if not heard & _ties(one).refusing)
    return next((one for one in free if may_stand_in(request, caller, one)), None)


def may_stand_in(request: ApprovalRequest, caller: Caller, away: Caller) -> bool:
    """Say whether the caller may decide what this person could who is away, no more: both must be free to."""
    if request.terms.get("delegation") == "forbidden" or is_same_person(away, caller):
        return False
    in_their_own_right = bool(away.groups & request.quorum.groups) and not _barred(request, away)
    return in_their_own_right and not _barred(request, caller)


def is_own(request: ApprovalRequest, caller: Caller) -> bool:
    """Say whether the caller must not decide it as their own: any account of who asks may be one of theirs.

    For refusing only, where a link that ended lately and an equal verified e-mail address are enough; what gives a
    right asks `has_asked`.
    """
    ties = _ties(caller)
    return bool(asking_accounts(request) & ties.refusing) or request.requester_email in ties.addresses - {""}


def has_asked(request: ApprovalRequest, caller: Caller) -> bool:
    """Say whether the caller is the requester, the person behind the requester, or an account linked to either."""
    asking = {f"{request.requester_iss}|{request.requester_sub}", request.requester_person}
    return bool(asking & _ties(caller).accounts)


def asking_accounts(request: ApprovalRequest) -> frozenset[str]:
    """Return the accounts that ask: the requester's and, of a job, that of who started it, known or not.

    With those that were linked to them when it was asked.
    """
    asking = {f"{request.requester_iss}|{request.requester_sub}", request.requester_person, request.requester_starter}
    return frozenset(asking - {""}).union(request.requester_linked or ())


def is_same_person(one: Caller, other: Caller) -> bool:
    """Say whether two accounts count as one person: the same or linked, or of an equal verified e-mail address.

    For refusing only, as `is_own`. Of `one` the ties must be known.
    """
    ties = _ties(one)
    return other.key in ties.refusing or email_digest(other.email) in ties.addresses - {""}


def _ties(caller: Caller) -> Ties:
    if caller.ties is None:
        msg = "the caller's accounts were not looked up: see approvals.ties.tied"
        raise ValueError(msg)
    return caller.ties
