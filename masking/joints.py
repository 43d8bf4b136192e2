"""Putting found spans together: those that overlap become one, and many are replaced in many texts at once. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from operator import gt
from typing import Final

from masking.detectors import BY_NAME
from masking.fields import Hidden
from masking.finding import BETWEEN, CREDENTIAL, Joined
from masking.rules import STRICTNESS

# Start, negative end, number of the search, and how it is hidden: so that sorting puts the longest first.
Found = tuple[int, int, int, Hidden]
# Start and end of what is hidden as one, and start, end and way of the part that decides how.
Joint = tuple[int, int, int, int, Hidden]

_RANK: Final = {name: rank for rank, name in enumerate((CREDENTIAL, *BY_NAME))}
_NOTHING: Final = Hidden("", "label")


def merged(ordered: Iterable[Found]) -> Iterator[Joint]:
    """Join overlapping spans, given in order; each joint is hidden whole, as its longest, then strictest part."""
    begun = behind = -1  # of the joint span; there is none yet
    first, last, chosen = 0, 0, _NOTHING
    for start, minus_end, _, hidden in ordered:
        end = -minus_end
        if start >= behind:
            if behind > 0:
                yield begun, behind, first, last, chosen
            begun, behind = start, end
            first, last, chosen = start, end, hidden
        else:
            if _weight(start, end, hidden) > _weight(first, last, chosen):
                first, last, chosen = start, end, hidden
            behind = max(behind, end)
    if behind > 0:
        yield begun, behind, first, last, chosen


def _weight(start: int, end: int, hidden: Hidden) -> tuple[bool, int, int, int]:
    # The gateway's own secret counts before everything: no rule may show a part of it.
    return (
        hidden.name == CREDENTIAL,
        end - start,
        STRICTNESS[hidden.replace],
        -_RANK.get(hidden.name, 0),
    )


def at_once(
    joined: Joined, ordered: Sequence[Found], shown: Sequence[str]
) -> Iterator[tuple[int, str, list[str]]] | None:
    """Return the number of each text in which something is hidden, the text then, and the names of what was hidden.

    `shown` is what stands for each span. None where that is not done at once: spans overlap, or a text has in it what
    parts the texts. For what lies apart it takes half the time of one span after the other.
    """
    starts, ends = [one[0] for one in ordered], [-one[1] for one in ordered]
    if any(map(gt, ends, islice(starts, 1, None))) or joined.text.count(BETWEEN) != len(joined.texts) - 1:
        return None
    text = joined.text
    pieces = [""] * (2 * len(starts) + 1)
    pieces[::2] = [text[first:last] for first, last in zip((0, *ends), (*starts, len(text)), strict=True)]
    pieces[1::2] = shown
    parted = "".join(pieces).split(BETWEEN)
    if len(parted) != len(joined.texts):
        return None
    names = [one[3].name for one in ordered]
    edges = pairwise([bisect_left(starts, start) for start in joined.starts])
    return ((index, parted[index], names[first:last]) for index, (first, last) in enumerate(edges) if first < last)
