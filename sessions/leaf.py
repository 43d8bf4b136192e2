"""Leaf format v1: the exact bytes of one entry of the record, and the hashes over them. Pure.

A leaf is canonical JSON (RFC 8785 for the values it may hold): ASCII keys, sorted; strings, booleans, null,
small integers, lists of strings; no spaces; UTF-8. The stored bytes are the truth, never re-serialised.
Changing anything here changes a published format: tests/sessions/test_leaf.py pins it.
"""

from __future__ import annotations

import functools
import hashlib
import re
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from sessions.content import Commitment, Leaf

__all__ = [
    "Commitment", "Leaf", "LeafInvalid", "commit", "decode", "encode", "leaf_hash", "moment", "timestamp",
]  # fmt: skip

VERSION: Final = 1
SALT_BYTES: Final = 32
MAX_LEAF_BYTES: Final = 65_536
MAX_INTEGER: Final = 2**53 - 1
_COMMITMENT_TAG: Final = b"holdgate-payload-v1\x00"
_TEXT_FIELDS: Final = (
    "origin", "kind", "ts", "writer", "build", "call", "session", "connection", "method", "tool", "actor",
)  # fmt: skip
_KEYS: Final = frozenset((*_TEXT_FIELDS, "v", "n", "policy", "facts", "payloads"))
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class LeafInvalid(ValueError):
    """A value that leaf format v1 cannot hold, or stored bytes that are no leaf of it."""


def timestamp(moment: datetime) -> str:
    """Return an aware datetime in the leaf's spelling, `2026-11-20T12:00:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def moment(ts: str) -> datetime:
    """Return the datetime of a leaf's timestamp. Raises LeafInvalid for any other spelling."""
    if not _TIME.fullmatch(ts):
        msg = f"not a leaf timestamp: {ts!r}"
        raise LeafInvalid(msg)
    try:
        return datetime.fromisoformat(ts)
    except ValueError as error:
        msg = f"no such moment: {ts!r}"
        raise LeafInvalid(msg) from error


def commit(salt: bytes, body: bytes) -> str:
    """Return the commitment to `body` under a secret salt of 32 bytes, as hex.

    The tag separates it from every other hash of ours; without the salt a short body cannot be guessed,
    so that erasing payload and salt erases the value.
    """
    if len(salt) != SALT_BYTES:
        msg = f"a salt has {SALT_BYTES} bytes, not {len(salt)}"
        raise LeafInvalid(msg)
    return hashlib.sha256(b"".join((_COMMITMENT_TAG, salt, body))).hexdigest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the RFC 6962 §2.1 hash of a leaf: SHA-256 over a zero byte and the leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def encode(leaf: Leaf) -> bytes:
    """Return the canonical bytes of a leaf. Raises LeafInvalid for everything the format cannot hold."""
    document = {
        "v": VERSION,
        "origin": leaf.origin,
        "kind": leaf.kind,
        "ts": leaf.ts,
        "writer": leaf.writer,
        "n": leaf.n,
        "build": leaf.build,
        "policy": {"digest": leaf.digest, "revision": leaf.revision},
        "call": leaf.call,
        "session": leaf.session,
        "connection": leaf.connection,
        "method": leaf.method,
        "tool": leaf.tool,
        "actor": leaf.actor,
        "facts": dict(leaf.facts),
        "payloads": {name: {"c": c.digest, "len": c.length} for name, c in leaf.payloads.items()},
    }
    _check(document)
    return _dump(document)


def decode(data: bytes) -> Leaf:
    """Return the leaf of stored bytes. Raises LeafInvalid unless `encode` would write exactly them."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        msg = "not JSON"
        raise LeafInvalid(msg) from error
    if not isinstance(document, dict) or document.keys() != _KEYS:
        msg = "not the fields of a leaf"
        raise LeafInvalid(msg)
    if type(document["v"]) is not int or document["v"] != VERSION:
        msg = f"unknown leaf version {document['v']!r}"
        raise LeafInvalid(msg)
    _check(document)
    if _dump(document) != data:
        msg = "not in canonical form"
        raise LeafInvalid(msg)
    moment(document["ts"])
    policy, payloads = document["policy"], document["payloads"]
    return Leaf(
        **{name: document[name] for name in _TEXT_FIELDS},
        n=document["n"],
        revision=policy["revision"],
        digest=policy["digest"],
        facts=document["facts"],
        payloads={name: Commitment(digest=c["c"], length=c["len"]) for name, c in payloads.items()},
    )


def _dump(document: dict[str, Any]) -> bytes:
    try:
        data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        msg = f"not representable in a leaf: {error}"
        raise LeafInvalid(msg) from error
    if len(data) > MAX_LEAF_BYTES:
        msg = f"a leaf has at most {MAX_LEAF_BYTES} bytes, not {len(data)}"
        raise LeafInvalid(msg)
    return data


def _check(document: dict[str, Any]) -> None:
    texts = [document[name] for name in _TEXT_FIELDS]
    texts += _texts_of_policy(document["policy"])
    texts += _texts_of_facts(document["facts"])
    _check_texts(texts)
    if not _TIME.fullmatch(document["ts"]):
        msg = f"ts: not RFC 3339 in UTC with microseconds: {document['ts']!r}"
        raise LeafInvalid(msg)
    _check_count("n", document["n"])
    _check_payloads(document["payloads"])


def _texts_of_policy(policy: Any) -> list[Any]:
    """Return what must be text in the policy, after its form and revision were checked."""
    if not isinstance(policy, dict) or policy.keys() != {"digest", "revision"}:
        msg = "policy: not a digest and a revision"
        raise LeafInvalid(msg)
    _check_count("policy revision", policy["revision"])
    return [policy["digest"]]


def _texts_of_facts(facts: Any) -> list[Any]:
    """Return what must be text in the facts, after all else in them was checked."""
    if not isinstance(facts, dict):
        msg = "facts: not an object"
        raise LeafInvalid(msg)
    texts: list[Any] = []
    for name, value in facts.items():
        _check_name(name)
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            texts += value
        elif isinstance(value, int):
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                msg = f"{name}: beyond 2^53 - 1"
                raise LeafInvalid(msg)
        elif value is not None:
            msg = f"{name}: a fact is a string, a small integer, a boolean, null or a list of strings"
            raise LeafInvalid(msg)
    return texts


def _check_payloads(payloads: Any) -> None:
    if not isinstance(payloads, dict):
        msg = "payloads: not an object"
        raise LeafInvalid(msg)
    for name, commitment in payloads.items():
        _check_name(name)
        if not isinstance(commitment, dict) or commitment.keys() != {"c", "len"}:
            msg = f"{name}: not a commitment"
            raise LeafInvalid(msg)
        if not isinstance(commitment["c"], str) or not _DIGEST.fullmatch(commitment["c"]):
            msg = f"{name}: a commitment is 64 hex digits"
            raise LeafInvalid(msg)
        _check_count(name, commitment["len"])


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _is_name(name):
        msg = f"not a name of a fact or payload: {name!r}"
        raise LeafInvalid(msg)


@functools.lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _check_texts(values: list[Any]) -> None:
    try:
        together = "".join(values)
    except TypeError as error:
        msg = f"not a string: {error}"
        raise LeafInvalid(msg) from error
    # PostgreSQL's text cannot hold U+0000, and a projection must equal the leaf.
    if "\x00" in together:
        msg = "a string holds U+0000"
        raise LeafInvalid(msg)


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        msg = f"{name}: not a count"
        raise LeafInvalid(msg)
