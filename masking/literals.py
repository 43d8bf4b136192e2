"""The forms in which a secret that the gateway itself holds may come back: raw, escaped, encoded. Pure."""

import base64
import json
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

import re2

from masking.patterns import Pattern

# Shorter secrets are looked for as they are only: three or four characters of base64 occur by chance.
_ENCODED_FROM = 8
_NESTED = 3
_MEMORY = 64 << 20  # bytes for the automaton: it is one for all secrets of a process

# What most messages are made of beside their data: none of it is searched for anything but secrets.
WORDS: Final = (
    *("jsonrpc", "2.0", "method", "params", "result", "error", "id", "_meta", "code", "message", "data", "uri", "name"),
    *("content", "contents", "type", "text", "isError", "structuredContent", "mimeType", "resultType", "complete"),
    *("notifications/message", "level", "debug", "info", "notice", "warning", "logger"),
    *("notifications/progress", "progressToken", "progress", "total"),
)
_WORDS: Final = "\n".join(WORDS).encode()


class Literals(NamedTuple):
    """The secrets to hide: those that all readers share, and those of one call, which is one of very many."""

    shared: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Literals({len(self.shared) + len(self.own)} hidden)"


class Forms:
    """Every form to search for, longest first, so that no form is cut by a shorter one.

    `shared` is searched in one pass of RE2; what comes on top of it, one by one: to compile it would cost more than all
    that is searched for it.
    """

    def __init__(self, texts: set[str], shared: "Forms | None" = None) -> None:
        both = texts if shared is None else texts.union(shared.texts)
        self.texts: tuple[str, ...] = tuple(sorted(both, key=lambda text: (-len(text), text)))
        self._own = () if shared is None else tuple(encoded(text) for text in texts)
        self._pattern: Pattern | None = _pattern_of(self.texts) if shared is None else shared._pattern
        self.in_words = bool(texts or shared) and self.occur_in(_WORDS)  # one of the words holds a secret

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __repr__(self) -> str:
        return f"Forms({len(self.texts)} hidden)"

    def occur_in(self, raw: bytes) -> bool:
        """Say whether one of the forms stands in raw JSON or text; they include the escaped ones."""
        if any(form in raw for form in self._own):
            return True
        return self._pattern is not None and self._pattern.span(raw) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where each form stands in a text, in characters; spans of different forms may overlap."""
        found = []
        for form in self.texts:
            start = text.find(form)
            while start >= 0:
                found.append((start, start + len(form)))
                start = text.find(form, start + len(form))
        return found


def encoded(text: str) -> bytes:
    """Return a text as `Forms.occur_in` takes it."""
    return text.encode("utf-8", "surrogatepass")


def _pattern_of(texts: tuple[str, ...]) -> Pattern | None:
    if not texts:
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are, whatever the secret is made of
    options.max_mem = _MEMORY
    return Pattern(b"|".join(re2.escape(encoded(text)) for text in texts), options)


@lru_cache(maxsize=512)
def forms_of(literals: Literals | tuple[str, ...]) -> Forms:
    """Return every form of these secrets; empty ones are none.

    The forms of the latest sets of secrets are kept in memory: making them costs more than a search.
    """
    if not isinstance(literals, Literals):
        return _shared(literals)
    shared = _shared(literals.shared)
    own = [literal for literal in literals.own if literal and literal not in literals.shared]
    return Forms(set().union(*map(_forms, own)), shared) if own else shared


@lru_cache(maxsize=64)
def _shared(literals: tuple[str, ...]) -> Forms:
    return Forms(set().union(*(_forms(literal) for literal in literals if literal)))


def _forms(literal: str) -> set[str]:
    escaped = {json.dumps(literal)[1:-1]}
    nested = literal
    for _ in range(_NESTED):  # JSON in the text of JSON is escaped again
        nested = json.dumps(nested, ensure_ascii=False)[1:-1]
        escaped.add(nested)
    forms = {literal, *escaped, *(form.replace("/", "\\/") for form in escaped)}
    encoded = literal.encode("utf-8", "surrogatepass")
    if len(encoded) >= _ENCODED_FROM:
        for percent in (quote(literal, safe="", errors="replace"), quote_plus(literal, errors="replace")):
            forms.update((percent, _lower_percent(percent)))
        forms.update((encoded.hex(), encoded.hex().upper()))
        forms.update(_base64_forms(encoded))
    return forms


def _lower_percent(text: str) -> str:
    parts = text.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def _base64_forms(secret: bytes) -> set[str]:
    """The part of the base64 text that does not depend on the neighbours, at each of the three alignments."""
    forms: set[str] = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret).decode("ascii").rstrip("=")
        first = (shift * 8 + 5) // 6
        last = (shift + len(secret)) * 8 // 6
        kept = text[first:last]
        forms.update((kept, kept.replace("+", "-").replace("/", "_")))
    return forms
