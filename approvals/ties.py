"""Which accounts are one person's: by the configuration (`people`), and by links that people or their provider made.

For refusing, every link counts, one that ended lately too, and an equal verified e-mail address; what gives a right
looks at links that stand now, and at nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.db.models import Q

from approvals.database import database_now
from approvals.keys import email_digest
from approvals.models import AccountLink, Delegation, Person
from approvals.standing import caller_of
from approvals.verdicts import Ties

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from approvals.config.schema import Config
    from approvals.models import ApprovalRequest
    from approvals.policy import Policy
    from approvals.verdicts import Caller

STANDING = Q(ended_at=None)
"""Links that count for everything."""


def person_behind(caller: Caller) -> str:
    """Return `iss|sub` of who started a job, where that account is linked to somebody; empty where nobody knows."""
    if caller.person or not caller.starter:
        return caller.person or ""
    return caller.starter if AccountLink.objects.filter(STANDING, account=caller.starter).exists() else ""


def name_behind(request: ApprovalRequest, config: Config) -> str:
    """Return who is behind a request, as people know them; empty where that is the caller, or nobody is known.

    It is the name of whoever signs in here with that account or one linked to it, with the account's subject; the
    subject alone for somebody who never did.
    """
    account = request.requester_person
    if not account or account == f"{request.requester_iss}|{request.requester_sub}":
        return ""
    subject = account.partition("|")[2]
    person = people_with(linked({account}, config)).order_by("created_at").first()
    return f"{person} ({subject})" if person is not None and str(person) != subject else subject


def tied(caller: Caller, policy: Policy) -> Caller:
    """Return the caller with what is known of their accounts now; as they are when it was looked up before."""
    return caller if caller.ties is not None else retied(caller, policy)


def retied(caller: Caller, policy: Policy, *, deep: bool = True) -> Caller:
    """Return the caller with what is known of their accounts at this moment; `deep`: and of whom they stand in for."""
    config = policy.config
    accounts = linked({caller.key}, config)
    emails = {caller.email} if caller.email else set()
    refusing, away = accounts, _away(caller, policy) if deep and caller.kind == "person" else ()
    if caller.kind == "person":
        refusing, emails = _alike(accounts, emails, config)
    ties = Ties(
        accounts=frozenset(accounts),
        refusing=frozenset(refusing),
        addresses=frozenset(email_digest(email) for email in emails) - {""},
        stands_in_for=away,
    )
    return replace(caller, ties=ties)


def lately() -> Q:
    """Select the links that count for refusing: those that stand, and those that ended not long ago."""
    return STANDING | Q(refuses_until__gt=database_now())


def in_force() -> Q:
    """Select the delegations that count at this moment, by the database's clock."""
    now = database_now()
    return Q(revoked_at=None, starts_at__lte=now, ends_at__gt=now)


def _away(caller: Caller, policy: Policy) -> tuple[Caller, ...]:
    """Return for whom the caller stands in now. Whoever these stand in for themselves is not handed on."""
    rows = Delegation.objects.filter(in_force(), delegate=caller.key).order_by("starts_at", "id")
    people = [people_with([row.delegator]).filter(is_active=True).first() for row in rows]
    return tuple(retied(caller_of(person, policy), policy, deep=False) for person in people if person is not None)


def linked(accounts: Iterable[str], config: Config, which: Q = STANDING) -> set[str]:
    """Return the accounts with everything that these links and `people` tie to them, in however many steps."""
    found = set(accounts)
    while True:
        more = {other for person in config.people if not found.isdisjoint(person.accounts) for other in person.accounts}
        rows = AccountLink.objects.filter(which, Q(account__in=found) | Q(holder__in=found))
        more.update(*rows.values_list("account", "holder"))
        if more <= found:
            return found
        found |= more


def _alike(accounts: set[str], emails: set[str], config: Config) -> tuple[set[str], set[str]]:
    """Return every account that may be the same person's, and all their addresses, for refusing."""
    which = lately()
    found, known = set(accounts), set(emails)
    while True:
        tie = linked(found, config, which)
        held = known | {email for email in people_with(tie).values_list("email", flat=True) if email}
        same = Q(pk=None)
        for email in held:
            same |= Q(email__iexact=email.strip())
        more = tie | {f"{iss}|{sub}" for iss, sub in Person.objects.filter(same).values_list("iss", "sub")}
        if more <= found and held <= known:
            return found, known
        found, known = more, held


def people_with(accounts: Iterable[str]) -> QuerySet[Person]:
    """Return the people who signed in with one of these accounts."""
    which = Q(pk=None)
    for account in accounts:
        issuer, separator, subject = account.partition("|")
        if separator:
            which |= Q(iss=issuer, sub=subject)
    return Person.objects.filter(which)
