"""Who may decide a request, and who must not. Pure over the request's own columns and the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvals.keys import email_digest

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.models import ApprovalRequest
    from approvals.policy import Policy
    from approvals.verdicts import Caller


def why_not(request: ApprovalRequest, caller: Caller, policy: Policy, *, via: str = "") -> str:
    """Return in plain words why this caller may not decide the request; empty when they may.

    With `via` (dashboard, slack, api) the rule's way of deciding counts too. Being an admin helps nobody here.
    """
    groups = request.quorum.groups
    ways = request.terms["decide_in"]
    owned = request.requester_kind == "ci" and not request.requester_person
    reasons = (
        (caller.kind != "person", "Only a person can decide; this token belongs to an agent or a CI job."),
        (
            is_own(request, caller, policy.config),
            "This is your own request; somebody else must decide it.",
        ),
        (
            owned and bool(caller.groups & set(request.requester_owners)),
            "Your group owns the CI identity that asks, and who started the job is not known.",
        ),
        (not caller.groups & groups, f"Only members of {', '.join(sorted(groups))} can decide this request."),
        (
            request.terms["mfa"] == "required",
            "This request needs a fresh second factor, which this version cannot ask for.",
        ),
        (bool(via) and via not in ways, f"This request can be decided in {', '.join(ways)} only."),
    )
    return next((reason for applies, reason in reasons if applies), "")


def is_own(request: ApprovalRequest, caller: Caller, config: Config) -> bool:
    """Say whether the caller must not decide it as their own: they asked, or share the requester's address.

    For refusing only, where an equal verified e-mail address is enough; what gives a right asks `has_asked`.
    """
    if has_asked(request, caller, config):
        return True
    return bool(request.requester_email) and request.requester_email == email_digest(caller.email)


def has_asked(request: ApprovalRequest, caller: Caller, config: Config) -> bool:
    """Say whether the caller is the requester, the person behind the requester, or an account linked to either."""
    return bool(asking_accounts(request, config) & linked_accounts(caller.key, config))


def asking_accounts(request: ApprovalRequest, config: Config) -> frozenset[str]:
    """Return the accounts of whoever asks: the requester's, that of the person behind, and all linked to these."""
    asking = linked_accounts(f"{request.requester_iss}|{request.requester_sub}", config)
    return asking | linked_accounts(request.requester_person, config) if request.requester_person else asking


def is_same_person(one: Caller, other: Caller, config: Config) -> bool:
    """Say whether two accounts count as one person: the same or linked, or of an equal verified e-mail address.

    For refusing only, as `is_own`.
    """
    if other.key in linked_accounts(one.key, config):
        return True
    digest = email_digest(one.email)
    return bool(digest) and digest == email_digest(other.email)


def linked_accounts(account: str, config: Config) -> frozenset[str]:
    """Return the account with every account that the configuration says belongs to the same person."""
    linked = {account}
    for person in config.people:
        if account in person.accounts:
            linked.update(person.accounts)
    return frozenset(linked)
