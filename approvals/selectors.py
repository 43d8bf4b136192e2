"""What a person, an agent or a job may see of approvals. Reading only; services change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from approvals.eligibility import asking_accounts, has_asked, linked_accounts, why_not
from approvals.keys import email_digest
from approvals.models import ApprovalRequest, Person
from approvals.quorum import Quorum
from approvals.standing import roles_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from approvals.policy import Policy
    from approvals.verdicts import Caller

OWN_ADDRESS = "This is the request of an account with an e-mail address of yours; somebody else must decide it."
# Groups by fingerprint of the rule. Equal fingerprints mean the same terms, so an entry never changes.
_groups: dict[str, frozenset[str]] = {}


def visible_to(caller: Caller, policy: Policy) -> QuerySet[ApprovalRequest]:
    """Return the requests that a caller may see.

    Their own, those they could decide, or all for admin and auditor.
    """
    rows: QuerySet[ApprovalRequest] = ApprovalRequest.objects.all()
    if roles_of(caller, policy) & {"admin", "auditor"}:
        return rows
    visible = _asked_by(caller, policy)
    if caller.kind == "person":
        visible |= Q(rule_fingerprint__in=_decidable(caller))
    return rows.filter(visible)


def _asked_by(caller: Caller, policy: Policy) -> Q:
    """Select what the caller, or the same person under another account, asked for, also through a job."""
    asked = Q()
    for account in linked_accounts(caller.key, policy.config):
        issuer, _, subject = account.partition("|")
        asked |= Q(requester_iss=issuer, requester_sub=subject) | Q(requester_person=account)
    return asked


def _decidable(caller: Caller) -> list[str]:
    """Return the fingerprints of the rules that any of the caller's groups may decide."""
    fingerprints = ApprovalRequest.objects.order_by().values_list("rule_fingerprint", flat=True).distinct()
    return [fingerprint for fingerprint in fingerprints if _groups_of(fingerprint) & caller.groups]


def _groups_of(fingerprint: str) -> frozenset[str]:
    if fingerprint not in _groups:
        row = ApprovalRequest.objects.filter(rule_fingerprint=fingerprint).order_by().first()
        _groups[fingerprint] = Quorum.parse(row.terms["require"]).groups if row else frozenset()
    return _groups[fingerprint]


def may_decide(request: ApprovalRequest, caller: Caller, policy: Policy, *, via: str = "") -> str:
    """Return in plain words why this caller may not decide the request; empty when they may."""
    if reason := why_not(request, caller, policy, via=via):
        return reason
    return OWN_ADDRESS if _shares_an_address(request, caller, policy) else ""


def _shares_an_address(request: ApprovalRequest, caller: Caller, policy: Policy) -> bool:
    """Say whether any account of the caller has the verified address of any account of the asker.

    The request itself knows one address of the asker's, and the token one of the caller's; the linked accounts of both
    may have signed in under others.
    """
    asking = asking_accounts(request, policy.config) - {f"{request.requester_iss}|{request.requester_sub}"}
    deciding = linked_accounts(caller.key, policy.config) - {caller.key}
    asked_from = _addresses(asking) | {request.requester_email}
    return bool((asked_from & (_addresses(deciding) | {email_digest(caller.email)})) - {""})


def _addresses(accounts: frozenset[str]) -> set[str]:
    if not accounts:
        return set()
    wanted = Q()
    for account in accounts:
        issuer, _, subject = account.partition("|")
        wanted |= Q(iss=issuer, sub=subject)
    return {email_digest(email) for email in Person.objects.filter(wanted).values_list("email", flat=True)}


def sees_payload(request: ApprovalRequest, caller: Caller, policy: Policy) -> bool:
    """Say whether a caller who sees the request may also see its arguments, the reason and results.

    Requesters, approvers and auditors do; an admin keeps the house and does not read the letters.
    """
    if "auditor" in roles_of(caller, policy) or has_asked(request, caller, policy.config):
        return True
    if caller.kind != "person":
        return False
    return bool(caller.groups & Quorum.parse(request.terms["require"]).groups)
