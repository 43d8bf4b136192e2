"""An entry of the record as OCSF, as CEF, and as a syslog message. Pure.

OCSF is version 1.5.0: API Activity for calls and what people do with requests, Entity Management for what is changed,
Authentication for sign-ins, Application Lifecycle for processes. What has no attribute there stands in `unmapped`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from sessions.leaf import Leaf, moment

OCSF: Final = "1.5.0"
_PRODUCT: Final = "Holdgate"
# Registered for use in examples (RFC 5612): the gateway has no number of its own.
_ENTERPRISE: Final = "32473"
_AUDIT: Final = 13  # the facility "log audit"
_API, _ENTITY, _LIFECYCLE, _LOGIN = (6, 6003), (3, 3004), (6, 6002), (3, 3002)
_CHANGES: Final = ("policy.", "tool.", "grant.", "account.", "delegation.", "person.", "payload.", "credential.")
_CREATES: Final = frozenset({"grant.made", "delegation.made", "account.linked", "payload.held"})
_DELETES: Final = frozenset(
    {"grant.revoked", "grant.expired", "delegation.revoked", "account.unlinked", "payload.erased"}
)
_FAILED: Final = frozenset({"call.blocked", "call.refused", "call.failed", "approval.denied", "approval.vote_refused",
                            "approval.click_refused", "approval.expired", "approval.revoked",
                            "person.sign_in_failed"})  # fmt: skip
# 1 informational, 3 medium, 4 high.
_MEDIUM: Final = _FAILED | {"call.unknown", "call.late", "tool.changed", "payload.erased", "access.counted"}
_HIGH: Final = frozenset({"approval.break_glass", "log.restored", "record.restored"})
_ACTIVITIES: Final = {1: "Create", 2: "Read", 3: "Update", 4: "Delete"}


class Placed(NamedTuple):
    """An entry with its place in the log and its hash, hex."""

    place: int
    digest: str
    leaf: Leaf


def ocsf(entry: Placed) -> dict[str, Any]:
    """Return an entry as an OCSF event."""
    leaf = entry.leaf
    category, number = _class_of(leaf.kind)
    activity, name = _activity(leaf.kind, number)
    event: dict[str, Any] = {
        "metadata": {
            "version": OCSF,
            "product": {"name": _PRODUCT, "vendor_name": _PRODUCT, "version": leaf.build},
            "uid": entry.digest,
            "sequence": entry.place,
            "log_name": leaf.origin,
            "event_code": leaf.kind,
            "original_time": leaf.ts,
            **({"correlation_uid": leaf.call} if leaf.call else {}),
        },
        "time": int(moment(leaf.ts).timestamp() * 1000),
        "category_uid": category,
        "class_uid": number,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": number * 100 + activity,
        "severity_id": severity(leaf.kind),
        "status_id": 2 if leaf.kind in _FAILED else 1,
        "message": _said(leaf),
        "unmapped": _rest(entry),
    }
    if number != _LIFECYCLE[1]:  # where OCSF has no actor
        event["actor"] = {"user": {"uid": leaf.actor}} if leaf.actor else {"app_name": _PRODUCT}
    return event | _own(leaf, number)


def cef(entry: Placed) -> str:
    """Return an entry as one line of ArcSight's Common Event Format, version 0."""
    leaf = entry.leaf
    header = (
        "CEF:0",
        _PRODUCT,
        _PRODUCT,
        leaf.build,
        leaf.kind,
        _said(leaf),
        str({1: 3, 3: 6, 4: 9}[severity(leaf.kind)]),
    )
    told = {
        "rt": int(moment(leaf.ts).timestamp() * 1000),
        "externalId": entry.digest,
        "cn1Label": "logIndex",
        "cn1": entry.place,
        "suid": leaf.actor,
        "act": leaf.method,
        "outcome": "failure" if leaf.kind in _FAILED else "success",
        "reason": leaf.facts.get("reason"),
    }
    custom = (("connection", leaf.connection), ("tool", leaf.tool), ("session", leaf.session), ("call", leaf.call),
              ("approval", leaf.facts.get("approval")), ("facts", orjson.dumps(dict(leaf.facts)).decode()))  # fmt: skip
    for number, (label, value) in enumerate(custom, 1):
        if value:
            told |= {f"cs{number}Label": label, f"cs{number}": value}
    extension = " ".join(f"{key}={_extension(str(value))}" for key, value in told.items() if value not in (None, ""))
    return f"{'|'.join([header[0], *map(_header, header[1:])])}|{extension}"


def syslog(entry: Placed, message: str, host: str) -> bytes:
    """Return a message of RFC 5424 in a frame of RFC 5425: its length, a space, and the message."""
    leaf = entry.leaf
    level = {1: 6, 3: 4, 4: 2}[severity(leaf.kind)]
    data = {"origin": leaf.origin, "index": str(entry.place), "leaf": entry.digest}
    told = " ".join(f'{name}="{_parameter(value)}"' for name, value in data.items())
    named = f"{_field(host, 255)} holdgate {_field(leaf.writer, 128)} {_field(leaf.kind, 32)}"
    line = f"<{_AUDIT * 8 + level}>1 {leaf.ts} {named} [holdgate@{_ENTERPRISE} {told}] {message}".encode()
    return f"{len(line)} ".encode() + line


def severity(kind: str) -> int:
    """Return how grave an entry is, as OCSF counts."""
    return 4 if kind in _HIGH else 3 if kind in _MEDIUM else 1


def _class_of(kind: str) -> tuple[int, int]:
    if kind.startswith("process."):
        return _LIFECYCLE
    if kind.startswith(("person.signed_", "person.sign_in_")):
        return _LOGIN
    return _ENTITY if kind.startswith(_CHANGES) else _API


def _activity(kind: str, number: int) -> tuple[int, str]:
    if number == _LIFECYCLE[1]:
        return (4, "Stop") if kind == "process.stopped" else (3, "Start")
    if number == _LOGIN[1]:
        return (2, "Logoff") if kind == "person.signed_out" else (1, "Logon")
    if number == _ENTITY[1]:
        found = 1 if kind in _CREATES else 4 if kind in _DELETES else 3
        return found, _ACTIVITIES[found]
    return (2, "Read") if kind in {"record.read", "record.searched", "evidence.exported"} else (99, kind)


def _own(leaf: Leaf, number: int) -> dict[str, Any]:
    """Return what the class asks for beside the rest."""
    if number == _LIFECYCLE[1]:
        return {"app": {"name": _PRODUCT, "vendor_name": _PRODUCT, "version": leaf.build, "uid": leaf.writer}}
    if number == _LOGIN[1]:
        return {"user": {"uid": leaf.actor or "unknown"}, "service": {"name": _PRODUCT}}
    if number == _ENTITY[1]:
        return {"entity": {"type": leaf.kind.partition(".")[0], "name": leaf.tool or leaf.connection or leaf.kind}}
    api = {"operation": leaf.tool or leaf.method or leaf.kind, "service": {"name": leaf.connection or _PRODUCT}}
    if leaf.call:
        api["request"] = {"uid": leaf.call}
    return {"api": api, "src_endpoint": {"svc_name": _PRODUCT, "uid": leaf.session or leaf.writer}}


def _rest(entry: Placed) -> dict[str, Any]:
    leaf = entry.leaf
    told = {
        "connection": leaf.connection,
        "method": leaf.method,
        "tool": leaf.tool,
        "session": leaf.session,
        "call": leaf.call,
    }
    return {
        **{name: value for name, value in told.items() if value},
        "writer": leaf.writer,
        "n": leaf.n,
        "policy": {"revision": leaf.revision, "digest": leaf.digest},
        "facts": dict(leaf.facts),
        "commitments": {name: one.digest for name, one in leaf.payloads.items()},
    }


def _said(leaf: Leaf) -> str:
    where = " on ".join(part for part in (leaf.tool or leaf.method, leaf.connection) if part)
    return f"{leaf.kind}: {where}" if where else leaf.kind


def _header(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _extension(text: str) -> str:
    return (
        text.replace("\\", "\\\\").replace("=", "\\=").replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\r")
    )


def _parameter(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _field(text: str, most: int) -> str:
    """Return a header field: printable ASCII without spaces, or the sign for none."""
    return "".join(one for one in text if "!" <= one <= "~")[:most] or "-"


def _one_line(text: str) -> str:
    return " ".join(text.split())
