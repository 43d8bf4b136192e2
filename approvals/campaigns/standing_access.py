"""Who may use what by the policy in force, and what of it was used: the lines of a review."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db.models import Count, Max

from approvals.campaigns.models import Line
from approvals.models import Person
from approvals.policy import local_groups
from approvals.standing import caller_of
from sessions.events import SESSION_STARTED
from sessions.leaf import decode
from sessions.models import Entry, Payload, RecordedCall, RecordedSession
from sessions.search.index import first_id

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.policy import Policy

USED_WITHIN: Final = timedelta(days=90)
MOST_CALLERS: Final = 2_000
MOST_MEMBERS: Final = 50


@dataclass(frozen=True, slots=True)
class Use:
    """Calls of one account on one connection, the newest of them, and the groups that it had by then."""

    connection: str
    groups: frozenset[str]
    calls: int
    last: datetime


def lines(policy: Policy, now: datetime) -> Iterator[Line]:
    """Yield, unsaved, a line for each group of each entry of `access`, and for each group of a role."""
    used, members = list(_uses(now)), _members(policy)
    for number, line in enumerate((*_of_connections(policy.config), *_of_roles(policy.config)), start=1):
        line.number = number
        line.members = sorted(members[line.group])[:MOST_MEMBERS]
        of_group = [one for one in used if line.group in one.groups and one.connection == line.connection]
        line.calls = sum(one.calls for one in of_group)
        line.last_call = max((one.last for one in of_group), default=None)
        yield line


def stands(line: Line, config: Config) -> bool:
    """Say whether the policy in force still gives the group its role, or any of the line's tools."""
    if line.role:
        return any((one.group, one.role) == (line.group, line.role) for one in _of_roles(config))
    mine = [one for one in _of_connections(config) if (one.group, one.connection) == (line.group, line.connection)]
    return any(set(one.tools) & set(line.tools) for one in mine)


def _of_connections(config: Config) -> Iterator[Line]:
    for name, connection in sorted(config.connections.items()):
        for entry in connection.access:
            for group in entry.groups:
                yield Line(group=group, connection=name, tools=list(entry.tools), kinds=list(entry.kinds or ()))


def _of_roles(config: Config) -> Iterator[Line]:
    given = config.roles
    for role, groups in (("admin", given.admin), ("auditor", given.auditor), ("operator", given.operator)):
        for group in groups:
            yield Line(group=group, role=role)


def groups_now(person: Person, policy: Policy) -> frozenset[str]:
    """Return a person's groups, those of their issuer as of their last sign-in, however long ago."""
    bare = caller_of(person, policy)
    return bare.groups | local_groups(policy.config, bare) | frozenset(person.issuer_groups)


def _members(policy: Policy) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, group in policy.config.groups.items():
        found[name].update(str(member) for member in group.members)
    for person in Person.objects.filter(is_active=True):
        for name in groups_now(person, policy) - policy.config.groups.keys():
            found[name].add(str(person))
    return found


def _uses(now: datetime) -> Iterator[Use]:
    rows = RecordedCall.objects.filter(id__gte=first_id(now - USED_WITHIN)).values_list("connection", "actor")
    for connection, actor, calls, last in rows.annotate(n=Count("id"), last=Max("at")).order_by("-n")[:MOST_CALLERS]:
        yield Use(connection, frozenset(_groups_of(connection, actor)), calls, last)


def _groups_of(connection: str, actor: str) -> Iterable[str]:
    """Return the groups of a caller as the newest of their sessions there tells them."""
    sessions = RecordedSession.objects.filter(actor=actor, connection=connection).order_by("-started_at", "-id")
    session = sessions.values_list("id", flat=True).first()
    entry = Entry.objects.filter(session=session, kind=SESSION_STARTED).order_by("id").first() if session else None
    told = None if entry is None else decode(bytes(entry.leaf)).payloads.get("caller")
    if told is None:
        return ()
    body = Payload.objects.filter(commitment=bytes.fromhex(told.digest)).values_list("body", flat=True).first()
    groups = json.loads(bytes(body)).get("groups") if body else None
    return groups if isinstance(groups, list) else ()
