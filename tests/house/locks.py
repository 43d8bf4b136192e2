"""What must stand in no file: addresses of package indexes in locks, paths of somebody's machine.

`python -m tests.house.locks` prints what it finds and exits 1, or exits 0.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.house import sources

ADDRESS = re.compile(r"\b(?:https?|git\+\w+|ssh|ftp)://", re.IGNORECASE)
INDEX_OPTION = re.compile(r"^\s*(?:--?(?:extra-)?index-url|-i|--find-links|-f|--trusted-host)\b|\bindex-url\s*=")
# Folders that exist on some developer's or build machine only. A leading word character, a dot or a variable
# makes it part of another path (`/usr/home`, `$HOME/work`).
MACHINE_PATH = re.compile(r"(?<![\w.$}/*-])/(?:home|Users|root|work)/[\w.]+")
LOCKED = ("requirements/", "pyproject.toml")
NODE_LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc")
UNHASHED = re.compile(r"^[A-Za-z0-9][\w.\-\[\]]*\s*==\S+\s*$")


def lock_problems(name: str, text: str) -> Iterator[str]:
    """Yield one line for each address, index option or unhashed pin in the lock file of that name."""
    for number, line in enumerate(text.splitlines(), start=1):
        if ADDRESS.search(line):
            yield f"{name}:{number}: an address in a lock; the registry is the installer's own choice"
        if INDEX_OPTION.search(line):
            yield f"{name}:{number}: an index option; the registry is the installer's own choice"
        if name.startswith("requirements/") and UNHASHED.match(line):
            yield f"{name}:{number}: a pin without a hash"


def path_problems(name: str, text: str) -> Iterator[str]:
    """Yield one line for each absolute path of a personal or build folder."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := MACHINE_PATH.search(line):
            yield f"{name}:{number}: a path of one machine: {found.group()}"


def problems(paths: Iterable[Path] | None = None) -> list[str]:
    """Return every breach in the given files, by default in all files of the repository."""
    found: list[str] = []
    for path in sources.tracked() if paths is None else paths:
        text = sources.text_of(path)
        if text is None:
            continue
        name = sources.relative(path)
        if name.startswith(LOCKED) or path.name in NODE_LOCKS:
            found += lock_problems(name, text)
        found += path_problems(name, text)
    return found


def main() -> int:
    """Print what was found and return the exit status."""
    found = problems()
    for line in found:
        sys.stdout.write(f"{line}\n")
    if not found:
        sys.stdout.write("locks: no addresses, every pin hashed, no machine paths\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
