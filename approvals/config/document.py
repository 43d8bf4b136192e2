"""A Config as text again: YAML for people, canonical JSON for revisions, and what differs between two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml

from approvals.config.loader import load
from approvals.config.schema import Config

# Lists whose order means nothing: in the canonical document they stand by name.
_BY_NAME: Final = ("issuers", "people", "rules", "detectors", "masking")
_KINDS: Final = {
    "issuers": "issuer",
    "groups": "group",
    "people": "person",
    "roles": "role",
    "connections": "connection",
    "rules": "rule",
    "detectors": "detector",
    "masking": "masking",
    "channels": "channel",
    "packs": "pack",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One named part that differs. `before` and `after` are canonical JSON, None where it is not there."""

    kind: str
    name: str
    action: Literal["added", "removed", "changed"]
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.action}"


def dump(config: Config) -> str:
    """Return YAML in a stable order, without what is left to its default; `load` gives an equal Config."""
    plain = config.model_dump(mode="json", exclude_defaults=True)
    for key in ("groups", "connections"):
        if key in plain:
            plain[key] = dict(sorted(plain[key].items()))
    plain = {"version": int(config.version)} | {key: value for key, value in plain.items() if key != "version"}
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def document(config: Config) -> str:
    """Return canonical JSON with every default spelled out: equal policies have equal documents."""
    return json.dumps(_canonical(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_digest(config: Config) -> str:
    """Return the hex SHA-256 of the canonical document."""
    return hashlib.sha256(document(config).encode()).hexdigest()


def parse_document(text: str | None) -> Config:
    """Return the Config of a canonical document; an empty one for None. Raises ConfigError."""
    return load(text) if text else Config()


def diff(old: Config, new: Config) -> list[Change]:
    """Return what a change from old to new adds, removes and changes, by kind and name."""
    before, after = dict(_parts(old)), dict(_parts(new))
    changes = []
    for kind, name in sorted(before.keys() | after.keys()):
        was, now = before.get((kind, name)), after.get((kind, name))
        if was != now:
            action: Literal["added", "removed", "changed"] = "changed"
            if was is None or now is None:
                action = "added" if was is None else "removed"
            changes.append(Change(kind=kind, name=name, action=action, before=was, after=now))
    return changes


def _canonical(config: Config) -> dict[str, Any]:
    plain = config.model_dump(mode="json", exclude_none=True)
    for key in _BY_NAME:
        plain[key] = sorted(plain[key], key=lambda item: str(item["name"]))
    return plain


def _parts(config: Config) -> Iterator[tuple[tuple[str, str], Any]]:
    for key, content in _canonical(config).items():
        if key not in _KINDS:
            continue
        named = content.items() if isinstance(content, dict) else (_named(item) for item in content)
        for name, part in named:
            yield (_KINDS[key], name), part


def _named(item: Any) -> tuple[str, Any]:
    """Return an entry of a list with its name; a pack is its name alone."""
    return (item, {}) if isinstance(item, str) else (item["name"], item)


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and writes no anchors: the loader takes none."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True
