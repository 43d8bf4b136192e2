"""The plain view of text that detectors read: digits of any script, wide forms, dashes and spaces made ASCII.

Folding keeps one character for one character, so that an offset in the plain view is an offset in the text;
characters that are invisible are left out and then an offset map leads back. Pure.
"""

import unicodedata
from typing import Final

import re2


def _fold_table() -> dict[int, str]:
    table: dict[int, str] = {0x3000: " ", 0x2024: ".", 0xFE52: ".", 0xFE6B: "@", 0x3002: "."}
    for code in (
        *range(0x660, 0xAC00),
        *range(0x104A0, 0x11F60),
        *range(0x1D7CE, 0x1D800),
        *range(0x1E140, 0x1FBFA),
    ):
        value = unicodedata.decimal(chr(code), None)
        if value is not None:
            table[code] = str(value)
    table.update({code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
    table.update(dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F), " "))
    dashes = (
        0x58A,
        0x5BE,
        *range(0x2010, 0x2016),
        0x2212,
        0x2E3A,
        0x2E3B,
        0x301C,
        0xFE31,
        0xFE32,
        0xFE58,
        0xFE63,
    )
    table.update(dict.fromkeys(dashes, "-"))
    return table


_FOLD: Final = _fold_table()
_INVISIBLE: Final = (
    *(0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF), *range(0x200B, 0x2010), *range(0x202A, 0x202F),
    *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080),
)  # fmt: skip
_PLAIN_TABLE: Final = {**_FOLD, **dict.fromkeys(_INVISIBLE)}
_INVISIBLE_SET: Final = frozenset(map(chr, _INVISIBLE))


def _class_of(codes: list[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges)


# Matches UTF-8 bytes that hold at least one character which the plain view changes.
TELLTALE: Final = re2.compile(f"[{_class_of(list(_PLAIN_TABLE))}]".encode())


def plain(text: str) -> str:
    """Return the plain view of a text: ASCII digits, dashes and spaces, nothing invisible."""
    return text if text.isascii() else text.translate(_PLAIN_TABLE)


def plain_with_offsets(text: str) -> tuple[str, list[int] | None]:
    """Return the plain view and, where it is shorter than the text, the text offset of each character."""
    if text.isascii():
        return text, None
    view = text.translate(_PLAIN_TABLE)
    if len(view) == len(text):
        return view, None
    offsets = [index for index, character in enumerate(text) if character not in _INVISIBLE_SET]
    offsets.append(len(text))
    return view, offsets


def same_name(name: str) -> str:
    """Return the form in which names of fields, keys and columns are compared: plain, lower case, trimmed."""
    return plain(name).strip().lower()
