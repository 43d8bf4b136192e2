"""Signed notes and checkpoints as a verifier reads them: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

from sessions.evidence.gwverify.ed25519 import signature_holds


class CannotCheck(Exception):
    """Why nothing can be said about the bundle."""


class Key:
    """A verifier key, `name+id+base64`. Raises CannotCheck when it is none."""

    def __init__(self, text: str) -> None:
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
