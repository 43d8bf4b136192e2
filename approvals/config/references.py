"""What must hold between the parts of a configuration: groups that decide exist, detectors exist.

Works on the plain data, tolerant of its form, so that these problems are listed beside those of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from approvals.config.problems import Location
from approvals.config.values import shown

Finding = tuple[Location, str]


def findings(data: Any, detectors: frozenset[str]) -> Iterator[Finding]:
    """Yield location and reason of each name that leads nowhere."""
    config = _mapping(data)
    deciding = _Deciding(config)
    for index, rule in enumerate(_list(config.get("rules"))):
        yield from deciding.approval(("rules", index, "approval"), _mapping(rule).get("approval"))
    for name, connection in _mapping(config.get("connections")).items():
        here = ("connections", name, "default_approval")
        yield from deciding.approval(here, _mapping(connection).get("default_approval"))
    for role, groups in _mapping(config.get("roles")).items():
        yield from deciding.groups(("roles", role), groups)
    for index, issuer in enumerate(_list(config.get("issuers"))):
        yield from deciding.owners(("issuers", index, "owned_by"), _mapping(issuer).get("owned_by"))
    yield from _unknown_detectors(config, detectors)


class _Deciding:
    """Which groups may decide: the local ones, and those of issuers where people sign in."""

    def __init__(self, config: dict[str, Any]) -> None:
        issuers = [_mapping(issuer) for issuer in _list(config.get("issuers"))]
        self._local = set(_mapping(config.get("groups")))
        self._login = {issuer.get("name") for issuer in issuers if issuer.get("login") in ("true", True)}
        self._others = {issuer.get("name") for issuer in issuers} - self._login

    def approval(self, here: Location, approval: Any) -> Iterator[Finding]:
        require = _mapping(_mapping(approval).get("require"))
        for form in ("any_of", "all_of"):
            for index, place in enumerate(_list(require.get(form))):
                location = (*here, "require", form, index, "groups")
                yield from self.groups(location, _mapping(place).get("groups"))

    def groups(self, here: Location, groups: Any) -> Iterator[Finding]:
        for index, group in enumerate(_list(groups)):
            if isinstance(group, str) and (reason := self._why_not(group)):
                yield (*here, index), reason

    def owners(self, here: Location, groups: Any) -> Iterator[Finding]:
        for index, group in enumerate(_list(groups)):
            if isinstance(group, str) and group not in self._local:
                yield (*here, index), f"unknown local group {shown(group)}"

    def _why_not(self, group: str) -> str:
        issuer, separator, rest = group.partition("/")
        if group in self._local or (separator and rest and issuer in self._login):
            return ""
        if separator and issuer in self._others:
            return f"{shown(group)}: issuer {issuer} has no login: true, so its groups cannot decide"
        return f"unknown group {shown(group)}"


def _unknown_detectors(config: dict[str, Any], detectors: frozenset[str]) -> Iterator[Finding]:
    for index, rule in enumerate(_list(config.get("masking"))):
        for position, detector in enumerate(_list(_mapping(rule).get("detectors"))):
            if isinstance(detector, str) and detector not in detectors:
                yield ("masking", index, "detectors", position), f"unknown detector {shown(detector)}"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
