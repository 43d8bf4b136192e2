"""JSON that stands in a text, or in the middle of it: an answer in a sentence, a block between fences. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from masking.patterns import Span

_OPENS: Final = re.compile(r"[{\[]")
_TOKEN: Final = re.compile(r'[{}\[\]]|"(?:[^"\\]|\\.)*"', re.DOTALL)
_OPENING: Final = frozenset('{["')
_PAIRS: Final = {"}": "{", "]": "["}


def embedded(text: str) -> Iterator[Span]:
    """Yield the widest spans between brackets that match, from left to right; whether they are JSON is not said.

    One pass over the text: the time is linear in it.
    """
    closed: list[Span] = []
    opened: list[int] = []
    position = 0
    while token := (_TOKEN if opened else _OPENS).search(text, position):
        start, position = token.span()
        mark = text[start]
        if mark in "{[":
            opened.append(start)
        elif mark in _PAIRS:
            if text[opened[-1]] != _PAIRS[mark]:
                opened.clear()  # no JSON; what closed within it may be
                continue
            first = opened.pop()
            while closed and closed[-1][0] > first:
                closed.pop()
            closed.append((first, position))
    yield from closed


def may_be_json(text: str) -> bool:
    """Say whether a text begins like an object, an array or a string."""
    first = text[:1]
    return first in _OPENING or (first.isspace() and text.lstrip()[:1] in _OPENING)
