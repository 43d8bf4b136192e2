"""The plain view of text that detectors read: digits of any script, wide forms, dashes and spaces made ASCII.

Folding keeps one character for one character, so that an offset in the plain view is an offset in the text;
characters that are invisible are left out and then an offset map leads back. Pure.
"""

import unicodedata
from typing import Final

from masking.patterns import Pattern


def _fold_table() -> dict[int, str]:
    table: dict[int, str] = {}
    for code in (
        *(0xAA, 0xB2, 0xB3, 0xB9, 0xBA, 0x17F),
        *range(0x2070, 0x3400),
        *range(0xFB00, 0xFE70),
        *range(0x1D400, 0x1D800),
        *range(0x1F100, 0x1F200),
    ):
        same = unicodedata.normalize("NFKC", chr(code))  # raised, circled, double-struck, italic, small
        if len(same) == 1 and same.isascii():
            table[code] = same
    table.update({0x3000: " ", 0x2024: ".", 0xFE52: ".", 0xFE6B: "@", 0x3002: "."})
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
    table.update(dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x2800), " "))
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
# Control characters but for blanks and the one that parts texts; marks above letters; what has no width.
_CONTROLS: Final = (0x00, *range(0x02, 0x09), *range(0x0E, 0x20), 0x7F)
_INVISIBLE: Final = (
    *_CONTROLS, *range(0x80, 0xA0), 0xAD, *range(0x300, 0x370), 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5,
    *range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070),
    *range(0x20D0, 0x20F1), 0x3164, *range(0xFE00, 0xFE10), *range(0xFE20, 0xFE30), 0xFEFF, 0xFFA0,
    *range(0xFFF9, 0xFFFC), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0),
)  # fmt: skip
_CONTROL_BYTES: Final = bytes(_CONTROLS)
_PLAIN_TABLE: Final = {**_FOLD, **dict.fromkeys(_INVISIBLE)}
_PARTED_TABLE: Final = {**_FOLD, **dict.fromkeys(_INVISIBLE, " ")}
_INVISIBLE_SET: Final = frozenset(map(chr, _INVISIBLE))


def _class_of(codes: list[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for first, last in ranges)


_SHORT: Final = 64  # characters

# Matches UTF-8 bytes that hold at least one character which the plain view changes.
_TELLTALE: Final = Pattern(f"[{_class_of(list(_PLAIN_TABLE))}]")


def is_folded(view: bytes) -> bool:
    """Say whether the plain view of UTF-8 text is another text."""
    if view.isascii():
        return len(view.translate(None, _CONTROL_BYTES)) != len(view)
    return _TELLTALE.span(view) is not None


def plain(text: str) -> str:
    """Return the plain view of a text: ASCII digits, dashes and spaces, nothing invisible."""
    return text if _is_plain(text) else text.translate(_PLAIN_TABLE)


def holds_controls(view: bytes) -> bool:
    """Say whether ASCII text holds control characters that its plain view leaves out."""
    return len(view.translate(None, _CONTROL_BYTES)) != len(view)


def plain_bytes(text: str) -> bytes:
    """Return the plain view of a text in UTF-8; a lone surrogate is `?`."""
    if text.isascii() and len((encoded := text.encode("ascii")).translate(None, _CONTROL_BYTES)) == len(encoded):
        return encoded
    return text.translate(_PLAIN_TABLE).encode("utf-8", "replace")


def parted(text: str) -> str:
    """Return the view in which what is invisible parts words, one character for one: `x\x00key` ends in a key too."""
    return text.translate(_PARTED_TABLE)


def _is_plain(text: str) -> bool:
    """Say whether a text is its plain view, where a search tells so sooner than folding it would."""
    if text.isascii():
        encoded = text.encode("ascii")
        return len(encoded.translate(None, _CONTROL_BYTES)) == len(encoded)
    return len(text) > _SHORT and _TELLTALE.span(text.encode("utf-8", "surrogatepass")) is None


def plain_with_offsets(text: str) -> tuple[str, list[int] | None]:
    """Return the plain view and, where it is shorter than the text, the text offset of each character."""
    if _is_plain(text):
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
