"""Text in which characters are written as codes: percent, HTML entities, backslash escapes. Pure.

`decoded` undoes them, also one inside of another, and knows for each character where it came from; so what is found
in the plain text can be hidden in the coded one.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from html import unescape
from html.entities import html5
from typing import Final

from masking.patterns import Span

# Codes inside of codes (`&#37;40`): each round undoes one of them; of one kind (`%2540`, `&amp;#64;`) any number.
_ROUNDS: Final = 8
_LAST_CODE: Final = 0x10FFFF

# An RE2 pattern found in every text, and raw JSON, in which a percent code or an entity stands.
CODES: Final = r"%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4}|&(?:#[0-9xX]|[A-Za-z][A-Za-z0-9]{1,31};)"
# The same, and for backslash escapes, in text; in raw JSON most of those are its own.
CODED: Final = rf"""{CODES}|\\[uUx/"'nrtbf0-7]"""

_CODE: Final = re.compile(
    r"""%(?:25)*(?P<ascii>[0-7][0-9A-Fa-f])|(?P<bytes>(?:%[89A-Fa-f][0-9A-Fa-f])+)
    |&(?:amp;)*\#(?P<number>[0-9]{1,8});?|&(?:amp;)*\#[xX](?P<hex>[0-9A-Fa-f]{1,7});?
    |&(?:amp;)*(?P<entity>[A-Za-z][A-Za-z0-9]{1,31};)
    |\\+u(?P<pair>[dD][89abAB][0-9A-Fa-f]{2}\\+u[dD][c-fC-F][0-9A-Fa-f]{2})|(?:\\+[uU]|%u)(?P<unit>[0-9A-Fa-f]{4})|\\+u\{(?P<braced>[0-9A-Fa-f]{1,6})\}|\\+x(?P<byte>[0-9A-Fa-f]{2})
    |\\+(?P<octal>[0-3]?[0-7]{2})|\\+(?P<letter>["'nrtbf/])""",
    re.VERBOSE,
)
_SIGN: Final = re.compile(r"[%&\\]")
_PERCENT: Final = re.compile(rb"%(?:25)*([0-9A-Fa-f]{2})|%u([0-9A-Fa-f]{4})")
_LETTERS: Final = {**dict(zip("nrtbf", "\n\r\t\b\f", strict=True)), **{mark: mark for mark in "\"'/"}}


def _character(code: int) -> str | None:
    return chr(code) if 0 < code <= _LAST_CODE else None


def _pair(code: str) -> str:
    units = bytes.fromhex(code[:4] + code[-4:])
    return units.decode("utf-16-be")


_MEANINGS: Final[dict[str, Callable[[str], str | None]]] = {
    "ascii": lambda code: chr(int(code, 16)),
    "bytes": lambda code: bytes.fromhex(code.replace("%", "")).decode("utf-8", "replace"),
    "number": lambda code: _character(int(code)),
    "hex": lambda code: _character(int(code, 16)),
    "entity": html5.get,
    "pair": _pair,
    "unit": lambda code: _character(int(code, 16)),
    "braced": lambda code: _character(int(code, 16)),
    "byte": lambda code: _character(int(code, 16)),
    "octal": lambda code: _character(int(code, 8)),
    "letter": _LETTERS.get,
}


class _Round:
    """One round of decoding: the text, and where each code stood before and its characters stand now."""

    def __init__(self, text: str) -> None:
        pieces: list[str] = []
        self._now: list[Span] = []
        self._then: list[Span] = []
        position = length = behind = 0
        while sign := _SIGN.search(text, behind):
            match = _CODE.match(text, sign.start())
            kind = match.lastgroup if match else None
            plain = _MEANINGS[kind](match[kind]) if match and kind else None
            if not match or not plain:
                behind = sign.end()
                continue
            start, end = match.span()
            behind = end
            length += start - position
            pieces += (text[position:start], plain)
            self._now.append((length, length + len(plain)))
            self._then.append((start, end))
            position, length = end, length + len(plain)
        pieces.append(text[position:])
        self.text = "".join(pieces) if self._now else text
        self._starts = [start for start, _ in self._now]

    def source(self, span: Span) -> Span:
        """Return where the characters of a span (not empty) stood before; a code is never cut."""
        start, end = span
        return self._at(start)[0], self._at(end - 1)[1]

    def _at(self, index: int) -> Span:
        place = bisect_right(self._starts, index) - 1
        if place < 0:
            return index, index + 1
        now, then = self._now[place], self._then[place]
        if index < now[1]:
            return then
        before = then[1] + index - now[1]
        return before, before + 1


class Decoded:
    """A text with its codes undone, and the way back."""

    def __init__(self, text: str) -> None:
        self._rounds: list[_Round] = []
        self.text = text
        for _ in range(_ROUNDS):
            undone = _Round(self.text)
            if undone.text == self.text:
                return
            self._rounds.append(undone)
            self.text = undone.text

    def source(self, span: Span) -> Span:
        """Return the span of the coded text from which this span (not empty) of the plain one came."""
        for undone in reversed(self._rounds):
            span = undone.source(span)
        return span


def _byte(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes.fromhex(match[1].decode("ascii"))
    return chr(int(match[2], 16)).encode("utf-8", "surrogatepass")


def undone(text: bytes) -> bytes | None:
    """Return plain UTF-8 text with its percent codes and entities undone; None where there are codes without end.

    Backslashes stay as they are. This is faster than `decoded`, and enough to know whether that is worth while.
    """
    for _ in range(_ROUNDS):
        once = _PERCENT.sub(_byte, text) if b"%" in text else text
        if b"&" in once:
            once = unescape(once.decode("utf-8", "replace")).encode("utf-8", "surrogatepass")
        if once == text:
            return text
        text = once
    return None


def decoded(text: str) -> Decoded | None:
    """Return a text with its codes undone, or None where it has none. The time is linear in the text."""
    undone = Decoded(text)
    return None if undone.text == text else undone
