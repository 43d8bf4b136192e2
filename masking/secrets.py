"""Credentials in text: assignments (`password=…`), tokens, PEM blocks and keys with a known shape. Pure.

The shapes of provider keys are written from the providers' own documentation of their prefixes.
"""

from collections.abc import Iterator
from typing import Final

import re2

from masking.checksums import is_jose_header

Span = tuple[int, int]

ASSIGNED_NAME: Final = r"(?:password|passwd|pwd|secret)(?:[_\-]?(?:key|value))?[0-9]{0,3}"
KEY_NAME: Final = (
    r"(?:api[_\-]?key|access[_\-]?key|access[_\-]?token|auth[_\-]?token|refresh[_\-]?token|account[_\-]?key)"
)
ASSIGNS: Final = r"(?:\\*[\"'])?\s{0,8}(?:=>|:=|[:=])\s{0,8}"

_PASSWORD: Final = re2.compile(f"(?i){ASSIGNED_NAME}{ASSIGNS}".encode())
_NAMED_KEY: Final = re2.compile(f"(?i){KEY_NAME}{ASSIGNS}".encode())
_URL_PASSWORD: Final = re2.compile(rb"://[^\s/@:\"'<>]*:([^\s/@\"'<>]+)@")
_QUOTE: Final = re2.compile(rb"\\*[\"'`]")
_UNQUOTED: Final = re2.compile(rb"[^\s\"'`,;&<>|(){}\[\]]+")
_NO_VALUES: Final = frozenset(
    b"null none nil true false undefined string str text number boolean required optional".split()
)

_BEARER: Final = re2.compile(rb"(?i)\bbearer[\s:]{1,4}([a-z0-9\-._~+/]{8,}=*)")
_JWT: Final = re2.compile(rb"(eyJ[A-Za-z0-9_\-]{5,})(?:\.[A-Za-z0-9_\-]*){2,4}")
_TOKEN_SIGN: Final = re2.compile(rb"[0-9]|[a-z][A-Z]|[a-z0-9]{20}")

_PEM_BEGIN: Final = re2.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_EDGE: Final = re2.compile(rb"-----(?:BEGIN|END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)")
_PEM_BODY: Final = re2.compile(rb"^[A-Za-z0-9+/=\s\\]*")

PROVIDER_KEYS: Final = "|".join(
    (
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",  # AWS access key ids
        r"gh[opusr]_[A-Za-z0-9]{36,}",  # GitHub
        r"github_pat_[A-Za-z0-9_]{22,}",
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt)-[A-Za-z0-9_\-]{20,}",  # GitLab
        r"xox[abeoprs]-[A-Za-z0-9\-]{10,}",  # Slack
        r"xapp-[0-9]-[A-Za-z0-9\-]{10,}",
        r"hooks\.slack\.com/services/[A-Za-z0-9/+]{20,}",
        r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}",  # Stripe
        r"whsec_[A-Za-z0-9+/=]{20,}",
        r"AIza[A-Za-z0-9_\-]{35}",  # Google
        r"GOCSPX-[A-Za-z0-9_\-]{28}",
        r"ya29\.[A-Za-z0-9_\-]{20,}",
        r"sk-(?:ant-|proj-|svcacct-|admin-|or-)?[A-Za-z0-9_\-]{20,}",  # OpenAI, Anthropic, OpenRouter
        r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
        r"npm_[A-Za-z0-9]{36}",
        r"pypi-AgE[A-Za-z0-9_\-]{40,}",
        r"do[opr]_v1_[a-f0-9]{64}",  # DigitalOcean
        r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}",  # SendGrid
        r"SK[0-9a-f]{32}",  # Twilio
        r"key-[0-9a-f]{32}",  # Mailgun
        r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}",  # Shopify
        r"sq0(?:atp|csp|idp)-[A-Za-z0-9_\-]{22,}",  # Square
        r"lin_api_[A-Za-z0-9]{32,}",  # Linear
        r"ntn_[A-Za-z0-9]{40,}",  # Notion
        r"dapi[a-f0-9]{32}",  # Databricks
        r"hv[sbr]\.[A-Za-z0-9_\-]{24,}",  # Vault
        r"gl(?:sa|c)_[A-Za-z0-9_]{32,}",  # Grafana
        r"ATATT3[A-Za-z0-9_\-=]{50,}",  # Atlassian
        r"dckr_pat_[A-Za-z0-9_\-]{20,}",  # Docker
        r"AGE-SECRET-KEY-1[A-Z0-9]{40,}",
    )
)
_PROVIDER: Final = re2.compile(f"(?:{PROVIDER_KEYS})".encode())
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def value_after(text: bytes, position: int) -> Span | None:
    """Return the span of the value that an assignment gives at this position, without its quotes.

    A quoted value ends at the same quote (or with its line), a bare one at blanks and punctuation. None where
    there is no value, or only a word that stands for one (`null`, `string`), a comparison or a function call.
    """
    quote = _QUOTE.match(text, position)
    if quote:
        start, end = quote.end(), text.find(quote.group(), quote.end())
        if end < 0:
            line = text.find(b"\n", start)
            end = line if line >= 0 else len(text)
    else:
        bare = _UNQUOTED.match(text, position)
        if not bare:
            return None
        start, end = bare.span()
        while end > start + 1 and text[end - 1] in b".\\":
            end -= 1
        if text[start : start + 1] == b"=" or text[end : end + 1] == b"(":
            return None
    if end <= start or text[start:end].strip().lower() in _NO_VALUES:
        return None
    return start, end


def assigned(pattern: re2._Regexp, text: bytes) -> Iterator[tuple[re2._Match, Span]]:
    """Yield each match of a name that is assigned to and the value's span, never looking into a value."""
    position = 0
    while match := pattern.search(text, position):
        span = value_after(text, match.end())
        position = span[1] if span else match.end()
        if span:
            yield match, span


def find_passwords(text: bytes) -> Iterator[Span]:
    """Yield the values of `password=…`, `secret: …` and the like, and the password inside a URL."""
    for _, span in assigned(_PASSWORD, text):
        yield span
    for match in _URL_PASSWORD.finditer(text):
        yield match.span(1)


def find_bearers(text: bytes) -> Iterator[Span]:
    """Yield the token after `Bearer` (a word without digit or mixed case is prose) and JSON web tokens."""
    for match in _BEARER.finditer(text):
        if _TOKEN_SIGN.search(match.group(1)):
            yield match.span(1)
    for match in _JWT.finditer(text):
        if is_jose_header(match.group(1).decode("ascii")):
            yield match.span()


def find_private_keys(text: bytes) -> Iterator[Span]:
    """Yield PEM and PGP private key blocks; one that is cut off goes as far as its base64 does."""
    position = 0
    while begin := _PEM_BEGIN.search(text, position):
        edge = _PEM_EDGE.search(text, begin.end())
        if edge and edge.group() != b"-----BEGIN":
            position = edge.end()
        else:
            limit = edge.start() if edge else len(text)
            position = begin.end() + _PEM_BODY.search(text[begin.end() : limit]).end()
        yield begin.start(), position


def find_api_keys(text: bytes) -> Iterator[Span]:
    """Yield keys with a provider's prefix, and long values with a digit assigned to a name like `api_key`."""
    for match in _PROVIDER.finditer(text):
        if match.start() == 0 or text[match.start() - 1] not in _WORD:
            yield match.span()
    for _, span in assigned(_NAMED_KEY, text):
        if is_key_value(text[span[0] : span[1]]):
            yield span


def is_key_value(value: bytes) -> bool:
    """Say whether a value under a key's name is long and mixed enough to be one."""
    return len(value) >= 12 and any(digit in value for digit in b"0123456789")
