"""Small things that make needless differences: line ends, trailing spaces, last newline, merge marks, size.

`python -m tests.house.hygiene [FILE ...]` checks the files, by default all of the repository, and exits 1 on
a finding.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.house import sources

# Marks of an unfinished merge. Written so that this line is none itself.
CONFLICT = re.compile(rb"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)
LARGEST = 1_000_000
# Kept to the byte as their makers published them, or hostile on purpose.
AS_THEY_ARE = ("static/vendor/", "tests/corpora/")


def findings(name: str, content: bytes) -> Iterator[str]:
    """Yield one line for each untidiness of a file of the given repository path."""
    if len(content) > LARGEST:
        yield f"{name}: {len(content)} bytes, at most {LARGEST}"
    if b"\0" in content or name.startswith(AS_THEY_ARE):
        return
    if b"\r\n" in content:
        yield f"{name}: Windows line ends"
    if CONFLICT.search(content):
        yield f"{name}: marks of an unfinished merge"
    if content and not content.endswith(b"\n"):
        yield f"{name}: no newline at the end"
    if content.endswith(b"\n\n"):
        yield f"{name}: empty lines at the end"
    for number, line in enumerate(content.splitlines(), start=1):
        if line != line.rstrip():
            yield f"{name}:{number}: spaces at the end of the line"


def problems(paths: list[Path]) -> list[str]:
    """Return the findings of all the files."""
    return [found for path in paths for found in findings(sources.relative(path), path.read_bytes())]


def main(arguments: list[str]) -> int:
    """Print the findings and return the exit status."""
    found = problems([Path(name).resolve() for name in arguments] or sources.tracked())
    for line in found:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
