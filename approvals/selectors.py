"""What a person, an agent or a job may see of approvals. Reading only; services change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from approvals.eligibility import has_asked, is_same_person, may_stand_in, why_not
from approvals.models import ApprovalRequest
from approvals.rules.emergency import Emergency
from approvals.rules.quorum import Quorum
from approvals.second_factor import lacking
from approvals.standing import caller_of, roles_of
from approvals.ties import people_with, retied, tied

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

    from approvals.models import Vote
    from approvals.policy import Policy
    from approvals.publication import Snapshot
    from approvals.second_factor import SignIn
    from approvals.verdicts import Caller
    from sessions.events import Fact


@dataclass(frozen=True, slots=True)
class _Deciding:
    groups: tuple[frozenset[str], ...]
    """Who may decide at first, after one escalation, after two ..."""
    handed_on: bool
    """Whether they may let somebody stand in."""
    emergency: Emergency | None = None
    """Who may approve alone."""


# By fingerprint of the rule: equal fingerprints mean the same terms, so an entry never changes.
_known_rules: dict[str, _Deciding] = {}


def visible_to(caller: Caller, policy: Policy) -> QuerySet[ApprovalRequest]:
    """Return the requests that a caller may see.

    Their own, those they could decide, or all for admin and auditor.
    """
    rows: QuerySet[ApprovalRequest] = ApprovalRequest.objects.all()
    if roles_of(caller, policy) & {"admin", "auditor"}:
        return rows
    visible = asked_by(caller, policy)
    if caller.kind == "person":
        visible |= _decidable(caller.groups)
        for away in _stands_in_for(caller, policy):
            visible |= _decidable(away.groups, handed_on=True)
    return rows.filter(visible)


def asked_by(caller: Caller, policy: Policy) -> Q:
    """Select what the caller, or the same person under another account, asked for, also through a job."""
    asked = Q()
    ties = tied(caller, policy).ties
    for account in ties.accounts if ties else ():
        issuer, _, subject = account.partition("|")
        asked |= Q(requester_iss=issuer, requester_sub=subject) | Q(requester_person=account)
    return asked


def _decidable(groups: frozenset[str], *, handed_on: bool = False) -> Q:
    """Select what any of these groups may decide by now: at once, since an escalation, or alone, in an emergency.

    `handed_on`: what they may let a stand-in decide.
    """
    at_once, later = [], Q(pk__in=[])
    for fingerprint in ApprovalRequest.objects.order_by().values_list("rule_fingerprint", flat=True).distinct():
        deciding = _deciding(fingerprint)
        if handed_on and not deciding.handed_on:
            continue
        joins = [step for step, joined in enumerate(deciding.groups) if joined & groups]
        alone = deciding.emergency is not None and not handed_on and deciding.emergency.admits(groups)
        if alone or (joins and joins[0] == 0):
            at_once.append(fingerprint)
        elif joins:
            later |= Q(rule_fingerprint=fingerprint, escalated__gte=joins[0])
    return Q(rule_fingerprint__in=at_once) | later


def groups_of_rule(fingerprint: str) -> tuple[frozenset[str], ...]:
    """Return the groups that may decide under a rule, by how many of its escalations have come about."""
    return _deciding(fingerprint).groups


def _deciding(fingerprint: str) -> _Deciding:
    """Return who may decide under a rule."""
    if fingerprint not in _known_rules:
        row = ApprovalRequest.objects.filter(rule_fingerprint=fingerprint).order_by().first()
        if row is None:
            return _Deciding((), False)
        first, steps = Quorum.parse(row.terms["require"]), row.timetable.escalations
        groups = tuple(first.widened(steps[:taken]).groups for taken in range(len(steps) + 1))
        handed_on = row.terms.get("delegation") != "forbidden"
        _known_rules[fingerprint] = _Deciding(groups, handed_on, row.emergency)
    return _known_rules[fingerprint]


def may_decide(request: ApprovalRequest, caller: Caller, policy: Policy, *, via: str = "") -> str:
    """Return in plain words why this caller may not decide the request; empty when they may."""
    return why_not(request, tied(caller, policy), via=via)


def unproven_factor(
    request: ApprovalRequest, caller: Caller, sign_in: SignIn | None, policy: Policy, now: datetime
) -> str:
    """Return why this sign-in does not do for a decision on the request; empty when it does, or none is asked for."""
    if request.terms["mfa"] != "required":
        return ""
    issuer = next((known for known in policy.config.issuers if known.issuer == caller.iss and known.login), None)
    return lacking(sign_in, caller, issuer, now=now.timestamp(), within=settings.SECOND_FACTOR_SECONDS)


def proven(request: ApprovalRequest, sign_in: SignIn | None) -> dict[str, Fact]:
    """Return what the record says of a sign-in that a decision needed."""
    return sign_in.facts() if sign_in is not None and request.terms["mfa"] == "required" else {}


def sees_payload(request: ApprovalRequest, caller: Caller, policy: Policy) -> bool:
    """Say whether a caller who sees the request may also see its arguments, the reason and results.

    Requesters, approvers and auditors do; an admin keeps the house and does not read the letters.
    """
    if "auditor" in roles_of(caller, policy) or has_asked(request, tied(caller, policy)):
        return True
    if caller.kind != "person":
        return False
    emergency = request.emergency
    if emergency is not None and emergency.admits(caller.groups):
        return True
    handed_on = request.terms.get("delegation") != "forbidden"
    through = [away.groups for away in _stands_in_for(caller, policy)] if handed_on else []
    return any(groups & request.quorum.groups for groups in (caller.groups, *through))


def _stands_in_for(caller: Caller, policy: Policy) -> tuple[Caller, ...]:
    ties = tied(caller, policy).ties
    return ties.stands_in_for if ties else ()


def approving(request: ApprovalRequest, snapshot: Snapshot) -> list[frozenset[str]]:
    """Return the required groups of each person who approved, as of their vote: what a quorum is counted from.

    One human being counts once, and so does the right of somebody who is away: who votes in their place is not another
    one beside them.
    """
    policy = snapshot.policy
    found = []
    for vote in _approvals(request):
        voter, right = _known(vote.key, policy), _known(vote.right, policy)
        if voter is not None and right is not None:
            found.append((voter, right, frozenset(vote.groups)))
    return _each_once(found)


def still_approved(request: ApprovalRequest, snapshot: Snapshot) -> bool:
    """Say whether those who approved are enough by their standing now; asked again at the claim.

    For a request that a grant covers they are those who approved what the grant remembers; they must be entitled to
    decide this very request, whoever asks now.
    """
    groups, found = request.quorum.groups, []
    for vote in _approvals(request if request.grant is None else request.grant.request):
        voter = _known(vote.key, snapshot.policy)
        right = _right(request, voter, vote.on_behalf_of) if voter is not None else None
        if voter is not None and right is not None:
            found.append((voter, right, right.groups & groups))
    return request.quorum.met(_each_once(found))


def _approvals(request: ApprovalRequest) -> list[Vote]:
    """Return the votes that approve, those in the voter's own right first: they go before those of a stand-in."""
    return list(request.votes.filter(decision="approve").order_by("on_behalf_of", "id"))


def _known(account: str, policy: Policy) -> Caller | None:
    person = people_with([account]).filter(is_active=True).first()
    return retied(caller_of(person, policy), policy) if person is not None else None


def _right(request: ApprovalRequest, voter: Caller, on_behalf_of: str) -> Caller | None:
    """Return by whose right a vote counts now: the voter's, or that of who is away; None when it does not any more."""
    if not on_behalf_of:
        return voter if voter.groups & request.quorum.groups and not why_not(request, voter) else None
    away = voter.ties.stands_in_for if voter.ties else ()
    return next((one for one in away if one.key == on_behalf_of and may_stand_in(request, voter, one)), None)


def _each_once(found: list[tuple[Caller, Caller, frozenset[str]]]) -> list[frozenset[str]]:
    """Return the groups of voters of whom neither they nor whoever's right they used was counted before."""
    voters: list[Caller] = []
    rights: list[Caller] = []
    groups = []
    for voter, right, theirs in found:
        if any(is_same_person(voter, one) for one in voters) or any(is_same_person(right, one) for one in rights):
            continue
        voters.append(voter)
        rights.append(right)
        groups.append(theirs)
    return groups
