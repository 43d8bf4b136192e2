"""Personal data in text: IBAN, US social security numbers, e-mail addresses, telephone numbers. Pure.

Precision, on purpose: an IBAN or social security number stands alone (no letter or digit beside it); nine
bare digits are no social security number; a telephone number has `+`, `00` or separators in a national form.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from masking.checksums import IBAN_COUNTRIES, iban_length, is_iban, is_ssn
from masking.patterns import BEGIN, Pattern, Span

_IBAN_HEAD: Final = Pattern(f"(?i)(?:{'|'.join(IBAN_COUNTRIES)})[0-9]{{2}}[ \\-]?[A-Z0-9]{{2}}".encode())
_IBAN_REST: Final = Pattern(rb"(?i)^[A-Z0-9](?:[ \-]?[A-Z0-9]){14,33}")
_LONGEST_IBAN: Final = 70  # characters with their separators, and then some
_SSN: Final = Pattern(rb"[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{4}")
_NUMBER_WORD: Final = r"(?:[ _\-]?(?:no|nr|num|number|nummer|#)\.?)?"
_BEHIND: Final = r"\.?(?:\\*[\"'*`])*[ \t:=|>(\-]{1,8}(?:is )?(?:\\*[\"'*`])*"
SSN_NAME: Final = rf"{BEGIN}(?:ssn|social[ _\-]?security){_NUMBER_WORD}"
_NAMED_SSN: Final = Pattern(rf"(?i){SSN_NAME}{_BEHIND}([0-9]{{9}})")
_EMAIL: Final = Pattern(
    rb"""(?:[\pL\pN!#$%*+_~.\-][\pL\pN!#$%*+_~.\-']*|"[^"\r\n]+")@[\pL\pN][\pL\pN\-.]*\.(?:\pL\pL+|(?i:xn--)[a-zA-Z0-9\-]+)"""
)
# The same in ASCII, from its one `@` on. No text matches in more than one way, so nothing is tried twice.
_DOMAIN: Final = re.compile(rb"@[A-Za-z0-9][A-Za-z0-9\-.]*\.(?:[A-Za-z]{2,}|(?i:xn--)[a-zA-Z0-9\-]+)")
_LOCAL: Final = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%*+_~.-'"
_NEAR: Final = 32
_APOSTROPHE: Final = 0x27
_LINE_ENDS: Final = re.compile(rb"[\r\n]")
_SEPARATED: Final = r"(?:[ .\-/()]{0,3}[0-9])"
_PHONE: Final = Pattern(
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
PHONE_NAME: Final = (
    rf"(?:phone|{BEGIN}(?:mobile|cell|fax|tel|msisdn|whatsapp|handy|t[eé]l[eé]fono?|rufnummer|mobil)){_NUMBER_WORD}"
)
_NAMED_PHONE: Final = Pattern(rf"(?i){PHONE_NAME}{_BEHIND}([+(]?[0-9](?:[ .\-/()]{{0,2}}[0-9]){{6,14}})")
_DATE: Final = Pattern(r"^\s*(?:19|20)[0-9]{2}[\-/.][0-9]{2}[\-/.][0-9]{2}")
_WHOLE_PHONE: Final = Pattern(r"^\s*[+(]?[0-9](?:[ .\-/()]{0,3}[0-9]){6,14}(?: ?(?:x|ext\.?) ?[0-9]{1,5})?\s*$")
# The countries of E.164, and how many digits may follow where one plan rules all numbers.
_COUNTRY: Final = Pattern(
    r"^(?:1[2-9][0-9]{9}|7[0-9]{10}|2[07][0-9]{7,}|3[0-469][0-9]{6,}|4[013-9][0-9]{6,}|5[1-8][0-9]{6,}|6[0-6][0-9]{6,}|"
    r"8[1246][0-9]{7,}|9[0-58][0-9]{6,}|(?:21[1-368]|2[2-689][0-9]|3[578][0-9]|42[013]|50[0-9]|59[0-9]|67[02-9]|68[0-9]|"
    r"69[0-2]|80[08]|85[02356]|87[08]|88[0-368]|96[0-8]|97[0-79]|99[2-68])[0-9]{5,}|(?:290|683|690)[2-9][0-9]{3})$"
)
_LONGEST_COUNTRY: Final = 4  # with the digit behind it, which counts where numbers have four
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_SPACE: Final = 0x20
_DIGITS: Final = frozenset(b"0123456789")
_NO_DIGITS: Final = bytes(byte for byte in range(256) if byte not in _DIGITS)


def _stands_alone(text: bytes, start: int, end: int, joints: bytes = b"") -> bool:
    """Say whether no letter or digit touches the span, nor one behind a joint such as a dash."""
    first, last = text[start - 1] if start else _SPACE, text[end] if end < len(text) else _SPACE
    if first in _WORD or last in _WORD:
        return False
    if first in joints and start > 1 and text[start - 2] in _WORD:
        return False
    return not (last in joints and text[end + 1 : end + 2].isdigit())


def _next_word(text: bytes, start: int) -> int:
    """Return where behind a start the next value can begin that stands alone: not within a word."""
    position, size = start + 1, len(text)
    while position < size and text[position - 1] in _WORD:
        position += 1
    return position


def _iban_at(text: bytes, start: int) -> Span | None:
    """Return the span of the IBAN that begins here: as many letters and digits as its country has."""
    length = iban_length(text[start : start + 2].decode("ascii").upper()) or 0
    reach = text[start : start + _LONGEST_IBAN]
    rest = _IBAN_REST.span(reach)
    if not rest:
        return None
    taken = length
    while (kept := len(reach[:taken].translate(None, b" -"))) < length and taken < rest[1]:
        taken += length - kept
    taken = min(taken, rest[1])
    compact = reach[:taken].translate(None, b" -").decode("ascii").upper()
    return (start, start + taken) if is_iban(compact) else None


def _ibans(text: bytes, *, alone: bool = False) -> Iterator[Span]:
    """Yield IBANs from left to right; `alone`: only those before which no letter or digit stands."""
    position = 0
    while head := _IBAN_HEAD.span(text, position):
        start = head[0]
        touched = alone and start > 0 and text[start - 1] in _WORD
        span = None if touched else _iban_at(text, start)
        position = span[1] if span else start + 1
        if span:
            yield span


def find_ibans(text: bytes) -> Iterator[Span]:
    """Yield the spans of international bank account numbers, in any case, with spaces, dashes or neither."""
    for start, end in _ibans(text, alone=True):
        if _stands_alone(text, start, end):
            yield start, end


def may_hold_iban(raw: bytes) -> bool:
    """Say whether raw JSON holds an IBAN whatever surrounds it: never less than find_ibans."""
    return any(True for _ in _ibans(raw))


def find_ssns(text: bytes) -> Iterator[Span]:
    """Yield US social security numbers written 3-2-4 with dashes or spaces."""
    position = 0
    while span := _SSN.span(text, position):
        start, end = span
        number = text[start:end].decode("ascii")  # 123-45-6789
        good = (
            number[3] == number[6]
            and is_ssn(number[:3], number[4:6], number[7:])
            and _stands_alone(text, start, end, b"-")
        )
        position = end if good else _next_word(text, start)
        if good:
            yield span


def find_named_ssns(text: bytes) -> Iterator[Span]:
    """Yield nine digits of a social security number behind the name of one."""
    for start, end in _named(_NAMED_SSN, text):
        if is_nine_digits_of_ssn(text[start:end]) and _stands_alone(text, start, end, b"-"):
            yield start, end


def is_nine_digits_of_ssn(value: bytes) -> bool:
    """Say whether a value is a social security number, also in nine digits without dashes."""
    number = value.strip().translate(None, b" -").decode("ascii", "replace")
    return len(number) == 9 and number.isdecimal() and is_ssn(number[:3], number[3:5], number[5:])


def _named(pattern: Pattern, text: bytes) -> Iterator[Span]:
    """Yield what stands behind a name: the first group of the pattern."""
    position = 0
    while groups := pattern.groups(text, position):
        yield groups[1]
        position = groups[1][1]


def find_emails(text: bytes) -> Sequence[Span]:
    """Return the spans of e-mail addresses; `git@host:path`, the remote of a repository, is none."""
    spans = _ascii_emails(text) if text.isascii() else _EMAIL.spans(text)
    if b"git@" not in text:
        return spans
    return [(start, end) for start, end in spans if text[start : start + 4] != b"git@" or text[end : end + 1] != b":"]


def _ascii_emails(text: bytes) -> list[Span]:
    """Return what the pattern of addresses matches in ASCII, from one `@` to the next: half the time of a search.

    Neither the local part nor the domain can hold another `@`, so each is looked at once.
    """
    found: list[Span] = []
    behind = 0
    for domain in _DOMAIN.finditer(text):
        at, end = domain.span()
        first = at - _NEAR if at - _NEAR > behind else behind
        start = first + len(text[first:at].rstrip(_LOCAL))
        if start == at:
            start = _quoted_part(text, behind, at) if text[at - 1 : at] == b'"' else at
        elif start == first or text[start] == _APOSTROPHE:
            start = _local_part(text, behind, at)
        if start < at:
            found.append((start, end))
            behind = end
    return found


def _quoted_part(text: bytes, behind: int, at: int) -> int:
    """Return where the quotes open that close before an `@`, as in `"a b"@`; the place of the `@` where none do."""
    opened = text.rfind(b'"', behind, at - 1)
    return opened if 0 <= opened < at - 2 and not _LINE_ENDS.search(text, opened, at) else at


def _local_part(text: bytes, behind: int, at: int) -> int:
    """Return where the local part before an `@` begins, not before `behind`; the place of the `@` if there is none."""
    start, reach = at, _NEAR
    while start > behind:  # as far back as it goes
        first = max(behind, at - reach)
        start = first + len(text[first:at].rstrip(_LOCAL))
        if start > first:
            break
        reach *= 8
    while start < at and text[start] == _APOSTROPHE:
        start += 1
    return start


def find_phones(text: bytes) -> Iterator[Span]:
    """Yield telephone numbers of 7 to 15 digits in international or separated national form.

    After `+` there must be the code of a country of E.164.
    """
    position = 0
    known: dict[bytes, bool] = {}
    while span := _PHONE.span(text, position):
        start, end = span
        written = text[start:end]
        if (good := known.get(written)) is None:
            good = known[written] = _is_number(written[0], written.translate(None, _NO_DIGITS))
        good = good and _stands_alone(text, start, end, b"-.+/")
        position = end if good else _next_word(text, start)
        if good:
            yield span


def find_named_phones(text: bytes) -> Iterator[Span]:
    """Yield 7 to 15 digits behind a name for a telephone number; a date is none."""
    for start, end in _named(_NAMED_PHONE, text):
        if not _DATE.span(text[start:end]) and _stands_alone(text, start, end, b"-.+/"):
            yield start, end


def _is_number(first: int, digits: bytes) -> bool:
    if first == 0x2B:
        return len(digits) <= 15 and _has_country(digits[:_LONGEST_COUNTRY], len(digits))
    return (8 if first in b"0(" else 10) <= len(digits) <= 15


@lru_cache(maxsize=4096)
def _has_country(beginning: bytes, length: int) -> bool:
    """Say whether a number of so many digits that begins so is one of E.164: what follows does not matter."""
    return _COUNTRY.span(beginning.ljust(length, b"0")) is not None


def is_phone(value: bytes) -> bool:
    """Say whether a whole value is a telephone number, also one without separators; a date is none."""
    return _WHOLE_PHONE.span(value) is not None and not _DATE.span(value)
