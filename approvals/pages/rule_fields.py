"""The common parts of a rule as fields of a form, and the rest of it as it stands. Pure.

Nothing is lost on the way: a part that a field cannot hold as it is written stays in the rest.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

LINES = {
    "connections": ("match", "connections"),
    "tools": ("match", "tools"),
    "groups": ("match", "callers", "groups"),
    "kinds": ("match", "callers", "kinds"),
}
"""Lists, one entry a line."""
WORDS = {
    "action": ("action",),
    "mode": ("mode",),
    "message": ("message",),
    "expires_after": ("approval", "expires_after"),
    "comment": ("approval", "comment"),
    "reason": ("approval", "reason"),
}
"""Single texts."""
ROUTES = ("notify",)
"""Routes, one a line, as `slack: #approvals`."""
QUORUM = ("approval", "require")
"""One group of alternatives, that of `approvers` and `count`: a form of its own, for a list stands in between."""
_ORDER = ("name", "action", "mode", "match", "unless", "message", "approval", "notify")


def split(body: Any) -> tuple[dict[str, str], Any]:
    """Return what the fields hold of a rule, and the rest."""
    if not isinstance(body, dict):
        return {}, body
    rest, found = deepcopy(body), {}
    for field, path in (*WORDS.items(), *LINES.items()):
        text = _as_lines(_at(rest, path)) if field in LINES else _as_text(_at(rest, path))
        if text is not None:
            found[field] = text
            _take(rest, path)
    routes = _as_routes(_at(rest, ROUTES))
    if routes is not None:
        found["notify"] = routes
        _take(rest, ROUTES)
    place = _only_place(_at(rest, QUORUM))
    if place is not None:
        found["approvers"] = place[0]
        if place[1]:
            found["count"] = place[1]
        _take(rest, QUORUM)
    return found, rest


def joined(fields: dict[str, str], rest: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Return the rule that fields and rest make together, and what stands in both as field and reason."""
    if not isinstance(rest, dict):
        return rest, []
    body, problems = deepcopy(rest), []
    filled = {field: text for field, text in fields.items() if text.strip()}
    for field, path in (*WORDS.items(), *LINES.items()):
        if field in filled:
            value: Any = _lines(filled[field]) if field in LINES else filled[field]
            if not _put(body, path, value):
                problems.append((field, f"{'.'.join(path)} stands in the text below as well; keep one of them."))
    if "approvers" in filled or "count" in filled:
        place: dict[str, Any] = {"groups": _lines(filled.get("approvers", ""))}
        if "count" in filled:
            place["count"] = filled["count"].strip()
        if not _put(body, QUORUM, {"any_of": [place]}):
            problems.append(("approvers", "approval.require stands in the text below as well; keep one of them."))
    if "notify" in filled and not _put(body, ROUTES, [_route(line) for line in _lines(filled["notify"])]):
        problems.append(("notify", "notify stands in the text below as well; keep one of them."))
    order = [key for key in _ORDER if key in body] + [key for key in body if key not in _ORDER]
    return {key: body[key] for key in order}, problems


def field_of(key: str) -> str:
    """Return the field that a problem is about, by its key below the rule's name; `text` for all others."""
    if key.startswith("approval.require.any_of[0].count"):
        return "count"
    if key.startswith("approval.require"):
        return "approvers"
    paths = {".".join(path): field for field, path in (*WORDS.items(), *LINES.items(), ("notify", ROUTES))}
    return next((field for path, field in paths.items() if key == path or key.startswith(f"{path}[")), "text")


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(body, dict):
            return None
        body = body.get(key)
    return body


def _take(body: dict[str, Any], path: tuple[str, ...]) -> None:
    """Take a part out, and the blocks that hold nothing else."""
    key, *below = path
    if below:
        _take(body[key], tuple(below))
        if body[key]:
            return
    del body[key]


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    """Put a part in; False where something stands there already."""
    for key in path[:-1]:
        found = body.setdefault(key, {})
        if not isinstance(found, dict):
            return False
        body = found
    if path[-1] in body:
        return False
    body[path[-1]] = value
    return True


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _as_lines(value: Any) -> str | None:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        return None
    text = "\n".join(value)
    return text if _lines(text) == value else None


def _route(line: str) -> Any:
    channel, colon, target = line.partition(":")
    return {channel.strip(): target.strip()} if colon else line


def _as_routes(value: Any) -> str | None:
    """Return routes as lines; None where a line would not say the same."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(one, dict) and len(one) == 1 for one in value):
        return None
    lines = [f"{channel}: {target}" for one in value for channel, target in one.items()]
    text = "\n".join(lines)
    return text if [_route(line) for line in _lines(text)] == value else None


def _as_text(value: Any) -> str | None:
    # A browser sends \r\n for every line, and a form strips.
    plain = isinstance(value, str) and value == value.strip() and bool(value) and "\r" not in value
    return value if plain else None


def _only_place(require: Any) -> tuple[str, str] | None:
    """Return groups and count of a quorum that is one place; None for every other."""
    places = require.get("any_of") if isinstance(require, dict) and len(require) == 1 else None
    if not isinstance(places, list) or len(places) != 1 or not isinstance(places[0], dict):
        return None
    groups, count = _as_lines(places[0].get("groups")), places[0].get("count", "")
    if groups is None or not places[0].keys() <= {"groups", "count"} or type(count) not in (str, int):
        return None
    return groups, str(count)
