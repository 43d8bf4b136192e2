"""Releases of before: the program as it was at a commit of the history, in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.gateway import ROOT

GUARD = 60.0
PACKAGES = (
    "CHANGELOG.md",
    "manage.py",
    "approvals",
    "gatewayproj",
    "masking",
    "proxy",
    "sessions",
    "static",
    "templates",
)


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, timeout=GUARD, check=False)


def release(commit: str, folder: Path) -> Path:
    """Put the program of a commit into a folder and return it; skip the test where its history is not at hand."""
    if shutil.which("git") is None or _git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        pytest.skip(f"the history is not here, or does not reach back to {commit} (a shallow clone, an archive)")
    archive = _git("archive", "--format=tar", commit, *PACKAGES)
    assert archive.returncode == 0, archive.stderr
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as content:
        content.extractall(folder, filter="data")
    return folder
