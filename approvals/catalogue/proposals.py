"""Rules that the catalogue proposes: what a server's tools say of themselves, and what their names say. Pure.

A proposal is a beginning for a person to read: it decides nothing, and it only ever makes things stricter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from approvals.config.hints import Hints, hints_of
from approvals.rules.folding import EvaluationError, fold
from approvals.rules.matching import Globs

if TYPE_CHECKING:
    from approvals.config.schema import Config, Connection

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_DESTROYS = frozenset({
    "delete", "remove", "drop", "truncate", "destroy", "purge", "erase", "wipe", "kill", "terminate", "revoke",
    "reset", "overwrite", "uninstall", "discard", "prune", "flush", "shred", "unlink", "rm", "rollback",
    "revert",
})  # fmt: skip
_WRITES = frozenset({
    "create", "update", "write", "insert", "put", "set", "send", "post", "push", "merge", "deploy", "publish",
    "execute", "exec", "run", "transfer", "pay", "refund", "upload", "move", "rename", "edit", "modify",
    "apply", "grant", "invite", "assign", "close", "cancel", "approve", "archive", "restart", "stop", "start",
    "enable", "disable", "add", "change", "replace", "import", "commit", "trigger",
})  # fmt: skip
# Matched literally in a glob only where a name has no character that a glob gives a meaning.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule that would hold these tools. `text` is the question, `rule` a body in the language of holdgate.yaml."""

    key: str
    text: str
    tools: tuple[str, ...]
    rule: Mapping[str, Any]


def known_hints(connection: Connection, name: str, definition: Any) -> Hints:
    """Return what is known of a tool: what it says of itself, and where an admin says else, that."""
    hints = hints_of(definition.get("annotations") if isinstance(definition, Mapping) else None)
    try:
        folded = fold(name)
    except EvaluationError:
        return hints
    for told in connection.tool_hints:
        if Globs(told.tools).match(folded):
            hints = told.applied(hints)
    return hints


def looks_destructive(name: str, hints: Hints) -> bool:
    """Tell whether a tool may destroy: it says so, or its name does and it does not say that it only reads."""
    if hints.get("read_only"):
        return False
    return hints.get("destructive", bool(_words(name) & _DESTROYS))


def looks_writing(name: str, hints: Hints) -> bool:
    """Tell whether a tool changes something without destroying it."""
    if "read_only" in hints:
        return not hints["read_only"]
    return bool(_words(name) & (_WRITES | _DESTROYS))


def proposals(config: Config, connection: str, tools: Sequence[tuple[str, Hints]]) -> list[Proposal]:
    """Return the rules that are worth a thought for a connection's tools (name, hints), the gravest first.

    None where the connection's default holds or denies anyway; nothing about tools that a rule stops already.
    """
    found = config.connections.get(connection)
    groups = _deciding(config)
    if found is None or found.default != "allow" or not groups:
        return []
    open_ones = [(name, hints) for name, hints in tools if not _is_stopped(config, connection, name)]
    destructive = [name for name, hints in open_ones if looks_destructive(name, hints)]
    writing = [name for name, hints in open_ones if name not in destructive and looks_writing(name, hints)]
    of = len(tools)
    made = [
        _proposal("destructive", f"{len(destructive)} of {of} look destructive: hold them?", destructive),
        _proposal("writing", f"{len(writing)} of {of} look as if they write: hold them?", writing),
    ]
    return [_with_rule(one, connection, groups) for one in made if one.tools]


def _proposal(key: str, text: str, tools: Iterable[str]) -> Proposal:
    return Proposal(key, text, tuple(sorted(name for name in tools if _PLAIN_NAME.match(name))), {})


def _with_rule(one: Proposal, connection: str, groups: Sequence[str]) -> Proposal:
    rule = {
        "name": f"{connection[:40]}-{one.key}",
        "action": "hold",
        "mode": "observe",
        "match": {"connections": [connection], "tools": list(one.tools)},
        "approval": {"require": {"any_of": [{"groups": list(groups)}]}},
    }
    return Proposal(one.key, one.text, one.tools, rule)


def _deciding(config: Config) -> list[str]:
    """Return the groups that decide something already; without any, the groups that are written here."""
    rules = [rule.approval for rule in config.rules]
    decide = {group for one in rules if one is not None for place in one.require.places for group in place.groups}
    return sorted(decide) or sorted(config.groups)


def _is_stopped(config: Config, connection: str, name: str) -> bool:
    """Tell whether a rule without further conditions holds or denies the tool already, in whatever mode."""
    try:
        folded = fold(name)
    except EvaluationError:
        return True
    for rule in config.rules:
        match = rule.match
        if rule.action == "allow" or rule.unless or match.tools is None:
            continue
        if match.arguments or match.callers or match.time or match.hints or match.labels:
            continue
        if Globs(match.tools).match(folded) and Globs(match.connections or ("*",)).match(fold(connection)):
            return True
    return False


def _words(name: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(name)}
