"""Personal data in text: IBAN, US social security numbers, e-mail addresses, telephone numbers. Pure.

Precision, on purpose: an IBAN or social security number stands alone (no letter or digit beside it); nine
bare digits are no social security number; a telephone number has `+`, `00` or separators in a national form.
"""

from collections.abc import Iterator
from typing import Final

import re2

from masking.checksums import IBAN_COUNTRIES, iban_length, is_iban, is_ssn

Span = tuple[int, int]

_IBAN_HEAD: Final = re2.compile(f"(?i)(?:{'|'.join(IBAN_COUNTRIES)})[0-9]{{2}}[ \\-]?[A-Z0-9]{{2}}".encode())
_IBAN_REST: Final = re2.compile(rb"(?i)^[A-Z0-9](?:[ \-]?[A-Z0-9]){14,33}")
_SSN: Final = re2.compile(rb"([0-9]{3})([ \-])([0-9]{2})([ \-])([0-9]{4})")
_EMAIL: Final = re2.compile(
    rb"""(?:[\pL\pN!#$%*+_~.\-][\pL\pN!#$%*+_~.\-']*|"[^"\r\n]+")@[\pL\pN][\pL\pN\-.]*\.(?:\pL\pL+|(?i:xn--)[a-zA-Z0-9\-]+)"""
)
_SEPARATED: Final = r"(?:[ .\-/()]{0,3}[0-9])"
_PHONE: Final = re2.compile(
    "|".join(
        (
            rf"\+\(?[1-9]{_SEPARATED}{{6,14}}",  # E.164, written with or without separators
            # North America
            r"(?:1[ .\-])?(?:\([2-9][0-9]{2}\)[ .\-]?|[2-9][0-9]{2}[ .\-])[0-9]{3}[ .\-][0-9]{4}",
            r"0[1-9](?:[ .\-][0-9]{2}){4}",  # pairs, as in France
            # trunk 0
            r"(?:\(0[1-9][0-9]{1,4}\)|0[1-9][0-9]{1,4})[ .\-/]{1,3}[0-9]{2,8}(?:[ .\-/][0-9]{2,6}){0,3}",
            r"00[1-9][0-9]{0,2}[ .\-/][0-9]{1,5}(?:[ .\-/][0-9]{2,8}){1,4}",  # 00 and the country
        )
    ).encode()
)
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS: Final = frozenset(b"0123456789")


def _stands_alone(text: bytes, start: int, end: int, joints: bytes = b"") -> bool:
    """Say whether no letter or digit touches the span, nor one behind a joint such as a dash."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if (before and before[-1] in _WORD) or (after and after[0] in _WORD):
        return False
    if len(before) == 2 and before[1] in joints and before[0] in _WORD:
        return False
    return not (len(after) == 2 and after[0] in joints and after[1] in _DIGITS)


def _iban_at(text: bytes, start: int) -> Span | None:
    """Return the span of the IBAN that begins here: as many letters and digits as its country has."""
    length = iban_length(text[start : start + 2].decode("ascii").upper()) or 0
    rest = _IBAN_REST.search(text[start : start + 70])
    if not rest:
        return None
    kept, taken = bytearray(), 0
    for byte in rest.group():
        taken += 1
        if byte not in b" -":
            kept.append(byte)
        if len(kept) == length:
            break
    return (start, start + taken) if is_iban(kept.decode("ascii").upper()) else None


def _ibans(text: bytes) -> Iterator[Span]:
    position = 0
    while head := _IBAN_HEAD.search(text, position):
        span = _iban_at(text, head.start())
        position = span[1] if span else head.start() + 1
        if span:
            yield span


def find_ibans(text: bytes) -> Iterator[Span]:
    """Yield the spans of international bank account numbers, in any case, with spaces, dashes or neither."""
    for start, end in _ibans(text):
        if _stands_alone(text, start, end):
            yield start, end


def may_hold_iban(raw: bytes) -> bool:
    """Say whether raw JSON holds an IBAN whatever surrounds it: never less than find_ibans."""
    return any(True for _ in _ibans(raw))


def find_ssns(text: bytes) -> Iterator[Span]:
    """Yield US social security numbers written 3-2-4 with dashes or spaces."""
    position = 0
    while match := _SSN.search(text, position):
        area, first, group, second, serial = (part.decode("ascii") for part in match.groups())
        good = first == second and is_ssn(area, group, serial) and _stands_alone(text, match.start(), match.end(), b"-")
        position = match.end() if good else match.start() + 1
        if good:
            yield match.span()


def find_emails(text: bytes) -> Iterator[Span]:
    """Yield e-mail addresses; `git@host:path`, the remote of a repository, is none."""
    for match in _EMAIL.finditer(text):
        if not (match.group().startswith(b"git@") and text[match.end() : match.end() + 1] == b":"):
            yield match.span()


def find_phones(text: bytes) -> Iterator[Span]:
    """Yield telephone numbers of 7 to 15 digits in international or separated national form."""
    position = 0
    while match := _PHONE.search(text, position):
        digits = sum(byte in _DIGITS for byte in match.group())
        least = 8 if match.group()[:1] in {b"+", b"0", b"("} else 10
        good = least <= digits <= 15 and _stands_alone(text, match.start(), match.end(), b"-.+/")
        position = match.end() if good else match.start() + 1
        if good:
            yield match.span()
