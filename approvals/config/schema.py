"""holdgate.yaml as a whole. Frozen: a Config that was loaded is what a policy revision was compiled from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from approvals.config.connections import Access, Connection, Credential, Wait
from approvals.config.identity import Group, Issuer, Kind, KindOfCaller, Person, Roles, unique_people
from approvals.config.masking import Masking
from approvals.config.rules import Approval, Callers, Condition, Match, Place, Require, Rule
from approvals.config.values import Name, Strict, problem, shown

__all__ = [
    "Access",
    "Approval",
    "Callers",
    "Condition",
    "Config",
    "Connection",
    "Credential",
    "Group",
    "Issuer",
    "Kind",
    "KindOfCaller",
    "Masking",
    "Match",
    "Person",
    "Place",
    "Require",
    "Roles",
    "Rule",
    "Wait",
]


def _not_reserved(value: str) -> str:
    if value == "gateway":
        raise problem("the name gateway is reserved for the gateway's own tools")
    return value


def _unique(*fields: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
        for field in fields:
            seen: set[str] = set()
            for index, item in enumerate(items):
                value = getattr(item, field)
                if value in seen:
                    raise problem(f"{shown(value)} stands twice", f"{index}.{field}")
                seen.add(value)
        return items

    return check


class Config(Strict):
    """The declarative configuration: names to connections and groups, and the ordered lists of the rest."""

    version: Literal["1"] = "1"
    issuers: Annotated[tuple[Issuer, ...], AfterValidator(_unique("name", "issuer"))] = ()
    groups: dict[Name, Group] = {}
    people: Annotated[tuple[Person, ...], AfterValidator(unique_people)] = ()
    roles: Roles = Roles()
    connections: dict[Annotated[Name, AfterValidator(_not_reserved)], Connection] = {}
    rules: Annotated[tuple[Rule, ...], AfterValidator(_unique("name"))] = ()
    masking: Annotated[tuple[Masking, ...], AfterValidator(_unique("name"))] = ()

    @cached_property
    def groups_of_member(self) -> dict[str, frozenset[str]]:
        """Each member of a local group, iss|sub or case-folded e-mail address, with its groups."""
        found: dict[str, set[str]] = {}
        for name, group in self.groups.items():
            for member in group.members:
                found.setdefault(member if "|" in member else member.casefold(), set()).add(name)
        return {member: frozenset(names) for member, names in found.items()}

    @cached_property
    def login_issuers(self) -> frozenset[str]:
        """The names of the issuers where people sign in; their groups may make approvers and roles."""
        return frozenset(issuer.name for issuer in self.issuers if issuer.login)
