"""Which files the house rules look at: what git tracks or would track, or every file when there is no git."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("gatewayproj", "proxy", "approvals", "sessions", "masking")
NOT_OURS = {".git", ".venv", ".holdgate", "node_modules", "__pycache__", "staticfiles"}


def tracked() -> list[Path]:
    """Return the project's files, absolute and sorted.

    Without git (a source archive) that is every file but the known litter.
    """
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return sorted(path for path in ROOT.rglob("*") if path.is_file() and not NOT_OURS & set(path.parts))
    paths = {ROOT / name for name in listing.split("\0") if name}
    return sorted(path for path in paths if path.is_file())


def relative(path: Path) -> str:
    """Return the path as it is written in the repository."""
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str | None:
    """Return the file's text, or None for pictures and other bytes."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
