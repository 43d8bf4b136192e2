"""The forms in which a secret that the gateway itself holds may come back: raw, escaped, encoded. Pure."""

import base64
import json
from functools import lru_cache
from urllib.parse import quote, quote_plus

import re2

# Shorter secrets are looked for as they are only: three or four characters of base64 occur by chance.
_ENCODED_FROM = 8
_NESTED = 3


class Forms:
    """Every form to search for, longest first, so that no form is cut by a shorter one."""

    def __init__(self, texts: set[str]) -> None:
        self.texts = tuple(sorted(texts, key=lambda text: (-len(text), text)))
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes as they are, whatever the secret is made of
        encoded = (text.encode("utf-8", "surrogatepass") for text in self.texts)
        self._pattern = re2.compile(b"|".join(map(re2.escape, encoded)), options)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def __repr__(self) -> str:
        return f"Forms({len(self.texts)} hidden)"

    def occur_in(self, raw: bytes) -> bool:
        """Say whether one of the forms stands in raw JSON or text; they include the escaped ones."""
        return bool(self.texts) and self._pattern.search(raw) is not None


@lru_cache(maxsize=64)
def forms_of(literals: tuple[str, ...]) -> Forms:
    """Return every form of these secrets; empty ones are none.

    The forms of the latest 64 sets of secrets are kept in memory: making them costs more than a search.
    """
    forms: set[str] = set()
    for literal in literals:
        if literal:
            forms.update(_forms(literal))
    return Forms(forms)


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
