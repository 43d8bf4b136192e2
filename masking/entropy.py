"""Secrets without a form of their own: a value that looks like chance, beside a name that tells what it is. Pure.

Precision, on purpose: both are needed. A name such as `session_token` or `signing_key` is no secret beside words,
numbers, paths or a UUID; chance without such a name is a digest, an identifier, a piece of base64. Cursors
(`nextPageToken`) stay: they look like chance and only say where to go on.
"""

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Final

from masking.patterns import Pattern, Span
from masking.secrets import ASSIGNS, assigned

_KEY_OF: Final = (
    r"(?:secret|private|signing|signature|encryption|encrypt|crypto|cipher|master|root|shared|service|session|account|app|"
    r"application|client|server|auth|authentication|access|hmac|aes|rsa|jwt|webhook|license|licence|deploy|deployment|storage|"
    r"subscription|consumer|instrumentation|integration|admin|ingest|ingestion|write|bot|user|production|prod|live|sandbox|"
    r"security|recovery|bearer|push|fcm|vapid|cookie|csrf|django|flask|rails|laravel|api)"
)
SECRET_NAME: Final = (
    rf"(?:{_KEY_OF}[_\-. ]?key|token|secret|credentials?|passphrase|authorization|x-(?:amz|goog)-signature|[?&_\-]sig|"
    r"(?:hash|auth|password|session|cookie)[_\-]?(?:salt|seed|pepper))(?:[_\-]?(?:value|string|base64|b64|hex|raw))?[0-9]{0,2}"
)
INNOCENT_NAME: Final = (
    r"(?:page|pagination|next|prev|previous|continuation|continue|sync|cursor|resume|change|delta|skip|watch|idempotency|"
    r"poll|progress|list|scroll)[_\-. ]?token"
)

_NAMED: Final = Pattern(f"(?i)({SECRET_NAME}){ASSIGNS}")
_INNOCENT: Final = Pattern(f"(?i){INNOCENT_NAME}$")
_SCHEME: Final = Pattern(
    r"(?i)authorization(?:\\*[\"'])?\s{0,4}[:=]\s{0,4}(?:\\*[\"'])?(?:token|apikey|api-key|key|negotiate)\s+([a-z0-9+/=_\-.~]{16,})"
)
_BASIC: Final = Pattern(r"(?i)\bbasic\s{1,4}([a-z0-9+/]{8,}={0,2})")

_SHAPE: Final = Pattern(r"^[A-Za-z0-9+/=_\-.~:$!@%^*#]{16,512}$")
_UUID: Final = Pattern(r"(?i)^\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?$")
_PLACE: Final = Pattern(r"^(?:[a-zA-Z][a-zA-Z0-9+.\-]*:)?//|^[.~]?/|^\$|^%|^arn:|\.(?:[a-z]{2,4})$")
_HEX: Final = Pattern(r"(?i)^(?:0x)?[0-9a-f]+$")
_BREAKS: Final = bytes.maketrans(b"-_.:/~+=$!@%^*#", b" " * 15)
_DIGITS: Final = frozenset(b"0123456789")
_LEAST_BITS: Final = 3.1  # of chance in each character; sixteen random letters and digits seldom have less
_LEAST_HEX_BITS: Final = 2.7

HINT: Final = r"(?i:basic)(?:\s|\\+[nrt])+[A-Za-z0-9+/]{8}"


_HINTED: Final = Pattern(rf"(?i:{SECRET_NAME})(?:[^0-9A-Za-z]|$)|{HINT}")


def may_hold_secret(raw: bytes) -> bool:
    """Say whether raw JSON names a secret, or shows one: the `progressToken` of every note of progress names none."""
    return _HINTED.span(raw.replace(b'progressToken"', b"")) is not None


def is_chance(value: bytes) -> bool:
    """Say whether a value looks drawn by chance: 16 characters or more, no words, no path, no UUID, no number."""
    if not _SHAPE.span(value) or _UUID.span(value) or _PLACE.span(value):
        return False
    if _HEX.span(value):
        return not value.isdigit() and _bits(value) >= _LEAST_HEX_BITS
    mixed = sum(len(piece) for piece in value.translate(_BREAKS).split() if _is_mixed(piece))
    return 2 * mixed >= len(value) and _bits(value) >= _LEAST_BITS


def _is_mixed(piece: bytes) -> bool:
    """Say whether digits stand among letters, or capitals among small letters more often than in a word of code."""
    letters = sum(byte not in _DIGITS for byte in piece)
    if 0 < letters < len(piece):
        return not (piece[:letters].isalpha() and letters >= len(piece) - 4)  # word2024
    turns = sum(first.isupper() != second.isupper() for first, second in zip(*_neighbours(piece), strict=True))
    return len(piece) >= 12 and 3 * turns >= len(piece)


def _neighbours(piece: bytes) -> tuple[str, str]:
    text = piece.decode("latin-1")
    return text[:-1], text[1:]


def _bits(value: bytes) -> float:
    """Return the Shannon entropy of a value in bits per character."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in map(value.count, set(value)))


def find_secrets(text: bytes) -> Iterator[Span]:
    """Yield values that look like chance behind a telling name, and what an Authorization header carries."""
    for groups, (start, end) in assigned(_NAMED, text):
        if is_chance(text[start:end]) and not _is_innocent(text, groups[1]):
            yield start, end
    position = 0
    while found := _SCHEME.groups(text, position):
        yield found[1]
        position = found[1][1]
    position = 0
    while found := _BASIC.groups(text, position):
        start, end = found[1]
        position = end
        if _is_basic(text[start:end]):
            yield start, end


def _is_innocent(text: bytes, name: Span) -> bool:
    first = max(0, name[0] - 48)
    return _INNOCENT.span(text[first : name[1]]) is not None


def _is_basic(encoded: bytes) -> bool:
    """Say whether base64 holds `user:password`, both readable."""
    try:
        pair = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in pair and pair.isprintable()
