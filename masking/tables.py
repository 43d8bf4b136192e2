"""Tables in text: Markdown and database boxes with `|`, and CSV with comma, semicolon or tab. Pure.

A line is a header when one of its cells is exactly the name of a masked column; the rows below it, up to the
first line that is no row, are hidden in that column whatever they hold. A row of another length than its header is
hidden wherever the column may have moved to. In a table on its side (`ssn | 12-34`, as of psql's expanded display) the
name stands before its value, and in XML around it.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from masking.fields import Hidden

ColumnRule = Callable[[str], Hidden | None]
# Hides cells of one column.
Hide = Callable[[list[str], Hidden], list[str]]

# Names that head the columns of rows beside them.
COLUMN_NAMES: Final = ("columns", "fields", "headers", "header")
_ROW_NAMES: Final = ("rows", "data", "values", "records")
_PIPES: Final = "|│┃║"
_PIPE: Final = re.compile(rf"(?<!\\)[{_PIPES}]")
_RULE_LINE: Final = re.compile(r"^[\s>|:+=\-\u2500-\u257f]*$")
_RECORD_LINE: Final = re.compile(r"^\s*[-*]+\[? ?\**\s*(?:RECORD )?\d+")
_DELIMITERS: Final = (",", "\t", ";")
_ELEMENT: Final = re.compile(r"<([\w.:\-]{1,128})(?:\s[^<>]*)?>([^<>]+)</")


class _Header(NamedTuple):
    """How the cells of a table are parted, how many there are, and which are hidden."""

    delimiter: str
    cells: int
    hidden: Mapping[int, Hidden]

    def in_row(self, count: int) -> Mapping[int, Hidden]:
        """Return what is hidden in a row of so many cells: of another length, wherever it may have moved."""
        moved = count - self.cells
        if not moved:
            return self.hidden
        return {
            index: how
            for place, how in self.hidden.items()
            for index in range(max(0, place + min(0, moved)), min(count, place + max(0, moved) + 1))
        }


def mask_columns(text: str, column: ColumnRule, hide: Hide) -> str:
    """Return the text with the cells of masked columns hidden; the same text where there is no such table."""
    lines = _elements(text, column, hide).split("\n")
    index = 0
    dropped: set[int] = set()
    while index < len(lines):
        if _is_sideways(lines, index) and (shown := _sideways(lines[index], column, hide)):
            lines[index] = shown
            index += 1
            continue
        header = _header(lines[index], column)
        index += 1
        if header and index < len(lines):
            index = _rows(lines, index, header, hide, dropped)
    return "\n".join(line for index, line in enumerate(lines) if index not in dropped)


def _rows(lines: list[str], index: int, header: _Header, hide: Hide, dropped: set[int]) -> int:
    """Hide the rows below a header; return the first line that is none of them."""
    while index < len(lines):
        line = lines[index]
        if not line.strip():
            after = next((number for number in range(index, len(lines)) if lines[number].strip()), len(lines))
            if after == len(lines) or not _goes_on(lines[after], header):
                return index
            index = after
        elif header.delimiter in _PIPES:
            if not _PIPE.search(line) and not _RULE_LINE.match(line):
                return index
            lines[index] = _piped(line, header, hide)
            index += 1
        elif (end := _plain_rows(lines, index)) > index + 1:
            _separated_rows(lines, index, end, header, hide)
            index = end
        else:
            index = _separated(lines, index, header, hide, dropped)
    return index


def _plain_rows(lines: list[str], index: int) -> int:
    """Return the line behind those that each are one CSV record, with nothing open at its end."""
    for place in range(index, len(lines)):
        line = lines[place]
        if not line or line.isspace() or "\r" in line or line.count('"') % 2:
            return place
    return len(lines)


def _separated_rows(lines: list[str], index: int, end: int, header: _Header, hide: Hide) -> None:
    """Hide the cells of CSV records that are a line each, all at once; one by one where that cannot be done."""
    try:
        rows = list(csv.reader(lines[index:end], delimiter=header.delimiter))
    except csv.Error:  # a cell longer than can be read
        rows = []
    if len(rows) != end - index:
        for number in range(index, end):
            _separated(lines, number, header, hide, set())
        return
    regular = [row for row in rows if len(row) == header.cells]
    for place, how in header.hidden.items():
        for row, cell in zip(regular, hide([row[place] for row in regular], how), strict=True):
            row[place] = cell
    if len(regular) < len(rows):
        for row in rows:
            if len(row) != header.cells:
                _hide_in(row, header, hide)
    write = _writer(header.delimiter).writerow
    lines[index:end] = [write(row)[:-1] for row in rows]


def _hide_in(row: list[str], header: _Header, hide: Hide) -> None:
    for place, how in header.in_row(len(row)).items():
        row[place] = hide([row[place]], how)[0]


class _Returned:
    """What a CSV writer writes to: it gives each row back, with its line end."""

    @staticmethod
    def write(text: str) -> str:
        return text


@lru_cache(maxsize=8)
def _writer(delimiter: str) -> Any:
    return csv.writer(_Returned, delimiter=delimiter, lineterminator="\n")


def _goes_on(line: str, header: _Header) -> bool:
    """Say whether a line behind an empty one still is a row of the table."""
    cells = _PIPE.split(line) if header.delimiter in _PIPES else _cells(line, header.delimiter) or []
    return len(cells) == header.cells and header.cells > 1


def _header(line: str, column: ColumnRule) -> _Header | None:
    if _PIPE.search(line) and (header := _named("|", _PIPE.split(line), column)):
        return header
    for delimiter in _DELIMITERS:
        if delimiter in line and (header := _named(delimiter, _cells(line, delimiter) or [], column)):
            return header
    return None


def _named(delimiter: str, cells: list[str], column: ColumnRule) -> _Header | None:
    named = ((index, column(cell.strip().strip("`*\"'"))) for index, cell in enumerate(cells))
    hidden = {index: how for index, how in named if how}
    return _Header(delimiter, len(cells), hidden) if hidden else None


def _is_sideways(lines: list[str], index: int) -> bool:
    """Say whether a line is a name and its value: two cells, below another row or the head of a record."""
    if index == 0 or not _PIPE.search(lines[index]):
        return False
    cells = _PIPE.split(lines[index].strip().strip(_PIPES))
    if len(cells) != 2 or (index + 1 < len(lines) and _RULE_LINE.match(lines[index + 1]) and lines[index + 1].strip()):
        return False
    before = lines[index - 1]
    return bool(_PIPE.search(before) or _RECORD_LINE.match(before) or (before.strip() and _RULE_LINE.match(before)))


def _sideways(line: str, column: ColumnRule, hide: Hide) -> str | None:
    """Return a line with the value beside its name hidden, or None where the name is no masked one."""
    cells = _PIPE.split(line)
    filled = [index for index, cell in enumerate(cells) if cell.strip()]
    how = column(cells[filled[0]].strip().strip("`*\"'")) if len(filled) == 2 else None
    return _piped(line, _Header("|", len(cells), {filled[1]: how}), hide) if how else None


def _piped(line: str, header: _Header, hide: Hide) -> str:
    if _RULE_LINE.match(line):
        return line
    parts = re.split(rf"((?<!\\)[{_PIPES}])", line)  # every second one is a delimiter
    for index, how in header.in_row(len(parts) // 2 + 1).items():
        cell = parts[2 * index]
        if cell.strip():
            (shown,) = hide([cell.strip()], how)
            left = cell[: len(cell) - len(cell.lstrip())]
            right = cell[len(cell.rstrip()) :]
            parts[2 * index] = left + shown.ljust(len(cell.strip())) + right
    return "".join(parts)


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        rows = list(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter))
    except csv.Error:
        return None
    return rows[0] if rows else None


def _separated(lines: list[str], index: int, header: _Header, hide: Hide, dropped: set[int]) -> int:
    """Hide the cells of the CSV record that begins at this line; return the line after it.

    A record goes on over line ends inside quotes; its further lines then count as dropped, since its first
    holds them all.
    """
    record, last = [lines[index]], index + 1
    quotes = record[0].count('"')
    while quotes % 2 and last < len(lines):
        record.append(lines[last])
        quotes += lines[last].count('"')
        last += 1
    whole = "\n".join(record)
    ending = "\r" if whole.endswith("\r") else ""
    cells = _cells(whole, header.delimiter)
    if cells is None:
        cells = hide([whole], next(iter(header.hidden.values())))  # a cell longer than can be read
    else:
        _hide_in(cells, header, hide)
    lines[index] = _writer(header.delimiter).writerow(cells)[:-1] + ending
    dropped.update(range(index + 1, last))
    return last


def _elements(text: str, column: ColumnRule, hide: Hide) -> str:
    """Hide what XML elements of a masked name hold."""

    def shown(match: re.Match[str]) -> str:
        how = column(match[1].rpartition(":")[2])
        if not how or not match[2].strip():
            return match[0]
        start = match.start()
        return match[0][: match.start(2) - start] + hide([match[2]], how)[0] + match[0][match.end(2) - start :]

    return _ELEMENT.sub(shown, text) if "</" in text else text


def mask_positional(members: dict[str, Any], column: ColumnRule, hide: Callable[[Any, Hidden], Any]) -> dict[str, Any]:
    """Hide cells of `{"columns": ["ssn", …], "rows": [["…", …], …]}`, as SQL servers answer."""
    if members.keys().isdisjoint(COLUMN_NAMES):
        return members
    names = next((members[key] for key in COLUMN_NAMES if isinstance(members.get(key), list)), None)
    hidden = {index: how for index, name in _titles(names or []) if (how := column(name))}
    if not hidden:
        return members
    return {
        key: [_positional_row(row, hidden, hide) for row in rows]
        if key in _ROW_NAMES and isinstance(rows, list)
        else rows
        for key, rows in members.items()
    }


def _positional_row(row: Any, hidden: Mapping[int, Hidden], hide: Callable[[Any, Hidden], Any]) -> Any:
    if not isinstance(row, list):
        return row
    return [hide(cell, hidden[index]) if index in hidden else cell for index, cell in enumerate(row)]


def _titles(names: list[Any]) -> Iterator[tuple[int, str]]:
    """Yield the position and title of every column that is named by a string or by `{"name": …}`."""
    for index, item in enumerate(names):
        title = item.get("name") if isinstance(item, dict) else item
        if isinstance(title, str):
            yield index, title
