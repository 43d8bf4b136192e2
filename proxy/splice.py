"""Adding to a JSON message without re-writing the rest of it, byte for byte. Pure.

The parts that must be found are located by walking the outer members with the scanner of the standard
library; the text between them is copied. Only a message in which two readers could find different members (a
name twice, or twice but for case) is written anew, the last one winning, so that nothing can hide behind the
first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from proxy import strictjson

OURS = "holdgate/"

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_SKIP = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=strictjson.refuse_constant)
_KEEP = json.JSONDecoder(parse_float=strictjson.Number, parse_constant=strictjson.refuse_constant)
# Other ways to write a letter of `result` or `_meta`: an escape, or the long s, which folds to an ASCII s.
_ESCAPED_LETTER = re.compile(rb"\\u0(?:0[4-7]|17f)")
_LONG_S = b"\xc5\xbf"
_ENVELOPE = ("jsonrpc", "id", "method", "params", "result", "error")


class NotAMessage(ValueError):
    """The bytes are not one JSON object, or nest too deep to be walked."""


class _Ambiguous(Exception):
    """Two members of one object would be the same to some reader."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    start: int
    value: int
    end: int
    inner: _Object | None


@dataclass(frozen=True, slots=True)
class _Object:
    start: int
    end: int
    members: Mapping[str, _Member]

    def object(self, name: str) -> _Object | None:
        member = self.members.get(name)
        return member.inner if member else None


def with_meta(message: bytes, meta: Mapping[str, Any]) -> bytes:
    """Return the message with our `_meta` members in its `result`, or in `error.data` of an error.

    Everything else stays byte-identical; other members of an existing `_meta` are kept, members whose name
    begins with `holdgate/` that the upstream put there are replaced or removed. `error.data` that is not an
    object stays as it is. Of a notification or request the upstream's `holdgate/` members of `params._meta`
    are removed and nothing is added. Raises NotAMessage.
    """
    if meta and (at := _end_of_plain_result(message)):
        return message[:at] + b',"_meta":' + _dump(meta).encode() + message[at:]
    text, root = _read(message)
    if root is None:
        return _rewritten(text, meta)
    if result := root.object("result"):
        return _set(text, result, "_meta", meta)
    if error := root.object("error"):
        return _set(text, error, "data", meta)
    if (params := root.object("params")) and "_meta" in params.members:
        return _set(text, params, "_meta", {})
    return message


def _end_of_plain_result(message: bytes) -> int:
    """Return where a plain answer's `result` ends, or 0 when the message must be walked.

    Plain is what nearly every server sends: `result` comes last and has members but no `_meta`, and nothing
    in the message could be read as a second `result` or a `_meta`. Far cheaper than the walk, and as exact.
    """
    lower = message.lower()
    if lower.count(b'"result"') != 1 or b'"_meta' in lower or _LONG_S in lower:
        return 0
    if b"\\u0" in lower and _ESCAPED_LETTER.search(lower):
        return 0
    try:
        # Up to its only `"result` the message must be the beginning of one object with distinct names.
        strictjson.parse(message[: message.index(b'"result"')] + b'"result":0}', max_depth=2)
        root = orjson.loads(message)
    except ValueError:
        return 0
    result = root.get("result")
    if not isinstance(result, dict) or not result or next(reversed(root)) != "result":
        return 0
    return message.rindex(b"}", 0, message.rindex(b"}"))


def without_ours(message: bytes) -> bytes:
    """Return a message of an upstream without `holdgate/` members, which only the gateway may write. Cheap
    when none.

    Raises NotAMessage.
    """
    if b"oldgate" not in message.lower() and b"\\u00" not in message:
        return message
    return with_meta(message, {})


def offset_progress(message: bytes, by: float) -> bytes:
    """Return a progress notification with `progress` and `total` raised by `by`, any other message as it is.

    The gateway reports progress of its own while it holds a call; what the upstream reports afterwards must
    still rise (MCP, utilities/progress). Raises NotAMessage.
    """
    if not by or b"rogress" not in message:
        return message
    text, root = _read(message)
    params = root.object("params") if root else None
    if root is None or params is None or _method(text, root) != "notifications/progress":
        return message
    parts, at = [], 0
    for member in sorted(params.members.values(), key=lambda member: member.start):
        written = text[member.value : member.end]
        if member.name in {"progress", "total"} and _NUMBER.fullmatch(written):
            parts += [text[at : member.value], _sum(written, by)]
            at = member.end
    return ("".join(parts) + text[at:]).encode()


def with_values(message: bytes, values: Mapping[tuple[str, ...], Any]) -> bytes:
    """Return the message with other values at these paths, such as `("params", "requestId")`; the rest is kept.

    A path that the message does not have is left out. Only `params` and `_meta` are walked. Raises NotAMessage.
    """
    text, root = _read(message)
    if root is None:
        return _with_values_anew(text, values)
    found: list[tuple[_Member, Any]] = []
    for path, value in values.items():
        holder: _Object | None = root
        for name in path[:-1]:
            holder = holder.object(name) if holder else None
        if holder and (member := holder.members.get(path[-1])):
            found.append((member, value))
    for member, value in sorted(found, key=lambda one: -one[0].value):
        text = text[: member.value] + _dump(value) + text[member.end :]
    return text.encode()


def _with_values_anew(text: str, values: Mapping[tuple[str, ...], Any]) -> bytes:
    """Write an ambiguous message anew, the last of several members winning."""
    try:
        message = _without_look_alikes(_KEEP.decode(text), _ENVELOPE)
        for path, value in values.items():
            holder: Any = message
            for name in path[:-1]:
                holder = holder.get(name) if isinstance(holder, dict) else None
            if isinstance(holder, dict) and path[-1] in holder:
                holder[path[-1]] = value
        return strictjson.canonical(message)
    except (ValueError, RecursionError) as error:
        msg = "not one JSON object"
        raise NotAMessage(msg) from error


def _sum(written: str, by: float) -> str:
    total = Decimal(written) + Decimal(repr(by))
    return str(int(total)) if total == total.to_integral_value() and "." not in written else str(total)


def _method(text: str, root: _Object) -> str | None:
    method = root.members.get("method")
    return json.loads(text[method.value : method.end]) if method else None


def _read(message: bytes) -> tuple[str, _Object | None]:
    """Return the text and its outer members; None for these when a reader could find different ones."""
    try:
        text = message.decode()
        start = _skip_space(text, 0)
        root = _object(text, start, 2)
        if _skip_space(text, root.end) != len(text):
            raise json.JSONDecodeError("something follows the message", text, root.end)
    except _Ambiguous:
        return message.decode(), None
    except (ValueError, IndexError, RecursionError) as error:
        msg = "not one JSON object"
        raise NotAMessage(msg) from error
    return text, root


def _object(text: str, start: int, levels: int) -> _Object:
    """Walk an object; the members `result`, `error`, `data`, `params` and `_meta` are walked too, the rest is
    skipped.
    """
    if text[start] != "{":
        raise json.JSONDecodeError("not an object", text, start)
    members: dict[str, _Member] = {}
    folded: set[str] = set()
    count = 0
    at = _skip_space(text, start + 1)
    while text[at] != "}":
        member = _member(text, at, levels)
        members[member.name] = member
        folded.add(strictjson.fold(member.name))
        count += 1
        if len(folded) != count:
            raise _Ambiguous
        at = _after_member(text, member.end)
    return _Object(start, at + 1, members)


def _member(text: str, start: int, levels: int) -> _Member:
    if text[start] != '"':
        raise json.JSONDecodeError("not a name", text, start)
    name, at = _SKIP.raw_decode(text, start)
    at = _skip_space(text, at)
    if text[at] != ":":
        raise json.JSONDecodeError("no colon", text, at)
    value = _skip_space(text, at + 1)
    if text[value] == "{" and levels and name in {"result", "error", "data", "params", "_meta"}:
        inner = _object(text, value, levels - 1)
        return _Member(name, start, value, inner.end, inner)
    return _Member(name, start, value, _SKIP.raw_decode(text, value)[1], None)


def _after_member(text: str, at: int) -> int:
    at = _skip_space(text, at)
    if text[at] == "}":
        return at
    following = _skip_space(text, at + 1)
    if text[at] != "," or text[following] == "}":
        raise json.JSONDecodeError("no comma", text, at)
    return following


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _set(text: str, parent: _Object, name: str, meta: Mapping[str, Any]) -> bytes:
    """Write our members into the object `parent[name]`, which is made when it is missing or null."""
    existing = parent.members.get(name)
    if existing is None:
        if not meta:
            return text.encode()
        before = "," if parent.members else ""
        at = parent.end - 1
        return (text[:at] + f'{before}"{name}":{_dump(meta)}' + text[at:]).encode()
    if existing.inner is None:
        return _set_scalar(text, existing, meta)
    foreign = [member for member in existing.inner.members.values() if not _is_ours(member.name)]
    if not meta and len(foreign) == len(existing.inner.members):
        return text.encode()
    kept = [text[member.start : member.end] for member in foreign]
    ours = [f"{json.dumps(key)}:{_dump(value)}" for key, value in meta.items()]
    return (text[: existing.value] + "{" + ",".join(kept + ours) + "}" + text[existing.end :]).encode()


def _set_scalar(text: str, existing: _Member, meta: Mapping[str, Any]) -> bytes:
    is_null = text[existing.value : existing.end] == "null"
    if meta and (is_null or existing.name == "_meta"):
        return (text[: existing.value] + _dump(meta) + text[existing.end :]).encode()
    return text.encode()


def _is_ours(name: str) -> bool:
    return strictjson.fold(name).startswith(OURS)


def _rewritten(text: str, meta: Mapping[str, Any]) -> bytes:
    """Write an ambiguous message anew: the last of several members wins, and look-alikes of known ones are
    dropped.
    """
    try:
        message = _without_look_alikes(_KEEP.decode(text), _ENVELOPE)
        _set_members(message, meta)
        return strictjson.canonical(message)
    except (ValueError, RecursionError) as error:
        msg = "not one JSON object"
        raise NotAMessage(msg) from error


def _set_members(message: dict[str, Any], meta: Mapping[str, Any]) -> None:
    for parent, name in (("result", "_meta"), ("error", "data"), ("params", "_meta")):
        if not isinstance(message.get(parent), dict):
            continue
        message[parent] = outer = _without_look_alikes(message[parent], (name,))
        ours = {} if parent == "params" else dict(meta)
        inner = outer.get(name)
        if isinstance(inner, dict):
            outer[name] = {key: value for key, value in inner.items() if not _is_ours(key)} | ours
        elif ours and (inner is None or name == "_meta"):
            outer[name] = ours


def _without_look_alikes(members: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name in known or strictjson.fold(name) not in known}


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()
