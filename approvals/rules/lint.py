"""What is valid in a configuration and yet hardly meant: rules that never speak, holds that one or nobody can decide.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from approvals.rules.groups import quorum_gaps
from approvals.rules.matching import Globs, is_glob

if TYPE_CHECKING:
    from approvals.config.rules import Match, Rule
    from approvals.config.schema import Config


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to look at: where it stands, as `rules.NAME` or `connections.NAME`, and what is strange."""

    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says}"


def lint(config: Config) -> list[Finding]:
    """Return what is strange, in the order of the places."""
    whole = config.in_force
    found = [finding for rule in whole.rules for finding in _of_rule(rule, config)]
    found += _shadowed(whole)
    for gap in quorum_gaps(config):
        where = f"rules.{gap.rule}" if gap.rule else f"connections.{gap.connection}"
        found.append(Finding(where, f"nobody could decide: {gap}"))
    found += _of_connections(config)
    found += _single_approvers(config)
    return sorted(set(found))


def _of_rule(rule: Rule, config: Config) -> Iterator[Finding]:
    where = f"rules.{rule.name}"
    match = rule.match
    if match.connections is not None and not _some_connection(match, config):
        yield Finding(where, "never speaks: no connection has such a name")
    for label, values in (match.labels or {}).items():
        carried = {found.labels.get(label) for found in config.connections.values()} - {None}
        if not any(Globs(values).match(str(value).casefold()) for value in carried):
            yield Finding(where, f"never speaks: no connection has such a label {label}")
    for condition in match.arguments or ():
        if (condition.sql_kind or condition.sql_kind_not) and not _has_dialect(match, config):
            yield Finding(where, "asks for kinds of SQL where no connection says its sql_dialect: all is unparsable")
    for group in _unknown_groups(match, config):
        yield Finding(where, f"is about the group {group}, which is not there")
    if rule.mode == "observe":
        yield Finding(where, "only observes, and nothing ends that: arm it, or take it out")
    if rule.overrides is not None:
        yield Finding(where, f"stands for the rule of the pack {rule.overrides}")


def _unknown_groups(match: Match, config: Config) -> list[str]:
    named = (match.callers.groups or ()) if match.callers is not None else ()
    return [group for group in named if "/" not in group and not is_glob(group) and group not in config.groups]


def _some_connection(match: Match, config: Config) -> bool:
    names = Globs(match.connections or ("*",))
    return any(names.match(name) for name in config.connections)


def _has_dialect(match: Match, config: Config) -> bool:
    names = Globs(match.connections or ("*",))
    return any(found.sql_dialect for name, found in config.connections.items() if names.match(name))


def _shadowed(config: Config) -> Iterator[Finding]:
    """An allowance or a hold where a rule denies everything that it speaks of, whatever the arguments."""
    walls = [rule for rule in config.rules if rule.action == "deny" and rule.mode == "enforce" and _is_plain(rule)]
    for rule in config.rules:
        if rule.action == "deny":
            continue
        for wall in walls:
            if _covers(wall.match, rule.match):
                yield Finding(f"rules.{rule.name}", f"never decides: {wall.name} denies all that it speaks of")


def _is_plain(rule: Rule) -> bool:
    match = rule.match
    rest = (match.arguments, match.callers, match.labels, match.time, match.hints, match.resources, match.prompts)
    return rule.unless is None and all(one is None for one in rest)


def _covers(wall: Match, match: Match) -> bool:
    """Say whether every call of a rule is one of the wall's; in doubt not."""
    if match.resources is not None or match.prompts is not None:
        return False
    pairs = (
        (wall.connections, match.connections),
        (wall.tools, match.tools),
        (wall.methods or ("tools/call",), match.methods or ("tools/call",)),
    )
    return all(_includes(outer, inner) for outer, inner in pairs)


def _includes(outer: tuple[str, ...] | None, inner: tuple[str, ...] | None) -> bool:
    if outer is None or "*" in outer:
        return True
    return inner is not None and all(
        pattern in outer or (not is_glob(pattern) and Globs(outer).match(pattern.casefold())) for pattern in inner
    )


def _of_connections(config: Config) -> Iterator[Finding]:
    for name, found in config.connections.items():
        where = f"connections.{name}"
        if not found.access and found.access_requests is None:
            yield Finding(where, "nobody may use it: access is empty")
        if found.default == "allow" and not config.in_force.rules:
            yield Finding(where, "everything is allowed: there is no rule at all")


def _single_approvers(config: Config) -> Iterator[Finding]:
    for rule in config.rules:
        if rule.approval is None or rule.mode != "enforce":
            continue
        for group in {group for place in rule.approval.require.places for group in place.groups}:
            if group in config.groups and len(config.groups[group].members) == 1:
                yield Finding(f"rules.{rule.name}", f"the group {group} has one member: nobody decides when they ask")
