"""Tables in text: Markdown and database boxes with `|`, and CSV with comma, semicolon or tab. Pure.

A line is a header when one of its cells is exactly the name of a masked column; the rows below it, up to the
first line that is no row, are hidden in that column whatever they hold.
"""

import csv
import io
import re
from collections.abc import Callable
from typing import Final

from masking.fields import Hidden

ColumnRule = Callable[[str], Hidden | None]
Hide = Callable[[str, Hidden], str]

_RULE_LINE: Final = re.compile(r"^[\s|:+=\-]*$")
_DELIMITERS: Final = (",", "\t", ";")
_LONGEST_HEADER: Final = 20_000


def mask_columns(text: str, column: ColumnRule, hide: Hide) -> str:
    """Return the text with the cells of masked columns hidden; the same text where there is no such table."""
    lines = text.split("\n")
    index, changed = 0, False
    dropped: set[int] = set()
    while index < len(lines) - 1:
        header = lines[index]
        delimiter, hidden = _header(header, column)
        index += 1
        if not hidden:
            continue
        changed = True
        while index < len(lines) and lines[index].strip():
            if delimiter == "|":
                if "|" not in lines[index] and not _RULE_LINE.match(lines[index]):
                    break
                lines[index] = _piped(lines[index], hidden, hide)
                index += 1
            else:
                index = _separated(lines, index, delimiter, hidden, hide, dropped)
    if not changed:
        return text
    return "\n".join(line for index, line in enumerate(lines) if index not in dropped)


def _header(line: str, column: ColumnRule) -> tuple[str, dict[int, Hidden]]:
    if len(line) > _LONGEST_HEADER:
        return "", {}
    if "|" in line:
        return "|", _named(line.split("|"), column)
    for delimiter in _DELIMITERS:
        if delimiter in line:
            hidden = _named(_cells(line, delimiter) or [], column)
            if hidden:
                return delimiter, hidden
    return "", {}


def _named(cells: list[str], column: ColumnRule) -> dict[int, Hidden]:
    named = ((index, column(cell.strip().strip("`*\"'"))) for index, cell in enumerate(cells))
    return {index: hidden for index, hidden in named if hidden}


def _piped(line: str, hidden: dict[int, Hidden], hide: Hide) -> str:
    if _RULE_LINE.match(line):
        return line
    cells = re.split(r"(?<!\\)\|", line)
    for index, how in hidden.items():
        if index < len(cells) and cells[index].strip():
            cell = cells[index]
            shown = hide(cell.strip(), how)
            left = cell[: len(cell) - len(cell.lstrip())]
            right = cell[len(cell.rstrip()) :]
            cells[index] = left + shown.ljust(len(cell.strip())) + right
    return "|".join(cells)


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter))
    except csv.Error:
        return None
    return rows[0] if rows else None


def _separated(
    lines: list[str], index: int, delimiter: str, hidden: dict[int, Hidden], hide: Hide, dropped: set[int]
) -> int:
    """Hide the cells of the CSV record that begins at this line; return the line after it.

    A record goes on over line ends inside quotes; its further lines then count as dropped, since its first
    holds them all.
    """
    record, last = lines[index], index + 1
    quotes = record.count('"')
    while quotes % 2 and last < len(lines):
        record += "\n" + lines[last]
        quotes += lines[last].count('"')
        last += 1
    ending = "\r" if record.endswith("\r") else ""
    cells = _cells(record, delimiter)
    if cells is None:
        cells = record.removesuffix("\r").split(delimiter)
    for place, how in hidden.items():
        if place < len(cells) and cells[place]:
            cells[place] = hide(cells[place], how)
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator="").writerow(cells)
    lines[index] = written.getvalue() + ending
    dropped.update(range(index + 1, last))
    return last
