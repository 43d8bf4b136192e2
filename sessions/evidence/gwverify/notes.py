"""Signed notes and checkpoints as a verifier reads them: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any, Final

from sessions.evidence.gwverify.ed25519 import signature_holds

ROTATED: Final = "log.key_rotated"
RETIRED: Final = "log.key_retired"


class CannotCheck(Exception):
    """Why nothing can be said about the bundle."""


class Key:
    """A verifier key, `name+id+base64`. Raises CannotCheck when it is none."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        try:
            self.name, number, encoded = text.strip().split("+", 2)
            material = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise CannotCheck("the key is no line of the form name+id+base64") from error
        self.id = hashlib.sha256(self.name.encode() + b"\n" + material).digest()[:4]
        self.public = material[1:]
        if self.id.hex() != number or material[:1] != b"\x01" or len(self.public) != 32:
            raise CannotCheck("the key's id does not fit, or it is no Ed25519 key")

    def signed(self, note: str, *, trust: bool = False) -> list[str] | None:
        """Return the lines of a note's text if this key signed it (`trust`: if it says so); None otherwise."""
        text, found, signatures = note.partition("\n\n")
        lines = signatures.split("\n")
        if not found or lines.pop() or not all(line.startswith("— ") for line in lines):
            return None
        prefix = f"— {self.name} "
        for line in lines:
            material = _decoded(line[len(prefix) :]) if line.startswith(prefix) else b""
            if material[:4] == self.id:
                holds = trust or signature_holds(self.public, (text + "\n").encode(), material[4:])
                return text.split("\n") if holds else None
        return None


class Keys:
    """The keys that sign a log: the one that the auditor trusts, and those that its entries signed in after it."""

    def __init__(self, first: Key) -> None:
        self.name = first.name
        self._keys = [first]
        self._retired: dict[bytes, int] = {}

    def __str__(self) -> str:
        return self._keys[0].text

    def learn(self, index: int, kind: str, facts: dict[str, Any]) -> bool:
        """Take an entry that signs a key in or retires one; say whether a key in force signed what it says."""
        key = Key(facts["key"])
        lines = [f"{self.name}/{kind}", facts["key"]]
        signers = [one for one in self._keys if one.id not in self._retired and (kind == ROTATED or one.id != key.id)]
        if key.name != self.name or not any(one.signed(facts["note"]) == lines for one in signers):
            return False
        if kind == ROTATED and key.id not in {one.id for one in self._keys}:
            self._keys.append(key)
        elif kind == RETIRED:
            self._retired.setdefault(key.id, index)
        return True

    def signed(self, note: str, *, trust: bool = False) -> list[str] | None:
        """Return the lines of a note that a key signed which was in force; see `Key.signed`.

        A checkpoint is of its size; anything else wants a key that has not retired.
        """
        size = _size(note)
        for key in self._keys:
            retired = self._retired.get(key.id)
            in_force = retired is None or (size is not None and size <= retired)
            if in_force and (lines := key.signed(note, trust=trust)) is not None:
                return lines
        return None


def _size(note: str) -> int | None:
    lines = note.partition("\n\n")[0].split("\n")
    return int(lines[1]) if len(lines) == 3 and lines[1].isascii() and lines[1].isdigit() else None


def head_of(lines: list[str] | None, name: str) -> tuple[int, bytes] | None:
    """Return size and root of a checkpoint's lines; None when they are no checkpoint of this log."""
    if lines is None or len(lines) != 3 or lines[0] != name or not lines[1].isascii() or not lines[1].isdigit():
        return None
    root = _decoded(lines[2])
    return (int(lines[1]), root) if len(root) == 32 else None


def notes_in(text: str) -> Iterator[str]:
    """Yield the notes of a file: each is a text, an empty line and signature lines; the next begins after them."""
    lines: list[str] = []
    signed = False
    for line in text.splitlines():
        if signed and line and not line.startswith("— "):
            yield "\n".join(lines).strip("\n") + "\n"
            lines, signed = [], False
        lines.append(line)
        signed = signed or line.startswith("— ")
    if any(lines):
        yield "\n".join(lines).strip("\n") + "\n"


def _decoded(text: str) -> bytes:
    """Return the bytes of canonical base64; none for anything else, so that nothing can be spelled in two ways."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data).decode() == text else b""
