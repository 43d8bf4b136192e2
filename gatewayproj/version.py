"""Which Holdgate this is: the version from CHANGELOG.md, and the build that entries of the record name."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

from gatewayproj import env

ROOT = Path(__file__).resolve().parent.parent
GIT_SECONDS = 5
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+(?:[-+.\w]*)?)\]", re.MULTILINE)

_BUILD = env.text("HOLDGATE_BUILD", "", "Name of this build in the record; default: version and git commit.")


class VersionUnknown(Exception):
    """CHANGELOG.md is missing or has no version heading."""


@functools.cache
def version() -> str:
    """Return the newest version that CHANGELOG.md has a heading for, so that the two can never differ.

    Raises VersionUnknown when there is no such heading.
    """
    try:
        found = HEADING.search((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    except OSError as error:
        raise VersionUnknown("CHANGELOG.md cannot be read") from error
    if found is None:
        raise VersionUnknown("CHANGELOG.md has no heading like `## [1.2.3]`")
    return found[1]


@functools.cache
def build() -> str:
    """Return HOLDGATE_BUILD; without it `<version>+<commit>`, or the version alone outside a repository.

    `-dirty` at the end says that files differ from the commit.
    """
    commit = _commit()
    return _BUILD or (f"{version()}+{commit}" if commit else version())


def _commit() -> str:
    """Return the short commit of the work tree around this file; empty without git or repository."""
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(  # noqa: S603 - a fixed command line, nothing of it from outside
            command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
