"""The forms in which a secret that the gateway itself holds may come back: raw, escaped, encoded. Pure."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

# Shorter secrets are looked for as they are only: three or four characters of base64 occur by chance.
_ENCODED_FROM = 8


def forms_of(literals: Iterable[str]) -> tuple[str, ...]:
    """Return every form to search for, longest first, so that no form is cut by a shorter one."""
    forms: set[str] = set()
    for literal in literals:
        if literal:
            forms.update(_forms(literal))
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(literal: str) -> set[str]:
    escaped = {json.dumps(literal)[1:-1], json.dumps(literal, ensure_ascii=False)[1:-1]}
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
    forms = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret).decode("ascii").rstrip("=")
        first = (shift * 8 + 5) // 6
        last = (shift + len(secret)) * 8 // 6
        kept = text[first:last]
        forms.update((kept, kept.replace("+", "-").replace("/", "_")))
    return forms
