"""Paths of masked fields: `ssn`, `**.salary`, `customers[*].date_of_birth`. Pure.

Segments stand between dots: a name, `*` for any one name, `[*]` for any index, `[3]` for one, `**` for any
depth. Names are compared in plain view and without case. Every path matches as a suffix of where a value
stands, in any JSON, also JSON inside of text; a path of one name also names the columns of a table.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from masking.folding import same_name

# A place in a document: names (as `same_name` gives them) and indexes from the root down.
Place = tuple[str | int, ...]

_ANY_DEPTH = "**"
_ANY_NAME = "*"
_ANY_INDEX = "[*]"
_INDEX = re.compile(r"(\[(?:\*|[0-9]{1,9})\])")
# Names that hold one of these segments do not occur in documents as themselves.
_SPECIAL = frozenset({_ANY_DEPTH, _ANY_NAME, _ANY_INDEX})


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A compiled path; `segments` without the implied `**` at its front."""

    text: str
    segments: tuple[str | int, ...]

    @property
    def anchor(self) -> str | None:
        """The last literal name: it stands in every document the path matches in. None if there is none."""
        for segment in reversed(self.segments):
            if isinstance(segment, str) and segment not in _SPECIAL:
                return segment
        return None

    @property
    def last(self) -> str | None:
        """The name the path ends with, or None where it ends with a wildcard or an index."""
        segment = self.segments[-1]
        return segment if isinstance(segment, str) and segment not in _SPECIAL else None

    @property
    def column(self) -> str | None:
        """The column of a table that the path names: its only name, if it has no other segment."""
        named = [segment for segment in self.segments if segment != _ANY_DEPTH]
        return self.last if len(named) == 1 else None

    def matches(self, place: Place) -> bool:
        """Say whether a value at this place is meant; the time is segments times depth."""
        return _matches((_ANY_DEPTH, *self.segments), place)


def parse_path(text: str) -> FieldPath:
    """Compile a path. Raises ValueError for an empty path or segment."""
    segments: list[str | int] = []
    for part in text.strip().split("."):
        pieces = [piece for piece in _INDEX.split(part) if piece]
        if not pieces:
            raise ValueError(f"empty segment in the field path {text!r}")
        segments.extend(_segment(piece) for piece in pieces)
    return FieldPath(text, tuple(segments))


def _segment(piece: str) -> str | int:
    if piece in _SPECIAL:
        return piece
    if _INDEX.fullmatch(piece):
        return int(piece[1:-1])
    return same_name(piece)


def _fits(segment: str | int, step: str | int) -> bool:
    if segment == _ANY_NAME:
        return isinstance(step, str)
    if segment == _ANY_INDEX:
        return isinstance(step, int)
    return segment == step


def _matches(segments: Sequence[str | int], place: Place) -> bool:
    """Match like a glob: on a mismatch go back to the last `**` only, which is enough."""
    at = step = 0
    retry_at = retry_step = -1
    while step < len(place):
        if at < len(segments) and segments[at] == _ANY_DEPTH:
            retry_at, retry_step = at, step
            at += 1
        elif at < len(segments) and _fits(segments[at], place[step]):
            at, step = at + 1, step + 1
        elif retry_at >= 0:
            retry_step += 1
            at, step = retry_at + 1, retry_step
        else:
            return False
    return all(segment == _ANY_DEPTH for segment in segments[at:])
