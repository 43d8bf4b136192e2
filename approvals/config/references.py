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
    deciding, channels = _Deciding(config), _Channels(config)
    for index, rule in enumerate(_list(config.get("rules"))):
        yield from deciding.approval(("rules", index, "approval"), _mapping(rule).get("approval"))
        yield from channels.ways(("rules", index, "approval"), _mapping(rule).get("approval"))
        yield from channels.routes(("rules", index, "notify"), _mapping(rule).get("notify"))
        yield from channels.alarms(("rules", index, "approval"), _mapping(rule).get("approval"))
    for name, connection in _mapping(config.get("connections")).items():
        for key in ("default_approval", "access_requests"):
            yield from deciding.approval(("connections", name, key), _mapping(connection).get(key))
            yield from channels.ways(("connections", name, key), _mapping(connection).get(key))
        yield from channels.routes(("connections", name, "notify"), _mapping(connection).get("notify"))
        default = _mapping(connection).get("default_approval")
        yield from channels.alarms(("connections", name, "default_approval"), default)
    for key in ("fallback", "alerts"):
        yield from channels.routes(("channels", key), _mapping(config.get("channels")).get(key))
    for role, groups in _mapping(config.get("roles")).items():
        yield from deciding.groups(("roles", role), groups)
    for index, issuer in enumerate(_list(config.get("issuers"))):
        yield from deciding.owners(("issuers", index, "owned_by"), _mapping(issuer).get("owned_by"))
    own = {_mapping(one).get("name") for one in _list(config.get("detectors"))}
    yield from _unknown_detectors(config, detectors | {name for name in own if isinstance(name, str)})


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
        for index, step in enumerate(_list(_mapping(approval).get("escalate"))):
            yield from self.groups((*here, "escalate", index, "add_groups"), _mapping(step).get("add_groups"))
        alone = _mapping(_mapping(approval).get("break_glass"))
        yield from self.groups((*here, "break_glass", "groups"), alone.get("groups"))
        yield from self.groups((*here, "reveal_to"), _mapping(approval).get("reveal_to"))

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


class _Channels:
    """Which routes lead somewhere."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._channels = _mapping(config.get("channels"))

    def routes(self, here: Location, routes: Any) -> Iterator[Finding]:
        for index, route in enumerate(_list(routes)):
            for kind, target in _mapping(route).items():
                if reason := self._why_not(kind, target):
                    yield (*here, index, kind), reason

    def alarms(self, here: Location, approval: Any) -> Iterator[Finding]:
        alone = _mapping(_mapping(approval).get("break_glass"))
        yield from self.routes((*here, "break_glass", "notify"), alone.get("notify"))

    def ways(self, here: Location, approval: Any) -> Iterator[Finding]:
        if _list(_mapping(approval).get("decide_in")) == ["slack"] and "slack" not in self._channels:
            yield (*here, "decide_in"), "slack alone needs channels.slack, which is not configured"

    def _why_not(self, kind: Any, target: Any) -> str:
        if kind in ("slack", "email", "push") and kind not in self._channels:
            return f"channels.{kind} is not configured"
        if kind in ("webhook", "teams") and isinstance(target, str):
            block = "webhooks" if kind == "webhook" else "teams"
            if target not in _mapping(self._channels.get(block)):
                return f"channels.{block} has no {shown(target)}"
        return ""


def _unknown_detectors(config: dict[str, Any], detectors: frozenset[str]) -> Iterator[Finding]:
    for index, rule in enumerate(_list(config.get("masking"))):
        for position, detector in enumerate(_list(_mapping(rule).get("detectors"))):
            if isinstance(detector, str) and detector not in detectors:
                yield ("masking", index, "detectors", position), f"unknown detector {shown(detector)}"
    hidden = _mapping(_mapping(config.get("channels")).get("hide"))
    for position, detector in enumerate(_list(hidden.get("detectors"))):
        if isinstance(detector, str) and detector not in detectors:
            yield ("channels", "hide", "detectors", position), f"unknown detector {shown(detector)}"
    for index, rule in enumerate(_list(config.get("rules"))):
        clauses: list[tuple[Location, Any]] = [(("match",), _mapping(rule).get("match"))]
        clauses += [(("unless", place), one) for place, one in enumerate(_list(_mapping(rule).get("unless")))]
        for here, clause in clauses:
            for at, condition in enumerate(_list(_mapping(clause).get("arguments"))):
                yield from _unknown_in(("rules", index, *here, "arguments", at), _mapping(condition), detectors)


def _unknown_in(here: Location, condition: dict[str, Any], detectors: frozenset[str]) -> Iterator[Finding]:
    for key in ("contains", "contains_not"):
        said = condition.get(key)
        for position, detector in enumerate([said] if isinstance(said, str) else _list(said)):
            if isinstance(detector, str) and detector not in detectors:
                there = ", ".join(sorted(detectors))
                yield (*here, key, position), f"{shown(detector)} is no detector; there are {there}"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
