"""Addresses of the Internet Protocol in text, both versions. Pure.

Precision, on purpose: what names one machine or person is found, inside a private network too. Loopback, the
unspecified address, netmasks, and four numbers behind a word for a version are not; nor are times, MAC addresses and
names of code such as `std::vector`, which are no addresses.
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

from masking.patterns import Pattern, Span

_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4: Final = Pattern(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
_V6: Final = Pattern(r"(?i)[0-9a-f]{0,4}:[0-9a-f]{0,4}:[0-9a-f:]*(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?")
_VERSION: Final = Pattern(r"(?i)(?:\bv|version|release|build|==|~=|>=|<=|\^|~)[\"']?[\s:=]{0,3}[\"']?$")
_NOT_ONE: Final = Pattern(r"^(?:0\.|127\.|255\.)|\.0\.0\.0$")
_DIGITS: Final = frozenset(b"0123456789")
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_LOOK_BACK: Final = 16
_LONGEST_V6: Final = 45

HINT: Final = rf"{_BYTE}(?:\.{_BYTE}){{3}}|(?i:[0-9a-f]{{0,4}}:[0-9a-f]{{0,4}}:[0-9a-f]*:)|(?i:[0-9a-f]{{4}}::[0-9a-f])"


def find_addresses(text: bytes) -> Iterator[Span]:
    """Yield IPv4 addresses in dotted form and IPv6 addresses in any form that RFC 4291 has, without prefix length."""
    for start, end in _v4(text):
        if _stands_alone(text, start, end) and not _VERSION.span(text[max(0, start - _LOOK_BACK) : start]):
            yield start, end
    for start, end in _V6.spans(text):
        if _is_v6(text[start:end]) and not (_touches(text, start - 1) or _touches(text, end)):
            yield start, end


def may_hold_address(raw: bytes) -> bool:
    """Say whether raw JSON holds an address, whatever surrounds it: never less than find_addresses."""
    if any(True for _ in _v4(raw)):
        return True
    # The letter of an escape (`\b`, `\f`) looks like the first digit.
    return any(_is_v6(raw[start:end]) or _is_v6(raw[start + 1 : end]) for start, end in _V6.spans(raw))


def _v4(text: bytes) -> Iterator[Span]:
    for start, end in _V4.spans(text):
        if not _NOT_ONE.span(text[start:end]):
            yield start, end


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before[-1:] and (before[-1] in _WORD or (before[-1] == 0x2E and before[0] in _DIGITS)):
        return False
    if after[:1] == b"-":
        return not after[1:].isalpha()  # 1.2.3.4-rc1
    return not (after and (after[0] in _WORD or (after[0] == 0x2E and after[1:].isdigit())))


def _touches(text: bytes, place: int) -> bool:
    return 0 <= place < len(text) and (text[place] in _WORD or text[place] in b":.")


def _is_v6(candidate: bytes) -> bool:
    if len(candidate) > _LONGEST_V6 or not any(byte in _DIGITS for byte in candidate):
        return False
    try:
        address = ipaddress.IPv6Address(candidate.decode("ascii"))
    except ValueError:
        return False
    groups = [group for group in candidate.split(b":") if group]
    # Two groups alone are a path in code more often than an address, but for those that are in use.
    return not (address.is_loopback or address.is_unspecified) and (
        len(groups) > 2 or (len(groups[0]) == 4 and candidate[:1] in b"23fF")
    )
