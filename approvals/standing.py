"""What a signed-in person is to the policy: a caller with groups, and the roles that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from approvals.database import database_now
from approvals.models import Person
from approvals.policy import Caller, local_groups

if TYPE_CHECKING:
    from approvals.config.identity import Kind
    from approvals.config.schema import Config
    from approvals.policy import Policy


def caller_of(person: Person, policy: Policy) -> Caller:
    """Return a person as the policy sees them now: local groups, and issuer groups unless they are too old.

    Issuer groups count only for an issuer with `login: true`, and for as long as its `groups_max_age` after the last
    sign-in. A deactivated person is in no group.
    """
    bare = Caller(
        iss=person.iss,
        sub=person.sub,
        kind="person",
        groups=frozenset(),
        display=str(person),
        email=person.email or None,
        issuer=_issuer_name(person.iss, policy.config),
    )
    if not person.is_active:
        return bare
    groups = local_groups(policy.config, bare) | _issuer_groups(person, policy.config)
    return bare.with_groups(groups)


def caller_named(who: str, kind: Kind, groups: frozenset[str], policy: Policy) -> Caller:
    """Return who a call is tried as: a known person (e-mail, name or iss|sub), an account, or nobody in particular.

    `groups` are added to those that the policy gives them.
    """
    iss, _, sub = who.partition("|")
    known = Person.objects.filter(Q(email=who) | Q(display=who) | Q(iss=iss, sub=sub)) if who else Person.objects.none()
    person = known.order_by("created_at").first() if kind == "person" else None
    if person is not None:
        caller = caller_of(person, policy)
        return caller.with_groups(caller.groups | groups)
    caller = Caller(iss=iss, sub=sub, kind=kind, issuer=_issuer_name(iss, policy.config))
    return caller.with_groups(local_groups(policy.config, caller) | groups)


def _issuer_name(iss: str, config: Config) -> str:
    return next((issuer.name for issuer in config.issuers if issuer.issuer == iss), "")


def _issuer_groups(person: Person, config: Config) -> frozenset[str]:
    issuer = next((entry for entry in config.issuers if entry.issuer == person.iss and entry.login), None)
    if issuer is None or person.issuer_groups_at is None:
        return frozenset()
    age = (database_now() - person.issuer_groups_at).total_seconds()
    return frozenset(person.issuer_groups) if age <= issuer.groups_max_age else frozenset()


def roles_of(caller: Caller, policy: Policy) -> frozenset[str]:
    """Return which of admin, auditor, operator and approver this person is by their groups."""
    if caller.kind != "person":
        return frozenset()
    given = policy.config.roles
    named = {"admin": given.admin, "auditor": given.auditor, "operator": given.operator}
    roles = {role for role, groups in named.items() if caller.groups.intersection(groups)}
    if caller.groups & policy.deciding_groups:
        roles.add("approver")
    return frozenset(roles)
