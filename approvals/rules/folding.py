"""The forms in which names and texts are compared: look-alike spellings do not slip past a rule. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, NamedTuple

import re2

# All format, control and combining characters lie in these ranges; a test compares with all of Unicode.
_ASSIGNED: Final = (*range(0x20000), *range(0xE0000, 0xE1000))
# Normalising sorts runs of combining marks in quadratic time; Unicode's stream-safe format ends them at 30.
_LONGEST_RUN_OF_MARKS: Final = 30
# Single characters that become eighteen and eight: with them a text would grow out of proportion.
_LONG_LIGATURES: Final = "\ufdfa\ufdfb"


class EvaluationError(Exception):
    """A condition could not be decided for this call; the rule counts as matching where that is stricter."""


class Text(NamedTuple):
    """A string as UTF-8, as it came and in plain form (the same object where they do not differ)."""

    raw: bytes
    plain: bytes


def _class_of(codes: list[int], form: str = "\\U{:08x}-\\U{:08x}") -> str:
    ranges: list[tuple[int, int]] = []
    for code in codes:
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = (ranges[-1][0], code)
        else:
            ranges.append((code, code))
    return "".join(form.format(first, last) for first, last in ranges)


def _search(pattern: str) -> Any:
    """Compile one of our own patterns over UTF-8; RE2 is some forty times as fast at this as `re`."""
    options = re2.Options()
    options.never_capture = True
    options.max_mem = 64 << 20
    return re2.compile(pattern, options)


_INVISIBLE: Final = [code for code in _ASSIGNED if unicodedata.category(chr(code)) in ("Cc", "Cf")]
_MARKS: Final = [code for code in _ASSIGNED if unicodedata.combining(chr(code))]
_SPACE: Final = frozenset(b"\t\n\v\f\r")
_INVISIBLE_IN_NAMES: Final = re.compile(f"[{_class_of(_INVISIBLE)}]+")
_INVISIBLE_IN_TEXT: Final = re.compile(f"[{_class_of([code for code in _INVISIBLE if code not in _SPACE])}]+")
_WITHOUT_LIGATURES: Final = str.maketrans(_LONG_LIGATURES, "  ")
_RE2_RANGE: Final = "\\x{{{:x}}}-\\x{{{:x}}}"
_TOO_MANY_MARKS: Final = _search(f"[{_class_of(_MARKS, _RE2_RANGE)}]{{{_LONGEST_RUN_OF_MARKS + 1}}}")
_HAS_INVISIBLE: Final = _search(
    f"[{_class_of([code for code in _INVISIBLE if code not in _SPACE], _RE2_RANGE)}{_LONG_LIGATURES}]"
)
_ASCII_INVISIBLE: Final = bytes(code for code in _INVISIBLE if code < 128 and code not in _SPACE)


def _normalized(text: str) -> str:
    if _TOO_MANY_MARKS.search(text.encode(errors="replace")):
        raise EvaluationError("a text holds a longer run of combining marks than Unicode's stream-safe format allows")
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
    """Return a text in NFKC without invisible characters; white space stays, for patterns speak of it.

    Raises EvaluationError for a text whose normal form would cost too much.
    """
    if _HAS_INVISIBLE.search(text.encode(errors="replace")):
        text = _INVISIBLE_IN_TEXT.sub("", text).translate(_WITHOUT_LIGATURES)
    return _normalized(text)


def text_of(value: str) -> Text:
    """Return a string in the two forms that are searched. Raises EvaluationError when it has none."""
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise EvaluationError("a text holds half of a surrogate pair") from None
    bare = raw.translate(None, _ASCII_INVISIBLE) if value.isascii() else plain(value).encode()
    return Text(raw, raw if bare == raw else bare)
