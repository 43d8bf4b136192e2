"""Validators that tell a real number from one that only looks like it. Pure.

Sources: ISO/IEC 7812-1 (Luhn and issuer ranges), ISO 13616 with the SWIFT registry (IBAN), the rules of the
US Social Security Administration for numbers that are never issued, RFC 7515 (JOSE header).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Final

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

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

IBAN_COUNTRIES: Final = tuple(_IBAN_LENGTHS)


def luhn(digits: str) -> bool:
    """Say whether a string of ASCII digits carries a valid Luhn check digit."""
    values = digits.encode("ascii")[::-1]
    total = sum(byte - 48 for byte in values[::2]) + sum(_DOUBLED[byte - 48] for byte in values[1::2])
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Say whether ASCII digits are a payment card number: an issuer range, a length in use there, Luhn."""
    length = len(digits)
    if not 12 <= length <= 19:
        return False
    for first, last, lengths in _ISSUERS:
        if length in lengths and first <= digits[: len(first)] <= last:
            return luhn(digits) and len(set(digits)) > 1
    return False


def iban_length(country: str) -> int | None:
    """Return how many characters an IBAN of this country (two upper-case letters) has, or None."""
    return _IBAN_LENGTHS.get(country)


def is_iban(compact: str) -> bool:
    """Say whether upper-case ASCII letters and digits without spaces are an IBAN (length and mod 97)."""
    if iban_length(compact[:2]) != len(compact):
        return False
    rearranged = compact[4:] + compact[:4]
    number = "".join(str(int(character, 36)) for character in rearranged)
    return int(number) % 97 == 1


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
