"""Payment card numbers in text: digit runs, their groups, and which windows of groups can be a card. Pure.

Precision, on purpose: a number is a card when issuer range, length and Luhn agree and it is written in
one piece, in the groups cards are printed in, or when it is all there is of a run of digits with spaces or
dashes. Fractions (`0.4532…`), UUIDs and long hexadecimal digests are no cards, whatever their digits.
"""

from collections.abc import Iterator
from typing import Final

import re2

from masking.checksums import is_card

_RUN: Final = re2.compile(rb"[0-9](?:[ \-._]?[0-9]){11,}")
_UUID: Final = re2.compile(rb"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TO_SPACE: Final = bytes.maketrans(b"-._", b"   ")
_DIGITS: Final = frozenset(b"0123456789")
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_DIGEST: Final = 32
_LAYOUTS: Final = frozenset({(4, 6, 5), (4, 6, 4), (4, 5, 6), (6, 13), (8, 8), (6, 10), (5, 5, 6), (4, 12)})
_MOST_GROUPS: Final = 5

Span = tuple[int, int]


def _is_layout(lengths: tuple[int, ...]) -> bool:
    if lengths in _LAYOUTS:
        return True
    return len(lengths) >= 3 and set(lengths[:-1]) == {4} and 1 <= lengths[-1] <= 4


def _windows(run: bytes) -> Iterator[Span]:
    """Yield the spans of card numbers inside one run of digits and single separators, left to right."""
    groups = run.translate(_TO_SPACE).split(b" ")
    starts, position = [], 0
    for group in groups:
        starts.append(position)
        position += len(group) + 1
    whole = b"".join(groups).decode("ascii") if len(run) <= 2 * 19 else ""
    if whole and b"." not in run and b"_" not in run and is_card(whole):
        yield 0, len(run)
        return
    index = 0
    while index < len(groups):
        index += (count := _card_groups(groups[index : index + _MOST_GROUPS])) or 1
        if count:
            yield starts[index - count], starts[index - 1] + len(groups[index - 1])


def _card_groups(groups: list[bytes]) -> int:
    """Return how many of these groups, from the first on, make up a card number; 0 for none."""
    for count in range(len(groups), 1, -1):
        if _is_layout(tuple(map(len, groups[:count]))) and is_card(b"".join(groups[:count]).decode("ascii")):
            return count
    return 1 if 12 <= len(groups[0]) <= 19 and is_card(groups[0].decode("ascii")) else 0


def _is_fraction(text: bytes, start: int, end: int) -> bool:
    if text[start - 1 : start] == b"." and start > 1 and text[start - 2] in _DIGITS:
        return True
    if text[end : end + 1] != b"." or text[end + 1 : end + 2] not in _SINGLE_DIGITS:
        return False
    return bool(text[end + 1 : end + 20].lstrip(b"0")[:1] in _SINGLE_DIGITS)


_SINGLE_DIGITS: Final = frozenset(bytes([digit]) for digit in _DIGITS)


def _is_identifier(text: bytes, start: int, end: int) -> bool:
    """Say whether the span lies inside a UUID or a hexadecimal digest."""
    if any(
        found.start() <= start - max(0, start - 36) and end - max(0, start - 36) <= found.end()
        for found in _UUID.finditer(text[max(0, start - 36) : end + 36])
    ):
        return True
    if end - start == _DIGEST or not any(
        character in _HEX for character in text[start - 1 : start] + text[end : end + 1]
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
    for run in _RUN.finditer(text):
        offset = run.start()
        for first, last in _windows(run.group()):
            start, end = offset + first, offset + last
            single = b" " not in text[start:end].translate(_TO_SPACE)
            if not (single and _is_fraction(text, start, end)) and not _is_identifier(text, start, end):
                yield start, end


def may_hold_card(raw: bytes) -> bool:
    """Say whether raw JSON holds digits that pass as a card, whatever surrounds them."""
    return any(True for run in _RUN.finditer(raw) for _ in _windows(run.group()))
