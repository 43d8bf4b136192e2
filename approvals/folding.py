"""The forms in which names and texts are compared, so that look-alike spellings do not slip past a rule. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

# Assigned format, control and combining characters all lie in these ranges; a test compares with all of Unicode.
_ASSIGNED: Final = (*range(0x20000), *range(0xE0000, 0xE1000))
# Normalising sorts runs of combining marks in quadratic time; Unicode's own stream-safe format ends them at 30.
_LONGEST_RUN_OF_MARKS: Final = 30
# One character that becomes eighteen: the only way to make a text grow more than about eightfold.
_LONG_LIGATURE: Final = "\ufdfa"


class EvaluationError(Exception):
    """A condition could not be decided for this call; the rule counts as matching where that is stricter."""


class Text(NamedTuple):
    """A string as UTF-8, as it came and in plain form (the same object where they do not differ)."""

    raw: bytes
    plain: bytes


def _class_of(codes: list[int]) -> str:
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


_INVISIBLE: Final = [code for code in _ASSIGNED if unicodedata.category(chr(code)) in ("Cc", "Cf")]
_MARKS: Final = [code for code in _ASSIGNED if unicodedata.combining(chr(code))]
_SPACE: Final = frozenset(b"\t\n\v\f\r")
_INVISIBLE_IN_NAMES: Final = re.compile(f"[{_class_of(_INVISIBLE)}]+")
_INVISIBLE_IN_TEXT: Final = re.compile(f"[{_class_of([code for code in _INVISIBLE if code not in _SPACE])}]+")
_TOO_MANY_MARKS: Final = re.compile(f"[{_class_of(_MARKS)}]{{{_LONGEST_RUN_OF_MARKS + 1}}}")
_ASCII_INVISIBLE: Final = bytes(code for code in _INVISIBLE if code < 128 and code not in _SPACE)


def _normalized(text: str) -> str:
    if _TOO_MANY_MARKS.search(text):
        raise EvaluationError(
            "a text holds a longer run of combining marks than Unicode's stream-safe format allows"
        )
    return unicodedata.normalize("NFKC", text)


def fold(name: str) -> str:
    """Return the form in which names are compared: no control characters (Cc, Cf), NFKC, case folded.

    Raises EvaluationError for a text whose normal form would cost too much.
    """
    if name.isascii() and name.isprintable():
        return name.lower()
    visible = _INVISIBLE_IN_NAMES.sub("", name)
    return unicodedata.normalize("NFKC", _normalized(visible).casefold())


def plain(text: str) -> str:
    """Return a text in NFKC without invisible characters; white space stays, for patterns speak of it."""
    return _normalized(_INVISIBLE_IN_TEXT.sub("", text).replace(_LONG_LIGATURE, " "))


def text_of(value: str) -> Text:
    """Return a string in the two forms that are searched. Raises EvaluationError when it has none (lone surrogates)."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise EvaluationError("a text holds half of a surrogate pair") from None
    if value.isascii():
        bare = raw.translate(None, _ASCII_INVISIBLE)
    else:
        bare = plain(value).encode()
    return Text(raw, raw if bare == raw else bare)
