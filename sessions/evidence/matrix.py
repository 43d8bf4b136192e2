"""What published policies say of a period: when each was in force, who could use what at both ends.

Pure but for the files it writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from sessions.evidence.tables import Table

_TIMELINE: Final = (
    "revision", "digest", "log_index", "effective_from", "effective_to", "author", "proposal", "confirmed_by",
    "changed", "loosens", "reverts",
)  # fmt: skip
_MATRIX: Final = (
    "policy_revision", "as_of", "group", "connection", "role", "kinds", "tools", "mode", "default", "members",
)  # fmt: skip
_ROLES: Final = ("admin", "auditor", "operator")


class Published(NamedTuple):
    """One publication of a policy: its place in the log, its leaf as parsed JSON, the document that it brought."""

    place: int
    leaf: Mapping[str, Any]
    document: bytes


def write_policies(folder: Path, published: Iterable[Published], since: str, until: str) -> None:
    """Write `policy/timeline.csv` and the two tables of access. `since` and `until` are spelled as leaves do."""
    found = sorted(published, key=lambda one: one.place)
    _timeline(folder, found)
    for name, moment in (("from", since), ("to", until)):
        table = Table(folder / "access" / f"matrix_{name}.csv", _MATRIX)
        in_force = [one for one in found if one.leaf["ts"] < moment]
        for row in _access(in_force[-1]) if in_force else ():
            table.add({**row, "as_of": moment})
        table.close()


def _timeline(folder: Path, found: list[Published]) -> None:
    table = Table(folder / "policy" / "timeline.csv", _TIMELINE)
    ends = [one.leaf["ts"] for one in found[1:]] + [""]
    for one, end in zip(found, ends, strict=True) if found else ():
        policy, facts = one.leaf["policy"], one.leaf["facts"]
        row = {
            "log_index": one.place,
            "effective_from": one.leaf["ts"],
            "effective_to": end,
            "author": one.leaf["actor"],
        }
        table.add({**{name: facts.get(name) for name in _TIMELINE if name in facts}, **policy, **row})
    table.close()


def _access(one: Published) -> Iterator[dict[str, Any]]:
    document = json.loads(one.document)
    revision = {"policy_revision": one.leaf["policy"]["revision"]}
    members = {name: group.get("members", []) for name, group in (document.get("groups") or {}).items()}
    for name, connection in sorted((document.get("connections") or {}).items()):
        about = {"connection": name, "mode": connection.get("mode"), "default": connection.get("default"), **revision}
        for entry in connection.get("access") or ():
            told = {"kinds": list(entry.get("kinds") or ()), "tools": list(entry.get("tools") or ()), **about}
            for group in entry["groups"]:
                yield {**told, "group": group, "members": members.get(group)}
    roles = document.get("roles") or {}
    for role in _ROLES:
        for group in roles.get(role) or ():
            yield {**revision, "role": role, "group": group, "members": members.get(group)}
