"""The pages of documentation: README.md and docs/*.md, their blocks and their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house import sources

README = sources.ROOT / "README.md"
PAGES = [README, *sorted((sources.ROOT / "docs").glob("*.md"))]


def text_of(name: str) -> str:
    """Return the text of a page under docs/."""
    return (sources.ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the fenced blocks of these languages, without the indentation that they have in a list."""
    yield from blocks_of(page.read_text(encoding="utf-8"), *languages)


def blocks_of(text: str, *languages: str) -> Iterator[str]:
    """Yield the blocks of a part of a page; see `blocks`."""
    fences = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
    for indent, language, content in fences.findall(text):
        if language in languages:
            yield "".join(line.removeprefix(indent) for line in content.splitlines(keepends=True))


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, given with its marks, up to the next one of any level."""
    rest = text.split(f"\n{heading}\n", 1)[1]
    # A comment of a program is no heading.
    return re.split(r"\n#{2,} ", rest, maxsplit=1)[0]


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is this, without heading and rule."""
    lines = text.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(f"| {first} |")) + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
    return found
