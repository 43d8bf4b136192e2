"""Keys that live as files in the state folder: made when missing, readable by the owner alone.

The installation's secret key has three parts (`SecretKeys`): what signs and seals now, what is still accepted while it
is exchanged, and what names are made with, which outlives every exchange: pseudonyms in the record and digests by which
calls are recognised must stay the same.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def key_file(state_dir: Path, name: str, make: bytes) -> bytes:
    """Return the bytes of `keys/<name>` in the state folder; write `make` there first when the file is missing.

    Of several processes that start at once exactly one creates the file: it is linked into place whole.
    Raises ImproperlyConfigured when the folder cannot be written or the file not read.
    """
    path = state_dir / "keys" / name
    try:
        if not path.exists():
            state_dir.parent.mkdir(parents=True, exist_ok=True)
            for folder in (state_dir, path.parent):  # the database lies in the state folder, too
                folder.mkdir(mode=0o700, exist_ok=True)
            _create(path, make)
        return path.read_bytes()
    except OSError as error:
        msg = f"HOLDGATE_STATE_DIR: cannot keep the key {name} in {path.parent}: {error.strerror}"
        raise ImproperlyConfigured(msg) from error


def _create(path: Path, content: bytes) -> None:
    draft = _draft(path, content)
    try:
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _draft(path: Path, content: bytes) -> Path:
    """Write a file of another name beside this one, whole and on the disk, and return it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def text_secret(state_dir: Path, name: str) -> str:
    """Return a random URL-safe secret that stays the same between starts."""
    return key_file(state_dir, name, secrets.token_urlsafe(48).encode()).decode()


def key_bytes(state_dir: Path, name: str) -> bytes:
    """Return 32 random bytes that stay the same between starts."""
    return key_file(state_dir, name, secrets.token_bytes(32))


CURRENT, NEXT, PREVIOUS, NAMES = "django.key", "django.next.key", "django.previous.key", "names.key"


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The secret key of an installation: the one in use, those accepted beside it, and the one that makes names."""

    current: str = field(repr=False)
    fallbacks: tuple[str, ...] = field(default=(), repr=False)
    names: str = field(default="", repr=False)


def secret_keys(state_dir: Path, current: str, fallbacks: str, names: str) -> SecretKeys:
    """Return the secret key by the settings (fallbacks are words), or by the state folder where `current` is empty.

    Raises ImproperlyConfigured where settings would silently change the names, and where the folder is of no use.
    """
    if current:
        if fallbacks and not names:
            msg = (
                "HOLDGATE_SECRET_KEY_FALLBACKS is set, and HOLDGATE_NAMES_KEY is not: set it to the first secret key"
                " of this installation, or callers get new pseudonyms and held calls are not recognised any more."
            )
            raise ImproperlyConfigured(msg)
        return SecretKeys(current, tuple(fallbacks.split()), names or current)
    if fallbacks or names:
        msg = "HOLDGATE_SECRET_KEY_FALLBACKS and HOLDGATE_NAMES_KEY belong to HOLDGATE_SECRET_KEY, which is not set."
        raise ImproperlyConfigured(msg)
    made = text_secret(state_dir, CURRENT)
    beside = tuple(found for name in (NEXT, PREVIOUS) if (found := _kept(state_dir, name)))
    return SecretKeys(made, beside, _kept(state_dir, NAMES) or made)


def _kept(state_dir: Path, name: str) -> str:
    path = state_dir / "keys" / name
    try:
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""
    except OSError as error:
        msg = f"HOLDGATE_STATE_DIR: cannot read the key {name} in {path.parent}: {error.strerror}"
        raise ImproperlyConfigured(msg) from error


def prepare(state_dir: Path) -> None:
    """Make the next secret key, which every process accepts that is started from now on; once for each exchange.

    The first exchange keeps the key so far as the one that makes names. Raises OSError.
    """
    folder = state_dir / "keys"
    key_file(state_dir, NAMES, (folder / CURRENT).read_bytes())
    text_secret(state_dir, NEXT)


def switch(state_dir: Path) -> None:
    """Put the next key in force and keep the one so far for what it signed and sealed. Raises OSError.

    Interrupted anywhere it can be run again: the key in force is exchanged last, in one step.
    """
    folder = state_dir / "keys"
    os.replace(_draft(folder / PREVIOUS, (folder / CURRENT).read_bytes()), folder / PREVIOUS)
    os.replace(folder / NEXT, folder / CURRENT)


def forget(state_dir: Path) -> None:
    """Delete the key before. Raises OSError."""
    (state_dir / "keys" / PREVIOUS).unlink()


def step(state_dir: Path) -> str:
    """Return how far an exchange is: `` (none), `prepared` or `switched`."""
    folder = state_dir / "keys"
    return "prepared" if (folder / NEXT).exists() else "switched" if (folder / PREVIOUS).exists() else ""
