"""RE2 patterns over bytes that give spans and nothing else. Pure.

google-re2's Python objects around a match cost twice the match itself, so the compiled pattern under them is asked
directly. Time is linear in the text, whatever the pattern; the interpreter's lock is free during a search.
"""

from typing import Any, Final

import re2

Span = tuple[int, int]

# What stands before a word that begins here; in raw JSON the letter of an escaped line end touches it.
BEGIN: Final = r"(?:^|[^0-9A-Za-z]|\\[nrtbf])"

_ANYWHERE: Final = re2._Anchor.UNANCHORED
_HERE: Final = re2._Anchor.ANCHOR_START


class Pattern:
    """One compiled pattern; raises re2.error where RE2 cannot read it."""

    __slots__ = ("_match",)

    def __init__(self, pattern: str | bytes, options: Any = None) -> None:
        encoded = pattern.encode() if isinstance(pattern, str) else pattern
        self._match = re2.compile(encoded, options)._regexp.Match

    def span(self, text: bytes, position: int = 0) -> Span | None:
        """Return where the first match at or behind the position stands, or None."""
        found: Span = self._match(_ANYWHERE, text, position, len(text))[0]
        return found if found[0] >= 0 else None

    def span_at(self, text: bytes, position: int) -> Span | None:
        """Return the match that begins exactly at the position, or None."""
        found: Span = self._match(_HERE, text, position, len(text))[0]
        return found if found[0] >= 0 else None

    def groups(self, text: bytes, position: int = 0) -> list[Span] | None:
        """Return the spans of the first match and of its groups ((-1, -1) for one left out), or None."""
        found: list[Span] = self._match(_ANYWHERE, text, position, len(text))
        return found if found[0][0] >= 0 else None

    def spans(self, text: bytes) -> list[Span]:
        """Return all matches from left to right, each behind the one before it; the pattern matches no empty text."""
        match, anywhere, end, position = self._match, _ANYWHERE, len(text), 0
        found: list[Span] = []
        note = found.append
        while True:
            span = match(anywhere, text, position, end)[0]
            position = span[1]
            if position < 0:
                return found
            note(span)
