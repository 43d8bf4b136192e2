"""Who belongs to which local group, and whether the people that are known can make a quorum. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals.rules.quorum import Quorum

if TYPE_CHECKING:
    from approvals.config.rules import Decision
    from approvals.config.schema import Config
    from approvals.verdicts import Caller


def local_groups(config: Config, caller: Caller) -> frozenset[str]:
    """Return a caller's local groups: by iss|sub, and by verified e-mail where people sign in."""
    groups = config.groups_of_member.get(caller.key, frozenset())
    if caller.email is not None and caller.issuer in config.login_issuers:
        groups |= config.groups_of_member.get(caller.email.strip().casefold(), frozenset())
    return groups


@dataclass(frozen=True, slots=True)
class Gap:
    """A hold that the people known so far cannot decide, or access that they cannot give.

    Either a `rule` is named, or what of a `connection`.
    """

    rule: str
    connection: str
    groups: tuple[str, ...]
    what: str = "the default"

    def __str__(self) -> str:
        what = f"rule {self.rule}" if self.rule else f"{self.what} of connection {self.connection}"
        return f"{what}: fewer people are known in {', '.join(self.groups)} than must approve"


def quorum_gaps(
    config: Config, seen: Mapping[str, frozenset[str]] | None = None, same: Mapping[str, str] | None = None
) -> tuple[Gap, ...]:
    """Return the holds without a reachable quorum.

    Known are the members of local groups and the people in `seen`: iss|sub, or an e-mail address as written
    in the groups, to the groups they are in. The linked accounts of one person count once; `same` leads from a name to
    another one of the same person, beside what the configuration says.
    """
    known = list(known_people(config, seen or {}, same or {}).values())
    holds: list[tuple[str, str, str, Decision | None]] = [(rule.name, "", "", rule.approval) for rule in config.rules]
    for name, found in config.connections.items():
        holds += [("", name, "the default", found.default_approval)]
        holds += [("", name, "access_requests", found.access_requests)]
    gaps = []
    for rule, connection, what, approval in holds:
        if approval is None:
            continue
        quorum = Quorum((approval.require,))
        if not quorum.met(known):
            gaps.append(Gap(rule, connection, tuple(sorted(quorum.groups)), what))
    return tuple(gaps)


def known_people(
    config: Config, seen: Mapping[str, frozenset[str]], same: Mapping[str, str]
) -> dict[str, frozenset[str]]:
    """Return everybody known, by one identity each, with their groups; `seen` and `same` as for `quorum_gaps`."""
    person_of = {account: person.accounts[0] for person in config.people for account in person.accounts}
    known: dict[str, frozenset[str]] = {}
    for members in (config.groups_of_member, seen):
        for member, groups in members.items():
            identity = member if "|" in member else member.strip().casefold()
            passed: set[str] = set()
            while identity not in passed:  # links may lead in a circle
                passed.add(identity)
                identity = same.get(person_of.get(identity, identity), person_of.get(identity, identity))
            known[identity] = known.get(identity, frozenset()) | groups
    return known
