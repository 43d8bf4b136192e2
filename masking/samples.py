"""Texts that fit a pattern or a format of JSON Schema and say nothing. Pure.

What stands for a hidden value has to be of the shape that the tool's output schema asks for. Samples are made from
the pattern alone, never from what is hidden; whoever uses one checks it against the whole schema.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import re2

_LONGEST: Final = 2_000  # of a pattern, and of a sample
_MOST_REPEATS: Final = 256
_CLASSES: Final = {"d": "0", "w": "x", "s": " ", "D": "x", "W": "-", "S": "x"}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_PREFERRED: Final = "x0XaA-_. :/@+"
_COUNT: Final = re.compile(r"\{([0-9]{1,4})(?:,([0-9]{0,4}))?\}")

# Format: a sample in which `{tag}` makes values differ that differed, and what any such text looks like.
_FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "email": ("{tag}@masked.invalid", r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}"),
    "idn-email": ("{tag}@masked.invalid", r"[^@\s\[\]*]+@[^@\s\[\]*]+\.[^@\s\[\]*]+"),
    "uri": ("https://masked.invalid/{tag}", r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\[\]*<>\"{}|\\^`]+"),
    "iri": ("https://masked.invalid/{tag}", r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s\[\]*<>\"{}|\\^`]+"),
    "url": ("https://masked.invalid/{tag}", r"https?://[^\s\[\]*<>\"{}|\\^`]+"),
    "uri-reference": ("https://masked.invalid/{tag}", r"[^\s\[\]*<>\"{}|\\^`]*"),
    "iri-reference": ("https://masked.invalid/{tag}", r"[^\s\[\]*<>\"{}|\\^`]*"),
    "uri-template": ("https://masked.invalid/{tag}", r"[^\s\[\]*<>\"|\\^`]*"),
    "hostname": ("masked.invalid", r"[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?"),
    "idn-hostname": ("masked.invalid", r"[^\s\[\]*@/]+"),
    "ipv4": ("0.0.0.0", r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}"),  # noqa: S104 - no address to bind to
    "ipv6": ("::", r"[0-9A-Fa-f:.]*::?[0-9A-Fa-f:.]*"),
    "uuid": ("{hex}-0000-4000-8000-000000000000", r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    "date": ("1970-01-01", r"\d{4}-\d\d-\d\d"),
    "time": ("00:00:00Z", r"\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+\-]\d\d:\d\d)"),
    "date-time": ("1970-01-01T00:00:00Z", r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+\-]\d\d:\d\d)"),
    "duration": ("PT0S", r"P(?:\d+[YMWD])*(?:T(?:\d+(?:\.\d+)?[HMS])+)?"),
    "json-pointer": ("", r"(?:/[^/\[\]*]*)*"),
    "relative-json-pointer": ("0", r"\d+(?:#|(?:/[^/\[\]*]*)*)"),
    "byte": ("", r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
}
_SHAPES: Final = {name: re2.compile(shape) for name, (_, shape) in _FORMATS.items()}
_TAG: Final = re.compile(r":([0-9a-f]{8})\]")


def has_format(name: object, text: str) -> bool:
    """Say whether a text has a format; formats that nobody checks have no shape, and so everything has them."""
    shape = _SHAPES.get(name) if isinstance(name, str) else None
    return shape is None or shape.fullmatch(text) is not None


def of_format(name: object, masked: str) -> str | None:
    """Return a text of a format that stands for `masked`, the label of what is hidden; None for unknown formats.

    A pseudonym in the label is kept where the format has room, so that equal values stay equal and others differ.
    """
    known = _FORMATS.get(name) if isinstance(name, str) else None
    if known is None:
        return None
    found = _TAG.search(masked)
    return known[0].format(tag=found[1] if found else "masked", hex=found[1] if found else "00000000")


class _NoSample(Exception):
    """The pattern asks for something that is not made up here."""


@lru_cache(maxsize=512)
def of_pattern(pattern: str) -> str | None:
    """Return a short text in which the pattern (ECMA-262, the part that RE2 has as well) may be found.

    None where no text is made up: look-arounds, back references, what is too long. The caller checks the text.
    """
    if len(pattern) > _LONGEST:
        return None
    try:
        reader = _Reader(pattern)
        text = reader.alternatives()
        return text if reader.is_done() and len(text) <= _LONGEST else None
    except (_NoSample, IndexError, RecursionError):
        return None


class _Reader:
    """Reads a pattern from left to right and writes the plainest text that it allows."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def is_done(self) -> bool:
        return self._at == len(self._pattern)

    def alternatives(self) -> str:
        """Read up to the end of a group and return a text of its first alternative."""
        first = self._sequence()
        while self._take("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        made: list[str] = []
        size = 0
        while not self.is_done() and self._peek() not in "|)":
            piece = self._atom()
            piece *= self._repeats()
            size += len(piece)
            if size > _LONGEST:
                raise _NoSample
            made.append(piece)
        return "".join(made)

    def _peek(self) -> str:
        return self._pattern[self._at]

    def _next(self) -> str:
        char = self._pattern[self._at]
        self._at += 1
        return char

    def _take(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) * found
        return found

    def _atom(self) -> str:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escaped(self._next())
        if char in "^$":
            return ""
        if char in "*+?":
            raise _NoSample
        return "x" if char == "." else char

    def _group(self) -> str:
        if self._take("?"):
            if self._take("<") and self._peek() not in "=!":
                while self._next() != ">":
                    pass
            elif not self._take(":"):
                raise _NoSample
        text = self.alternatives()
        if not self._take(")"):
            raise _NoSample
        return text

    def _escaped(self, char: str) -> str:
        if char in "bB":
            return ""
        if char in _CLASSES:
            return _CLASSES[char]
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in "xu":
            digits = self._pattern[self._at : self._at + (2 if char == "x" else 4)]
            self._at += len(digits)
            try:
                return chr(int(digits, 16))
            except ValueError as error:
                raise _NoSample from error
        if char.isalnum():
            raise _NoSample
        return char

    def _class(self) -> str:
        """Return one character of a class: one that says nothing, where it has one."""
        start = self._at - 1
        self._take("^")
        self._take("]")
        while (char := self._next()) != "]":
            if char == "\\":
                self._next()
            elif char == "[" and self._take(":"):
                raise _NoSample
        try:
            allowed = re.compile(self._pattern[start : self._at])
        except re.error as error:
            raise _NoSample from error
        for char in (*_PREFERRED, *map(chr, range(32, 127)), *map(chr, range(160, 384))):
            if allowed.fullmatch(char):
                return str(char)
        raise _NoSample

    def _repeats(self) -> int:
        """Return how often what was just read is written: as seldom as it may be."""
        times = 1
        if self._take("*") or self._take("?"):
            times = 0
        elif not self._take("+") and (found := _COUNT.match(self._pattern, self._at)):
            self._at = found.end()
            times = int(found[1])
        if times > _MOST_REPEATS:
            raise _NoSample
        self._take("?")
        return times
