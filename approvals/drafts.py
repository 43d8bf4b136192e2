"""Drafts of the configuration: what the file owns, what was made in the admin, and the whole they publish as.

A draft governs nothing. `publish` makes the enabled ones a policy revision.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from approvals.config.loader import load
from approvals.models import ConfigItem, PolicyRevision
from approvals.publication import publish
from approvals.stdio_commands import require_listed

if TYPE_CHECKING:
    from approvals.config.schema import Config
    from approvals.publication import Published
    from approvals.runtime import Runtime

_MAPPINGS = frozenset({"groups", "connections", "roles", "channels"})
_PACKS = "packs"  # names alone
_OWNER = ConfigItem.Owner

Key = tuple[str, str]


def apply_text(runtime: Runtime, text: str, *, author: str, prune: bool = False) -> Published:
    """Make true what a holdgate.yaml says, in one transaction and one revision.

    What the file owned before and no longer names is disabled; what was made in the admin stays, unless `prune`.
    Raises ConfigError, with every problem, when the text or the whole it becomes is not valid: nothing changes then.
    """
    items = items_of(load(text))
    require_listed(text)

    def prepare() -> Config:
        _own(items)
        if prune:
            _disable(ConfigItem.objects.filter(owner=_OWNER.ADMIN), items)
        return config_from_drafts()

    digest = hashlib.sha256(text.encode()).hexdigest()
    return publish(runtime.journal, runtime.policies, prepare, author=author, source_digest=digest)


def apply_if_new(runtime: Runtime, text: str, *, author: str) -> Published | None:
    """Apply a file unless it is the one that was applied last: what was changed since then stands."""
    last = PolicyRevision.objects.exclude(source_digest="").order_by("-number").first()
    if last is not None and last.source_digest == hashlib.sha256(text.encode()).hexdigest():
        return None
    return apply_text(runtime, text, author=author)


def preview(text: str, *, prune: bool = False) -> Config:
    """Return the configuration that applying the text would make, without changing anything. Raises ConfigError."""
    items = items_of(load(text))
    kept = {
        (item.kind, item.name): item.body
        for item in ConfigItem.objects.filter(enabled=True, owner=_OWNER.ADMIN)
        if not prune
    }
    return _assemble({**kept, **items})


def replace_drafts(config: Config) -> None:
    """Make the drafts equal to a whole configuration that came over the API. Part of its publication."""
    items = items_of(config)
    for position, (key, body) in enumerate(items.items()):
        draft = ConfigItem.objects.filter(kind=key[0], name=key[1]).first()
        if draft is not None and draft.body == body and draft.enabled:
            continue
        _store(key, body, position, draft.owner if draft else _OWNER.ADMIN)
    _disable(ConfigItem.objects.all(), items)


def config_from_drafts() -> Config:
    """Return the configuration that the enabled drafts make together. Raises ConfigError with all problems."""
    return _assemble({(item.kind, item.name): item.body for item in ConfigItem.objects.filter(enabled=True)})


def with_draft(kind: str, name: str, body: Any, *, enabled: bool = True) -> Config:
    """Return what the drafts would make if this one were as given. Raises ConfigError with all problems."""
    items = {(item.kind, item.name): item.body for item in ConfigItem.objects.filter(enabled=True)}
    items.pop((kind, name), None)
    return _assemble({**items, (kind, name): body} if enabled else items)


def items_of(config: Config) -> dict[Key, Any]:
    """Return the named parts of a configuration in the language of the file, by kind and name, in its order."""
    items: dict[Key, Any] = {}
    for kind, content in config.model_dump(mode="json", exclude_defaults=True).items():
        if kind in _MAPPINGS:
            items.update({(kind, name): body for name, body in content.items()})
        elif kind == _PACKS:
            items.update({(kind, name): {} for name in content})
        elif isinstance(content, list):
            items.update({(kind, body["name"]): body for body in content})
    return items


def _assemble(items: dict[Key, Any]) -> Config:
    whole: dict[str, Any] = {"version": "1"}
    for (kind, name), body in items.items():
        if kind in _MAPPINGS:
            whole.setdefault(kind, {})[name] = body
        elif kind == _PACKS:
            whole.setdefault(kind, []).append(name)
        else:
            whole.setdefault(kind, []).append(body)
    return load(json.dumps(whole, ensure_ascii=False))


def _own(items: dict[Key, Any]) -> None:
    for position, (key, body) in enumerate(items.items()):
        _store(key, body, position, _OWNER.FILE)
    _disable(ConfigItem.objects.filter(owner=_OWNER.FILE), items)


def _store(key: Key, body: Any, position: int, owner: str) -> None:
    fields = {"body": body, "owner": owner, "enabled": True, "position": position}
    ConfigItem.objects.update_or_create(kind=key[0], name=key[1], defaults=fields)


def _disable(drafts: Any, items: dict[Key, Any]) -> None:
    """Switch off the drafts that are not among the items; nothing is ever deleted."""
    for draft in drafts.filter(enabled=True):
        if (draft.kind, draft.name) not in items:
            ConfigItem.objects.filter(pk=draft.pk).update(enabled=False)
