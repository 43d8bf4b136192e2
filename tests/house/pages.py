"""The pages of documentation: README.md and all below docs/ but the decisions; their blocks and their tables.

A fence may say more than its language, such as ```` ```sh elsewhere ````; `words` of a block are what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.house import sources

README = sources.ROOT / "README.md"
DOCS = sources.ROOT / "docs"
PAGES = [README, *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "decisions")]
_FENCE = re.compile(r"^( *)```(\w*)((?: [^\s`]+)*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    """Return the path of a page from docs/, such as `operate/keys.md`; `README.md` is that of the repository."""
    return page.name if page == README else str(page.relative_to(DOCS)).replace("README", "index")


def text_of(name: str) -> str:
    """Return the text of a page under docs/."""
    return (sources.ROOT / "docs" / name).read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the fenced blocks of these languages, without the indentation that they have in a list."""
    yield from blocks_of(page.read_text(encoding="utf-8"), *languages)


def blocks_of(text: str, *languages: str) -> Iterator[str]:
    """Yield the blocks of a part of a page; see `blocks`."""
    for language, _, content in fenced(text):
        if language in languages:
            yield content


def fenced(text: str) -> Iterator[tuple[str, list[str], str]]:
    """Yield language, further words and content of each block."""
    for indent, language, words, content in _FENCE.findall(text):
        yield language, words.split(), "".join(line.removeprefix(indent) for line in content.splitlines(keepends=True))


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
