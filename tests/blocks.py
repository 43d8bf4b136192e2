"""Blocks of holdgate.yaml from which the end-to-end tests build their configurations."""

from __future__ import annotations

import json
from typing import Any


def one_dba(**changes: Any) -> dict[str, Any]:
    """Return terms under which one member of dba decides."""
    return {"require": {"any_of": [{"groups": ["dba"], "count": 1}]}, "expires_after": "30m", **changes}


def word_rule(name: str, action: str, word: str, **more: Any) -> dict[str, Any]:
    """Return a rule about calls in whose arguments a word stands, at any depth."""
    match = {"arguments": [{"path": "**", "matches": word}]}
    return {"name": name, "action": action, "match": match, **more}


def connection(url: str, **changes: Any) -> dict[str, Any]:
    """Return a connection of engineers and jobs that allows what no rule speaks of."""
    usual = {
        "url": url,
        "labels": {"env": "prod"},
        "access": [{"groups": ["corp/engineering", "github/deployers"], "tools": ["*"]}],
        "default": "allow",
    }
    return {**usual, **changes}


def spelled_out(**blocks: Any) -> dict[str, Any]:
    """Return the blocks without shared parts, which YAML would write as anchors: holdgate.yaml knows none."""
    copied: dict[str, Any] = json.loads(json.dumps(blocks))
    return copied
