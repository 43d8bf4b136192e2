"""Payment card numbers in text: digit runs, their groups, and which windows of groups can be a card. Pure.

Precision, on purpose: a number is a card when issuer range, length and Luhn agree and it is written in
one piece, in the groups cards are printed in, or when it is all there is of a run of digits with spaces or
dashes. Fractions (`0.4532…`), UUIDs and long hexadecimal digests are no cards, whatever their digits.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from masking.checksums import card_lengths, is_card
from masking.patterns import Pattern, Span

_RUN: Final = Pattern(rb"[0-9](?:[ \-._]?[0-9]){11,}")
_UUID: Final = Pattern(rb"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TO_SPACE: Final = bytes.maketrans(b"-._", b"   ")
_DIGITS: Final = frozenset(b"0123456789")
_SINGLE_DIGITS: Final = frozenset(bytes([digit]) for digit in _DIGITS)
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
# What touches a number that is part of something longer: a fraction, a UUID, a digest.
_GOES_ON: Final = frozenset(b"0123456789abcdefABCDEF-.")
_DIGEST: Final = 32
_LAYOUTS: Final = frozenset({(4, 6, 5), (4, 6, 4), (4, 5, 6), (6, 13), (8, 8), (6, 10), (5, 5, 6), (4, 12)})
_MOST_GROUPS: Final = 5
_PREFIX: Final = 4


@lru_cache(maxsize=1024)
def _candidates(lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return how many groups of these lengths, from the first on, can make up a number, and its digits.

    The most groups come first.
    """
    several = tuple(
        (count, sum(lengths[:count])) for count in range(len(lengths), 1, -1) if _is_layout(lengths[:count])
    )
    return (*several, (1, lengths[0])) if 12 <= lengths[0] <= 19 else several


def _is_layout(lengths: tuple[int, ...]) -> bool:
    if lengths in _LAYOUTS:
        return True
    return len(lengths) >= 3 and set(lengths[:-1]) == {4} and 1 <= lengths[-1] <= 4


def _windows(run: bytes) -> Sequence[Span]:
    """Return the spans of card numbers inside one run of digits and single separators, left to right."""
    if len(run) <= 2 * 19 and is_card(run.translate(None, b" -")):
        return ((0, len(run)),)
    groups = run.translate(_TO_SPACE).split(b" ")
    starts = list(accumulate((len(group) + 1 for group in groups), initial=0))
    found: list[Span] = []
    index = 0
    while index < len(groups):
        index += (count := _card_groups(groups, index)) or 1
        if count:
            found.append((starts[index - count], starts[index] - 1))
    return found


def _card_groups(groups: list[bytes], index: int) -> int:
    """Return how many of these groups, from this one on, make up a card number; 0 for none."""
    first = groups[index]
    # Every layout and every number in one piece begins with at least four digits.
    if len(first) < _PREFIX or not (lengths := card_lengths(first[:_PREFIX])):
        return 0
    several = groups[index : index + _MOST_GROUPS]
    for count, digits in _candidates(tuple(map(len, several))):
        if lengths >> digits & 1 and is_card(b"".join(several[:count])):
            return count
    return 0


def _is_fraction(text: bytes, start: int, end: int) -> bool:
    if text[start - 1 : start] == b"." and start > 1 and text[start - 2] in _DIGITS:
        return True
    if text[end : end + 1] != b"." or text[end + 1 : end + 2] not in _SINGLE_DIGITS:
        return False
    return bool(text[end + 1 : end + 20].lstrip(b"0")[:1] in _SINGLE_DIGITS)


def _is_identifier(text: bytes, start: int, end: int) -> bool:
    """Say whether the span lies inside a UUID or a hexadecimal digest."""
    before = max(0, start - 36)
    if any(first <= start - before and end - before <= last for first, last in _UUID.spans(text[before : end + 36])):
        return True
    if end - start == _DIGEST or not any(
        character in _HEX for character in text[max(0, start - 1) : start] + text[end : end + 1]
    ):
        return False
    first, last = start, end
    while first > 0 and start - first < _DIGEST and text[first - 1] in _HEX:
        first -= 1
    while last < len(text) and last - end < _DIGEST and text[last] in _HEX:
        last += 1
    return last - first >= _DIGEST


def find_cards(text: bytes) -> Iterator[Span]:
    """Yield the spans of card numbers in plain UTF-8 text."""
    size = len(text)
    known: dict[bytes, Sequence[Span]] = {}  # rows of one customer have one card
    for offset, behind in _RUN.spans(text):
        run = text[offset:behind]
        if (windows := known.get(run)) is None:
            windows = known[run] = _windows(run)
        for first, last in windows:
            start, end = offset + first, offset + last
            if (start and text[start - 1] in _GOES_ON) or (end < size and text[end] in _GOES_ON):
                fraction = text[start:end].isdigit() and _is_fraction(text, start, end)
                if fraction or _is_identifier(text, start, end):
                    continue
            yield start, end


def may_hold_card(raw: bytes) -> bool:
    """Say whether raw JSON holds digits that pass as a card, whatever surrounds them."""
    position = 0
    while run := _RUN.span(raw, position):
        start, position = run
        if _windows(raw[start:position]):
            return True
    return False
