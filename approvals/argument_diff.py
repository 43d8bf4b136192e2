"""What differs between the arguments of two calls, line by line, for a person who saw the first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from approvals.legible import Piece, leaves, pieces

CONTEXT = 3
# The comparison is quadratic in the worst case; what is longer is read by itself.
MOST_LINES = 2_000
MOST_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `same`, `gone` (only in the earlier call), `new` (only in this one), or `skip` for what is left out."""

    kind: str
    text: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The lines to be shown; `is_too_long` says that the calls were not compared."""

    lines: tuple[Line, ...] = ()
    is_too_long: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing differs that an approver may see."""
        return not self.is_too_long and all(line.kind in {"same", "skip"} for line in self.lines)


def compare(earlier: str, later: str) -> Comparison:
    """Compare two JSON documents of arguments. The order of members tells nothing; each leaf has lines of its own."""
    if len(earlier) + len(later) > MOST_CHARACTERS:
        return Comparison(is_too_long=True)
    old, new = list(_lines(earlier)), list(_lines(later))
    if max(len(old), len(new)) > MOST_LINES:
        return Comparison(is_too_long=True)
    return Comparison(tuple(_compared(old, new)))


def _lines(document: str) -> Iterator[str]:
    for name, value in sorted(leaves(document)):
        first, *more = value.split("\n")
        yield f"{name}: {first}"
        yield from (f"  {line}" for line in more)


def _compared(old: list[str], new: list[str]) -> Iterator[Line]:
    after = 0
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if skipped := group[0][3] - after:
            yield _skip(skipped)
        for kind, old_start, old_end, new_start, new_end in group:
            if kind == "equal":
                yield from (Line("same", pieces(line)) for line in new[new_start:new_end])
                continue
            yield from (Line("gone", pieces(line)) for line in old[old_start:old_end])
            yield from (Line("new", pieces(line)) for line in new[new_start:new_end])
        after = group[-1][4]
    if skipped := len(new) - after:
        yield _skip(skipped)


def _skip(count: int) -> Line:
    return Line("skip", (Piece(f"{count} equal line{'' if count == 1 else 's'}"),))
