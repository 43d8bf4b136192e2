"""The log's Ed25519 key as files: `log.key` (PEM, owner only) and `log.pub` beside it (one vkey line)."""

from __future__ import annotations

import contextlib
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
            _create(key, _content(name or f"holdgate-{secrets.token_hex(4)}"), mode=0o600)
        signer = load(key)
    except OSError as error:
        msg = f"cannot keep the key {key.name} in {key.parent}: {error.strerror}"
        raise KeyUnusable(msg) from error
    keep_public(signer, public_path(key))
    return signer


def previous_path(key: Path) -> Path:
    """Return where the key before this one lies while both sign: `log.previous.key` beside `log.key`."""
    return key.with_name(f"{key.stem}.previous{key.suffix}")


def load(key: Path) -> Signer:
    """Return the signer of an existing key file, with the one before it while that is kept. Raises KeyUnusable."""
    previous, signer = previous_path(key), _load(key)
    if previous.exists():
        signer.previous = _load(previous)
    retired = _retired_path(key)
    if retired.exists():
        signer.earlier = tuple(_public(line, retired) for line in _text(retired).splitlines())
    return signer


def follow(key: Path) -> Signer:
    """Make a new key under the same name and keep the one so far beside it; both sign from now on.

    Raises KeyUnusable, also while an earlier rotation is not finished.
    """
    old = _load(key)
    try:
        draft = key.with_name(f"{key.name}.next")
        draft.unlink(missing_ok=True)
        _create(draft, _content(old.name), mode=0o600)
        os.link(key, previous_path(key))
        draft.replace(key)
    except FileExistsError as error:
        msg = f"{previous_path(key)} is there: finish the rotation that is under way first"
        raise KeyUnusable(msg) from error
    except OSError as error:
        msg = f"cannot put a new key beside {key}: {error.strerror}"
        raise KeyUnusable(msg) from error
    return load(key)


def retire(key: Path) -> VerifyKey:
    """Delete the key before this one, keep its public half beside, and return it. Raises KeyUnusable."""
    previous = previous_path(key)
    before = _load(previous).verify_key
    try:
        with _retired_path(key).open("a") as file:
            file.write(f"{before}\n")
            file.flush()
            os.fsync(file.fileno())
        previous.unlink()
    except OSError as error:
        msg = f"cannot retire {previous}: {error.strerror}"
        raise KeyUnusable(msg) from error
    return before


def _retired_path(key: Path) -> Path:
    return key.with_name(f"{key.stem}.retired.pub")


class Renewal:
    """Looks at the key file whether it was exchanged."""

    def __init__(self, key: Path) -> None:
        self._key = key
        self._seen = self._stamp()

    def __call__(self) -> Signer | None:
        """Return the signer when the files are others than at the last look. Raises KeyUnusable."""
        if (now := self._stamp()) == self._seen:
            return None
        signer, self._seen = load(self._key), now
        return signer

    def _stamp(self) -> tuple[int, ...]:
        found: list[int] = []
        for path in (self._key, previous_path(self._key)):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found += [status.st_ino, status.st_mtime_ns]
        return tuple(found)


def _load(key: Path) -> Signer:
    """Read one file: a line with the name, then PEM."""
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
    return _public(_text(path), path)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise KeyUnusable(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not text"
        raise KeyUnusable(msg) from error


def _public(line: str, path: Path) -> VerifyKey:
    try:
        return VerifyKey.parse(line)
    except CheckpointInvalid as error:
        msg = f"{path} is not a verifier key: {error}"
        raise KeyUnusable(msg) from error


def _content(name: str) -> bytes:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return name.encode() + b"\n" + pem


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
