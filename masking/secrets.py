"""Credentials in text: assignments (`password=…`), tokens, PEM blocks and keys with a known shape. Pure."""

from collections.abc import Iterator
from typing import Final

from masking.checksums import is_jose_header
from masking.patterns import Pattern, Span
from masking.providers import PROVIDER_KEYS

ASSIGNED_NAME: Final = r"(?:password|passwd|pwd|secret)(?:[_\-]?(?:key|value))?[0-9]{0,3}"
KEY_NAME: Final = (
    r"(?:api[_\-]?key|access[_\-]?key|access[_\-]?token|auth[_\-]?token|refresh[_\-]?token|account[_\-]?key)"
)
ASSIGNS: Final = r"(?:\\*[\"'])?\s{0,8}(?:=>|:=|[:=])\s{0,8}"

_PASSWORD: Final = Pattern(f"(?i){ASSIGNED_NAME}{ASSIGNS}".encode())
_NAMED_KEY: Final = Pattern(f"(?i){KEY_NAME}{ASSIGNS}".encode())
_URL_PASSWORD: Final = Pattern(rb"://[^\s/@:\"'<>]*:([^\s/@\"'<>]+)@")
# Values that no sign of assignment tells: quoted as any text, bare as what is more than a word.
_QUOTED_VALUE: Final = r"\\*[\"'`]([^\"'`\n]+)"
_BARE_VALUE: Final = r"([^\s\"'`\-$<\[{%|&;][^\s\"'`|&;]{3,})"
_TOLD: Final = Pattern(
    "(?i)(?:"
    + "|".join(
        (
            rf"--?[a-z0-9\-]*{ASSIGNED_NAME}[ \t]+(?:{_QUOTED_VALUE}|{_BARE_VALUE})",  # --password x
            rf"{ASSIGNED_NAME}[ \t]+is[ \t:]+(?:{_QUOTED_VALUE}|{_BARE_VALUE})",
            rf"{ASSIGNED_NAME}[ \t]+(?:for|of)[ \t]+[^\s:=]+[ \t]?[:=][ \t]*(?:{_QUOTED_VALUE}|{_BARE_VALUE})",
            # SQL
            rf"(?:{ASSIGNED_NAME}|identified(?:\s+with\s+\S+)?\s+by(?:\s+password)?)\s+e?'([^'\n]+)",
            rf"{ASSIGNED_NAME}(?:\\*[\"'])?:[ \t]*[|>][+\-0-9]{{0,2}}[ \t]*\n[ \t]+([^\n]+)",  # a block of YAML
            r"\b(?:curl|wget)\b[^\n]*?\s(?:-u|--user)[ =]?\\*[\"']?[^\s:\"'/]+:([^\s\"'\\]+)",
            r"\bmysql[a-z]*\b[^\n|;]*?[ \t](?-i:-p)([^\s\"'|;&]+)",
        )
    )
    + ")"
)
_BARE: Final = (1, 3, 5)  # of its groups, in which a word is prose
TOLD_HINT: Final = r"(?i:identified)|(?i:curl|wget)[^\n]*(?:-u|--user)|(?i:mysql)[a-z]*[^\n]*-p"
_QUOTE: Final = Pattern(rb"\\*[\"'`]")
_QUOTES: Final = frozenset((b'"', b"'", b"`"))
_UNQUOTED: Final = Pattern(rb"[^\s\"'`,;&<>|(){}\[\]]+")
_NO_VALUES: Final = frozenset(
    b"null none nil true false undefined string str text number boolean required optional".split()
)

_BEARER: Final = Pattern(rb"(?i)\bbearer[\s:]{1,4}([a-z0-9\-._~+/]{8,}=*)")
_JWT: Final = Pattern(rb"eyJ[A-Za-z0-9_\-]{5,}(?:\.[A-Za-z0-9_\-]*){2,4}")
_TOKEN_SIGN: Final = Pattern(rb"[0-9]|[a-z][A-Z]|[a-z0-9]{20}")

_PEM_BEGIN: Final = Pattern(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_EDGE: Final = Pattern(rb"-----(?:BEGIN|END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)")
_PEM_BODY: Final = Pattern(rb"^[A-Za-z0-9+/=\s\\]*")

_PROVIDER: Final = Pattern(f"(?:{PROVIDER_KEYS})".encode())
_WORD: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def value_after(text: bytes, position: int) -> Span | None:
    """Return the span of the value that an assignment gives at this position, without its quotes.

    A quoted value ends at the same quote (or with its line), a bare one at blanks and punctuation. None where
    there is no value, or only a word that stands for one (`null`, `string`), a comparison or a function call.
    """
    quote = _QUOTE.span_at(text, position)
    if quote:
        start = quote[1]
        end = text.find(text[quote[0] : start], start)
        if end < 0:
            line = text.find(b"\n", start)
            end = line if line >= 0 else len(text)
    else:
        bare = _UNQUOTED.span_at(text, position)
        if not bare:
            return None
        start, end = bare
        while end > start + 1 and text[end - 1] in b".\\":
            end -= 1
        if text[start : start + 1] == b"=" or text[end : end + 1] == b"(":
            return None
    if end <= start or text[start:end].strip().lower() in _NO_VALUES:
        return None
    return start, end


def assigned(pattern: Pattern, text: bytes) -> Iterator[tuple[list[Span], Span]]:
    """Yield the groups of each name that is assigned to and the value's span, never looking into a value."""
    position = 0
    while groups := pattern.groups(text, position):
        end = groups[0][1]
        span = value_after(text, end)
        if span and _closes(text, groups[0], span[0] - 1):
            span = None
        position = span[1] if span else end
        if span:
            yield groups, span


def _closes(text: bytes, name: Span, place: int) -> bool:
    """Say whether the quote there is the one that ends what began right before the name: a prompt, `"Password: "`."""
    quote = text[place : place + 1]
    return quote in _QUOTES and text[name[0] - 1 : name[0]] == quote and quote not in text[name[0] : place]


def find_passwords(text: bytes) -> Iterator[Span]:
    """Yield the values of `password=…`, `secret: …` and the like, of commands, SQL and YAML, and passwords in URLs."""
    for _, span in assigned(_PASSWORD, text):
        yield span
    yield from _told_passwords(text)
    position = 0
    while groups := _URL_PASSWORD.groups(text, position):
        yield groups[1]
        position = groups[0][1]


def _told_passwords(text: bytes) -> Iterator[Span]:
    position = 0
    while groups := _TOLD.groups(text, position):
        kind, (start, end) = next((kind, span) for kind, span in enumerate(groups[1:]) if span[0] >= 0)
        position = end
        value = text[start:end].rstrip(b".,!?" if kind in _BARE else b"")
        if is_password(value) and (kind not in _BARE or _TOKEN_SIGN.span(value)):
            yield start, start + len(value)


def find_bearers(text: bytes) -> Iterator[Span]:
    """Yield the token after `Bearer` (a word without digit or mixed case is prose) and JSON web tokens."""
    position = 0
    while groups := _BEARER.groups(text, position):
        start, end = groups[1]
        position = end
        if _TOKEN_SIGN.span(text[start:end]):
            yield start, end
    for start, end in _JWT.spans(text):
        if is_jose_header(text[start : text.index(b".", start)].decode("ascii")):
            yield start, end


def find_private_keys(text: bytes) -> Iterator[Span]:
    """Yield PEM and PGP private key blocks; one that is cut off goes as far as its base64 does."""
    position = 0
    while begin := _PEM_BEGIN.span(text, position):
        edge = _PEM_EDGE.span(text, begin[1])
        if edge and text[edge[0] : edge[1]] != b"-----BEGIN":
            position = edge[1]
        else:
            limit = edge[0] if edge else len(text)
            body = _PEM_BODY.span(text[begin[1] : limit])
            position = begin[1] + (body[1] if body else 0)
        yield begin[0], position


def find_api_keys(text: bytes) -> Iterator[Span]:
    """Yield keys with a provider's prefix, and long values with a digit assigned to a name like `api_key`."""
    for start, end in _PROVIDER.spans(text):
        if start == 0 or text[start - 1] not in _WORD:
            yield start, end
    for _, span in assigned(_NAMED_KEY, text):
        if is_key_value(text[span[0] : span[1]]):
            yield span


def is_password(value: bytes) -> bool:
    """Say whether a value under a password's name is more than a word for none."""
    return value.strip().lower() not in _NO_VALUES


def is_key_value(value: bytes) -> bool:
    """Say whether a value under a key's name is long and mixed enough to be one."""
    return len(value) >= 12 and any(digit in value for digit in b"0123456789")
