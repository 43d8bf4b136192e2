"""holdgate.yaml as a whole. Frozen: a Config that was loaded is what a policy revision was compiled from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from approvals.config.channels import Channels, Route
from approvals.config.conditions import Condition
from approvals.config.connections import Access, Connection, Wait
from approvals.config.credential import Credential
from approvals.config.detectors import CustomDetector
from approvals.config.identity import Group, Issuer, Kind, KindOfCaller, Person, Roles, unique_people
from approvals.config.masking import Masking
from approvals.config.packs import PackNames, pack
from approvals.config.rules import Approval, Callers, Match, Place, Require, Rule
from approvals.config.values import Name, Strict, problem, shown
from masking.custom import MOST_DETECTORS
from masking.detectors import Detector

__all__ = [
    "BUILT_IN",
    "Access",
    "Approval",
    "Callers",
    "Channels",
    "Condition",
    "Config",
    "Connection",
    "Credential",
    "CustomDetector",
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
    "Route",
    "Rule",
    "Wait",
]


BUILT_IN = "gateway"
"""The connection that nobody configures: the gateway's own tools."""


def _not_reserved(value: str) -> str:
    if value == BUILT_IN:
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


def _names(name: str, kind: str) -> frozenset[str]:
    found = pack(name)
    named: list[Rule | Masking] = [*found.rules] if kind == "rules" else [*found.masking]
    return frozenset(entry.name for entry in named)


class Config(Strict):
    """The declarative configuration: names to connections and groups, and the ordered lists of the rest."""

    version: Literal["1"] = "1"
    issuers: Annotated[tuple[Issuer, ...], AfterValidator(_unique("name", "issuer"))] = ()
    groups: dict[Name, Group] = {}
    people: Annotated[tuple[Person, ...], AfterValidator(unique_people)] = ()
    roles: Roles = Roles()
    packs: PackNames = ()
    connections: dict[Annotated[Name, AfterValidator(_not_reserved)], Connection] = {}
    rules: Annotated[tuple[Rule, ...], AfterValidator(_unique("name"))] = ()
    channels: Channels = Channels()
    detectors: Annotated[
        tuple[CustomDetector, ...], Field(max_length=MOST_DETECTORS), AfterValidator(_unique("name"))
    ] = ()
    masking: Annotated[tuple[Masking, ...], AfterValidator(_unique("name"))] = ()

    @model_validator(mode="after")
    def _overrides_knowingly(self) -> Self:
        for kind in ("rules", "masking"):
            for index, item in enumerate(getattr(self, kind)):
                if reason := self._misled(kind, item):
                    raise problem(reason, f"{kind}.{index}.overrides")
        return self

    def _misled(self, kind: str, item: Rule | Masking) -> str:
        """Return what is wrong with the name of an entry that is, or says that it is, that of a pack."""
        owner = next((name for name in self.packs if item.name in _names(name, kind)), None)
        if owner is None and item.overrides is not None:
            return f"no pack that is switched on has an entry {item.name} in {kind}"
        if owner is not None and item.overrides != owner:
            return f"the pack {owner} has an entry of this name; say `overrides: {owner}` to put yours in its place"
        return ""

    @cached_property
    def in_force(self) -> Config:
        """The configuration with what its packs say, but for what it overrides."""
        if not self.packs:
            return self
        mine = {rule.name for rule in self.rules} | {rule.name for rule in self.masking}
        found = [pack(name) for name in self.packs]
        rules = tuple(rule for one in found for rule in one.rules if rule.name not in mine)
        masking = tuple(rule for one in found for rule in one.masking if rule.name not in mine)
        return self.model_copy(update={"rules": self.rules + rules, "masking": self.masking + masking, "packs": ()})

    @cached_property
    def own_detectors(self) -> tuple[Detector, ...]:
        """The detectors of its own, ready to search."""
        return tuple(one.compiled for one in self.detectors)

    @cached_property
    def claims_asked(self) -> tuple[str, ...]:
        """The names of the claims that rules look at: these a caller brings along, and no others."""
        return tuple(sorted(frozenset[str]().union(*(rule.claims_asked for rule in self.in_force.rules))))

    @cached_property
    def groups_of_member(self) -> dict[str, frozenset[str]]:
        """Each member of a local group, iss|sub or case-folded e-mail address, with its groups."""
        found: dict[str, set[str]] = {}
        for name, group in self.groups.items():
            for member in group.members:
                found.setdefault(member if "|" in member else member.casefold(), set()).add(name)
        return {member: frozenset(names) for member, names in found.items()}

    @cached_property
    def token_issuers(self) -> tuple[Issuer, ...]:
        """The issuers whose bearer tokens are taken: not those where people sign in by SAML."""
        return tuple(issuer for issuer in self.issuers if issuer.saml is None)

    @cached_property
    def login_issuers(self) -> frozenset[str]:
        """The names of the issuers where people sign in; their groups may make approvers and roles."""
        return frozenset(issuer.name for issuer in self.issuers if issuer.login)
