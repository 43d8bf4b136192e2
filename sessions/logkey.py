"""The log's Ed25519 key as files: `log.key` (PEM, owner only) and `log.pub` beside it (one vkey line)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sessions.checkpoint import CheckpointInvalid, Signer, VerifyKey


class KeyUnusable(Exception):
    """A key file that is missing, unreadable or no key of ours. The message never shows the content."""


def public_path(key: Path) -> Path:
    """Return where the public half of a private key file lies: `log.pub` beside `log.key`."""
    return key.with_suffix(".pub")


def ensure(key: Path, name: str = "") -> Signer:
    """Return the signer of a key file, making both files first when they are missing.

    `name` is the log's name and origin for a new key; by default one is made up that is unique to the
    installation. An existing key keeps its name. Raises KeyUnusable.
    """
    try:
        if not key.exists():
            key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            private = Ed25519PrivateKey.generate()
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            made = name or f"holdgate-{secrets.token_hex(4)}"
            _create(key, made.encode() + b"\n" + pem, mode=0o600)
        signer = load(key)
    except OSError as error:
        msg = f"cannot keep the key {key.name} in {key.parent}: {error.strerror}"
        raise KeyUnusable(msg) from error
    keep_public(signer, public_path(key))
    return signer


def load(key: Path) -> Signer:
    """Return the signer of an existing key file: a line with its name, then PEM. Raises KeyUnusable."""
    try:
        name, _, pem = key.read_bytes().partition(b"\n")
        private = load_pem_private_key(pem, password=None)
        if not isinstance(private, Ed25519PrivateKey):
            msg = f"{key.name} is not an Ed25519 key"
            raise KeyUnusable(msg)
        return Signer(name.decode(), private)
    except OSError as error:
        msg = f"cannot read {key}: {error.strerror}"
        raise KeyUnusable(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"{key.name} is not a key of the log"
        raise KeyUnusable(msg) from error


def keep_public(signer: Signer, path: Path) -> None:
    """Write the public half for processes that do not sign; a file that is there stays. Raises KeyUnusable."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, f"{signer.verify_key}\n".encode(), mode=0o644)
    except OSError as error:
        msg = f"cannot keep {path}: {error.strerror}"
        raise KeyUnusable(msg) from error


def read_public(path: Path) -> VerifyKey:
    """Return the verifier key in a file of one vkey line. Raises KeyUnusable."""
    try:
        return VerifyKey.parse(path.read_text())
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise KeyUnusable(msg) from error
    except (CheckpointInvalid, UnicodeDecodeError) as error:
        msg = f"{path} is not a verifier key: {error}"
        raise KeyUnusable(msg) from error


def _create(path: Path, content: bytes, *, mode: int) -> None:
    """Write a whole new file; when another process was first, its file stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
