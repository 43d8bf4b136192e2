"""Validators that tell a real number from one that only looks like it. Pure.

Sources: ISO/IEC 7812-1 (Luhn and issuer ranges), ISO 13616 with the SWIFT registry (IBAN), ISO/IEC 7064 (MOD 97-10,
MOD 11-2, MOD 11,10), J. Verhoeff 1969, the rules of the US Social Security Administration for numbers that are never
issued, RFC 7515 (JOSE header).
"""

import base64
import binascii
import json
import string
from collections.abc import Mapping
from typing import Final

# ASCII digits as the digit sum of their double.
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))

# First and last issuer prefix of a range, and the lengths in use there.
_ISSUERS: Final[tuple[tuple[str, str, frozenset[int]], ...]] = (
    ("4", "4", frozenset({13, 16, 19})),
    ("51", "55", frozenset({16})),
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),
    ("37", "37", frozenset({15})),
    ("300", "305", frozenset({14, 16})),
    ("3095", "3095", frozenset({14, 16})),
    ("36", "36", frozenset({14, 16, 19})),
    ("38", "39", frozenset({14, 16, 19})),
    ("3528", "3589", frozenset({16, 17, 18, 19})),
    ("1800", "1800", frozenset({15})),
    ("2131", "2131", frozenset({15})),
    ("2200", "2205", frozenset({16, 17, 18, 19})),
    ("6011", "6011", frozenset({16, 19})),
    ("62", "62", frozenset({16, 17, 18, 19})),
    ("644", "659", frozenset({16, 19})),
    ("60", "60", frozenset({16})),
    ("81", "82", frozenset({16})),
    ("50", "50", frozenset(range(12, 20))),
    ("56", "58", frozenset(range(12, 20))),
    ("6304", "6304", frozenset(range(12, 20))),
    ("6390", "6390", frozenset(range(12, 20))),
    ("67", "67", frozenset(range(12, 20))),
)

# How many characters an IBAN has, and the countries where it has that many.
_COUNTRIES_BY_LENGTH: Final = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS: Final[Mapping[str, int]] = {
    country: length for length, countries in _COUNTRIES_BY_LENGTH.items() for country in countries.split()
}

_DIGITS_AND_X: Final = b"0123456789X"
_LETTERS: Final = {ord(letter): str(int(letter, 36)) for letter in string.ascii_uppercase}

IBAN_COUNTRIES: Final = tuple(_IBAN_LENGTHS)


def luhn(digits: bytes) -> bool:
    """Say whether ASCII digits carry a valid Luhn check digit; other bytes never do."""
    if not digits.isdigit():
        return False
    odd, even = digits[::-2], digits[-2::-2]
    return (sum(odd) - 0x30 * len(odd) + sum(even.translate(_DOUBLED))) % 10 == 0


def mod97(compact: bytes) -> bool:
    """Say whether letters and digits end with two check digits by ISO/IEC 7064 MOD 97-10, as those of an LEI do."""
    return compact[-2:].isdigit() and int(compact.decode("ascii").translate(_LETTERS)) % 97 == 1


def mod11_2(compact: bytes) -> bool:
    """Say whether digits end with a check digit (or X) by ISO/IEC 7064 MOD 11-2, as those of an ORCID do."""
    if not compact[:-1].isdigit() or compact[-1:] not in _DIGITS_AND_X:
        return False
    total = 0
    for digit in compact[:-1]:
        total = (total + digit - 0x30) * 2
    return (total + _DIGITS_AND_X.index(compact[-1:])) % 11 == 1


def mod11_10(compact: bytes) -> bool:
    """Say whether digits end with a check digit by ISO/IEC 7064 MOD 11,10, as German tax numbers do."""
    if not compact.isdigit():
        return False
    check = 10
    for digit in compact[:-1]:
        check = ((check + digit - 0x30) % 10 or 10) * 2 % 11
    return (check + compact[-1] - 0x30) % 10 == 1


def _verhoeff_product(first: int, second: int) -> int:
    """Return the product in the dihedral group of ten elements: five rotations, then five reflections."""
    if first < 5:
        return (first + second) % 5 if second < 5 else (first + second) % 5 + 5
    return (first - second) % 5 + 5 if second < 5 else (first - second) % 5


_VERHOEFF_STEP: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(compact: bytes) -> bool:
    """Say whether digits end with Verhoeff's check digit, as Indian Aadhaar numbers do."""
    if not compact.isdigit():
        return False
    check = 0
    for place, digit in enumerate(reversed(compact)):
        value = digit - 0x30
        for _ in range(place % 8):
            value = _VERHOEFF_STEP[value]
        check = _verhoeff_product(check, value)
    return check == 0


def _lengths_by_prefix() -> Mapping[bytes, int]:
    """Return for each first four digits with which a number can begin the lengths in use, as bits."""
    table: dict[bytes, int] = {}
    for first, last, lengths in _ISSUERS:
        bits = sum(1 << length for length in lengths)
        for prefix in range(int(first.ljust(4, "0")), int(last.ljust(4, "9")) + 1):
            table[b"%04d" % prefix] = table.get(b"%04d" % prefix, 0) | bits
    return table


_LENGTHS: Final = _lengths_by_prefix()


def card_lengths(prefix: bytes) -> int:
    """Return for the first four digits how long a card number can be, as bits; 0 where no issuer begins so."""
    return _LENGTHS.get(prefix, 0)


def is_card(digits: bytes) -> bool:
    """Say whether bytes are ASCII digits and a payment card number: an issuer range, a length in use there, Luhn."""
    length = len(digits)
    if length > 19 or not _LENGTHS.get(digits[:4], 0) >> length & 1:
        return False
    return luhn(digits) and digits.count(digits[0]) < length


def iban_length(country: str) -> int | None:
    """Return how many characters an IBAN of this country (two upper-case letters) has, or None."""
    return _IBAN_LENGTHS.get(country)


def is_iban(compact: str) -> bool:
    """Say whether upper-case ASCII letters and digits without spaces are an IBAN (length and mod 97)."""
    if iban_length(compact[:2]) != len(compact):
        return False
    rearranged = compact[4:] + compact[:4]
    return int(rearranged.translate(_LETTERS)) % 97 == 1


def is_ssn(area: str, group: str, serial: str) -> bool:
    """Say whether the three parts can be an issued US social security number."""
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def is_jose_header(encoded: str) -> bool:
    """Say whether base64url text decodes to the JOSE header of a token: a JSON object that names `alg`."""
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
