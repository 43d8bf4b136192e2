"""A table of a bundle beside the same table made from its entries: which rows differ, and how. Pure but for reading."""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MOST: Final = 20  # findings of one kind in one table; the rest is a number
_SHOWN: Final = 60


def differences(bundle: zipfile.ZipFile, folder: Path) -> Iterator[str]:
    """Yield a finding for each row of a table below `folder` that the bundle has otherwise."""
    names = set(bundle.namelist())
    for path in sorted(folder.rglob("*.csv")):
        name = path.relative_to(folder).as_posix()
        if name not in names:
            yield f"population: {name} is missing"
        elif not _same(bundle, name, path):
            yield from _rows(bundle, name, path)


def _same(bundle: zipfile.ZipFile, name: str, path: Path) -> bool:
    with bundle.open(name) as given, path.open("rb") as made:
        while block := made.read(1 << 20):
            if given.read(len(block)) != block:
                return False
        return not given.read(1)


def _rows(bundle: zipfile.ZipFile, name: str, path: Path) -> Iterator[str]:
    with bundle.open(name) as given, path.open("rb") as made:
        there, due = Counter(given), Counter(made)
    extra, missing = there - due, due - there
    yield from _named(name, extra, "is not what the log says")
    yield from _named(name, missing, "is missing")
    if not extra and not missing:
        yield f"population: {name}: its rows are not in the order of the log"


def _named(name: str, lines: Counter[bytes], what: str) -> Iterator[str]:
    for line in sorted(lines)[:_MOST]:
        yield f"population: {name}: the row {_begin(line)} {what}"
    if len(lines) > _MOST:
        yield f"population: {name}: {len(lines) - _MOST} more rows of which each {what}"


def _begin(line: bytes) -> str:
    text = line.decode("utf-8", "replace").strip()
    cells = next(csv.reader([text]), [])
    return ascii(", ".join(cells[:3])[:_SHOWN])
