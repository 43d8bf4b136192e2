"""What a caller may ask of the gateway beside the call itself: header fields and their `_meta` counterparts.
Pure.

| header field | in `_meta` | meaning |
|---|---|---|
| `Prefer: wait=30` | `holdgate/wait` | seconds to keep the caller on the line (RFC 7240) |
| `Idempotency-Key` | `holdgate/idempotency-key` | the same key and call are run once within 24 h |
| `Holdgate-Approval` | `holdgate/approval` (`{"id": …}`) | the approval that this call continues |
| `Holdgate-Reason` | `holdgate/reason` | the justification that approvers read |
| `Holdgate-Run` | `holdgate/run` | groups the calls of one run |

`_meta` speaks for one message and therefore wins over the header fields, which speak for the whole POST.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.envelope import Rejection, invalid
from proxy.headers import Headers, RawHeaders

LONGEST_REASON = 2000
LONGEST_KEY = 255
LONGEST_RUN = 200

_PREFERENCE = re.compile(
    r"""[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"""
    r"""(?:[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[!#$%&'*+.^_`|~0-9A-Za-z-]*)))?"""
    r"""(?:[ \t]*;(?:[^",]|"(?:[^"\\]|\\.)*+")*+)?[ \t]*(?:,|\Z)"""
)
_FIELDS = frozenset({"prefer", "idempotency-key", "holdgate-approval", "holdgate-reason", "holdgate-run"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The caller's wishes: `wait` in seconds, None when nothing valid was said; texts are without control
    characters.
    """

    wait: float | None = None
    idempotency_key: str | None = None
    approval: str | None = None
    reason: str | None = None
    run: str | None = None


NO_WISHES = Knobs()


def read(headers: RawHeaders | Headers, meta: Mapping[str, Any]) -> Knobs | Rejection:
    """Read the knobs of one message.

    A wait that is malformed or repeated is ignored. The other knobs are refused when they are malformed: a
    key that is silently dropped would run a call twice.
    """
    fields = Headers.of(headers)
    if _FIELDS.isdisjoint(fields.names()) and not any(name.startswith("holdgate/") for name in meta):
        return NO_WISHES
    key = _text(fields, "idempotency-key", meta.get("holdgate/idempotency-key"), LONGEST_KEY)
    approval = _text(fields, "holdgate-approval", _approval_id(meta), LONGEST_KEY)
    reason = _text(fields, "holdgate-reason", meta.get("holdgate/reason"), LONGEST_REASON)
    run = _text(fields, "holdgate-run", meta.get("holdgate/run"), LONGEST_RUN)
    for value in (key, approval, reason, run):
        if isinstance(value, Rejection):
            return value
    return Knobs(
        wait=_wait(fields, meta),
        idempotency_key=key if isinstance(key, str) else None,
        approval=approval if isinstance(approval, str) else None,
        reason=reason if isinstance(reason, str) else None,
        run=run if isinstance(run, str) else None,
    )


def _approval_id(meta: Mapping[str, Any]) -> Any:
    approval = meta.get("holdgate/approval")
    return approval.get("id") if isinstance(approval, Mapping) else approval


def _text(fields: Headers, name: str, in_meta: Any, longest: int) -> str | Rejection | None:
    if fields.is_repeated(name):
        return invalid(f"The header field {name} came more than once.")
    value = in_meta if in_meta is not None else _header_text(fields.first(name))
    if value is None:
        return None
    if not isinstance(value, str):
        return invalid(f"The counterpart of {name} in _meta must be a string.")
    value = _CONTROL.sub(" ", value).strip()
    if len(value) > longest:
        return invalid(f"{name} is longer than {longest} characters.")
    return value or None


def _header_text(value: str | None) -> str | None:
    """Read a field as UTF-8, which is what shells send, and as Latin-1 only where it is not that."""
    if value is None:
        return None
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _wait(fields: Headers, meta: Mapping[str, Any]) -> float | None:
    in_meta = meta.get("holdgate/wait")
    if isinstance(in_meta, int | float) and not isinstance(in_meta, bool) and in_meta >= 0:
        return float(in_meta) if in_meta < 1e9 else 1e9
    asked = [value for line in fields.every("prefer") for name, value in _preferences(line) if name == "wait"]
    if len(asked) != 1 or not re.fullmatch(r"[0-9]{1,9}", asked[0]):
        return None
    return float(asked[0])


def _preferences(line: str) -> Iterator[tuple[str, str]]:
    """Yield the preferences of one line (RFC 7240 §2) up to the first that cannot be read."""
    at = 0
    while at < len(line):
        match = _PREFERENCE.match(line, at)
        if match is None:
            return
        quoted = match["quoted"]
        value = match["token"] or "" if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        yield match["name"].lower(), value
        at = match.end()
