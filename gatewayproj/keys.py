"""Keys that live as files in the state folder: made when missing, readable by the owner alone."""

from __future__ import annotations

import os
import secrets
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
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
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


def text_secret(state_dir: Path, name: str) -> str:
    """Return a random URL-safe secret that stays the same between starts."""
    return key_file(state_dir, name, secrets.token_urlsafe(48).encode()).decode()


def key_bytes(state_dir: Path, name: str) -> bytes:
    """Return 32 random bytes that stay the same between starts."""
    return key_file(state_dir, name, secrets.token_bytes(32))
