"""Signed tree heads: C2SP tlog-checkpoint in a C2SP signed note with Ed25519. Pure.

Formats: https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_SIGNATURE_LINE: Final = "— "
# signed-note: a key name has no Unicode spaces and no plus; we keep to a readable subset.
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,255}")
Signatures = list[tuple[str, bytes, bytes]]
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class CheckpointInvalid(ValueError):
    """A note, key or signature that does not hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, the number of leaves, the root over them (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the signed text: origin, size and root, one line each."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """The public half: a name, which is also the log's origin, and 32 bytes of Ed25519."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that name this key in a note: the head of SHA-256(name, 0x0A, 0x01, key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """Return the vkey, `name+id+base64`, as other transparency-log tools read it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifyKey:
        """Return the key of a vkey line. Raises CheckpointInvalid when it is malformed."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
            msg = "not a verifier key of the form name+id+base64"
            raise CheckpointInvalid(msg)
        material = _decode(parts[2])
        if len(material) != 33 or material[:1] != _ED25519:
            msg = "not an Ed25519 verifier key"
            raise CheckpointInvalid(msg)
        key = cls(parts[0], material[1:])
        if key.key_id.hex() != parts[1]:
            msg = "the key's id does not fit its name and bytes"
            raise CheckpointInvalid(msg)
        return key

    def open(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that this key signed.

        Raises CheckpointInvalid when the note is malformed, of another origin, or lacks a valid signature of
        this key. Signatures of other keys (witnesses) are passed over.
        """
        checkpoint, signatures = parse(note)
        if checkpoint.origin != self.name:
            msg = f"a checkpoint of {checkpoint.origin}, not of {self.name}"
            raise CheckpointInvalid(msg)
        self._check(checkpoint.body(), signatures)
        return checkpoint

    def signs(self, note: str) -> bool:
        """Say whether this key signed a note, whatever its text is."""
        try:
            body, signatures = split(note)
            self._check(body, signatures)
        except CheckpointInvalid:
            return False
        return True

    def _check(self, body: str, signatures: Signatures) -> None:
        ours = [signature for name, key_id, signature in signatures if (name, key_id) == (self.name, self.key_id)]
        if not ours:
            msg = "no signature of this key"
            raise CheckpointInvalid(msg)
        try:
            for signature in ours:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, body.encode())
        except InvalidSignature as error:
            msg = "the signature does not fit"
            raise CheckpointInvalid(msg) from error


class Signer:
    """The private half. `name` is the log's origin; nothing of the key is ever shown.

    While a key is followed by another, `previous` signs as well: whoever knows only one of the two can still check.
    `earlier` are the public halves of those that retired: the newest checkpoint may be of one of them.
    """

    def __init__(self, name: str, private: Ed25519PrivateKey, previous: Signer | None = None) -> None:
        if not _NAME.fullmatch(name):
            msg = "the name of a log has letters, digits, dots, dashes, underscores and slashes only"
            raise CheckpointInvalid(msg)
        self.name = name
        self.previous = previous
        self.earlier: tuple[VerifyKey, ...] = ()
        self._private = private
        self.verify_key = VerifyKey(name, private.public_key().public_bytes_raw())

    def sign(self, size: int, root: bytes) -> str:
        """Return the note of a tree head. Ed25519 is deterministic: the same head gives the same note."""
        return self.note(Checkpoint(self.name, size, root).body())

    def note(self, body: str) -> str:
        """Return the signed note of a text that ends with a line end; only a checkpoint may read like one."""
        return f"{body}\n{''.join(signer._line(body) for signer in (self, self.previous) if signer is not None)}"

    def opens(self, note: str) -> Checkpoint:
        """Return the checkpoint of a note that this signer, or one of those before it, signed.

        Raises CheckpointInvalid.
        """
        before: tuple[VerifyKey, ...] = () if self.previous is None else (self.previous.verify_key,)
        for key in (*before, *self.earlier):
            if key.signs(note):
                return key.open(note)
        return self.verify_key.open(note)

    def _line(self, body: str) -> str:
        signature = self.verify_key.key_id + self._private.sign(body.encode())
        return f"{_SIGNATURE_LINE}{self.name} {base64.b64encode(signature).decode()}\n"


def split(note: str) -> tuple[str, Signatures]:
    """Return the text of a note, with the end of its last line, and its signatures, none of them checked.

    Raises CheckpointInvalid when it is no note: text, a blank line, signatures.
    """
    body, blank, tail = note.partition("\n\n")
    if not blank or not tail.endswith("\n"):
        msg = "not a note: a text, a blank line, and signatures that end with a line end"
        raise CheckpointInvalid(msg)
    return f"{body}\n", [_signature(line) for line in tail[:-1].split("\n")]


def parse(note: str) -> tuple[Checkpoint, Signatures]:
    """Return the checkpoint of a note and its signatures (key name, key id, signature), none of them checked.

    Raises CheckpointInvalid when the note is not exactly our form: three lines, a blank line, signatures.
    """
    body, signatures = split(note)
    lines = body[:-1].split("\n")
    if len(lines) != 3 or not _NAME.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]):
        msg = "not a checkpoint of origin, size and root"
        raise CheckpointInvalid(msg)
    root = _decode(lines[2])
    if len(root) != 32:
        msg = "a root has 32 bytes"
        raise CheckpointInvalid(msg)
    return Checkpoint(lines[0], int(lines[1]), root), signatures


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_SIGNATURE_LINE).partition(" ")
    material = _decode(encoded)
    if not line.startswith(_SIGNATURE_LINE) or not name or len(material) <= _KEY_ID_BYTES:
        msg = "not a signature line"
        raise CheckpointInvalid(msg)
    return name, material[:_KEY_ID_BYTES], material[_KEY_ID_BYTES:]


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "not base64"
        raise CheckpointInvalid(msg) from error
    if base64.b64encode(data).decode() != text:
        msg = "not canonical base64"
        raise CheckpointInvalid(msg)
    return data
