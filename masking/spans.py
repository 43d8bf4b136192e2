"""Hiding spans in text: what detectors find becomes a label, a partial value, a pseudonym, nothing. Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from masking.detectors import BY_NAME, hides_value, of_key, pattern_set
from masking.fields import Fields, Hidden
from masking.folding import plain_with_offsets
from masking.literals import Forms
from masking.rules import STRICTNESS, Replace

CREDENTIAL: Final = "credential"
_PARTIAL_FROM: Final = 8
# What a mask of ours looks like: masking it again would change pseudonyms and count hits that are none.
_OURS: Final = re.compile(rf"\[(?:{CREDENTIAL}|{'|'.join(BY_NAME)})(?::[0-9a-f]{{8}}|:[0-9]+ chars)?\]")
# What makes a text more than a value: blanks, quotes, brackets, what shells and SQL give a meaning.
_CODE: Final = re.compile(r"""[\s"'`;|<>(){}\\]|&&|\$\(|\$\{|--""")
_LONGEST_VALUE: Final = 128
_RANK: Final = {name: rank for rank, name in enumerate((CREDENTIAL, *BY_NAME))}


@dataclass(frozen=True, slots=True)
class Found:
    """Characters `start` to `end` of a text, the detector (or field) they are hidden for, and how."""

    start: int
    end: int
    name: str
    replace: Replace


class Hiding:
    """How values are replaced for one reader.

    With `hash_key` (bytes, per installation) pseudonyms are keyed; with `lengths` every mask shows how many
    characters it hides and nothing is ever removed, which is the view of an approver.
    """

    def __init__(
        self, detectors: Mapping[str, Replace], fields: Fields, hash_key: bytes, *, lengths: bool = False
    ) -> None:
        self.fields = fields
        self.detectors = dict(detectors)
        self.lengths = lengths
        self._hash_key = hash_key
        self.detectors_known = [BY_NAME[name] for name in BY_NAME if name in detectors]
        self._hints = pattern_set(tuple(detector.hint for detector in self.detectors_known))

    def of_key(self, name: str) -> Hidden | None:
        """Return how values under a key or column of this name are hidden by a detector."""
        detector = of_key(name, self.detectors)
        return Hidden(detector, self.detectors[detector]) if detector else None

    def hides(self, hidden: Hidden, value: object) -> bool:
        """Say whether hiding by name reaches this value: a field's always, a detector's by type."""
        return hidden.name not in BY_NAME or hides_value(hidden.name, value)

    def replaced(self, value: str, name: str, replace: Replace) -> str:
        """Return what stands for a hidden text: `[email]`, `****1111`, `[email:ab12cd34]` or nothing."""
        if name == CREDENTIAL:
            return f"[{CREDENTIAL}]"
        if self.lengths:
            return f"[{name}:{len(value)} chars]"
        if replace == "partial":
            return "****" + (value[-4:] if len(value) >= _PARTIAL_FROM else "")
        if replace == "hash":
            message = f"{name}\0{value}".encode("utf-8", "surrogatepass")
            return f"[{name}:{hmac.new(self._hash_key, message, hashlib.sha256).hexdigest()[:8]}]"
        return "" if replace == "remove" else f"[{name}]"

    def mask(self, text: str, forms: Forms, hits: dict[str, int], *, key: bool = False) -> str:
        """Return the text with everything hidden that the detectors or the secret `forms` cover.

        `hits` counts what was hidden by name. For a `key`, removal is a label, since a key must stay.
        """
        encoded = text.encode("utf-8", "surrogatepass")
        found = [*self._detected(text), *self._assigned(text, encoded)]
        if forms.occur_in(encoded):
            found += _literal(text, forms)
        if not found:
            return text
        pieces: list[str] = []
        position = 0
        for span, winner in _merged(found):
            replace = "label" if key and winner.replace == "remove" else winner.replace
            shown = text[winner.start : winner.end]
            if self.lengths and winner.name != CREDENTIAL:
                shown = text[span[0] : span[1]]
            pieces += (text[position : span[0]], self.replaced(shown, winner.name, replace))
            position = span[1]
            hits[winner.name] = hits.get(winner.name, 0) + 1
        pieces.append(text[position:])
        return "".join(pieces)

    def _detected(self, text: str) -> list[Found]:
        view, offsets = plain_with_offsets(text)
        encoded = view.encode("utf-8", "surrogatepass")
        found = []
        for index in self._hints.found(encoded):
            detector = self.detectors_known[index]
            spans = sorted(set(detector.find(encoded)))
            for start, end in spans if view.isascii() else _characters(encoded, spans):
                if offsets is not None:
                    start, end = offsets[start], offsets[end]
                if self._counts(text[start:end], closed=detector.closed):
                    found.append(Found(start, end, detector.name, self.detectors[detector.name]))
        return found

    def _assigned(self, text: str, encoded: bytes) -> list[Found]:
        """What stands after the name of a masked field in text, as in `ssn: 123-45-6789`."""
        spans = self.fields.assigned(encoded)
        if not spans:
            return []
        places = _characters(encoded, [(start, end) for start, end, _ in spans])
        return [
            Found(start, end, hidden.name, hidden.replace)
            for (start, end), (_, _, hidden) in zip(places, spans, strict=True)
            if self._counts(text[start:end], closed=False)
        ]

    def _counts(self, value: str, *, closed: bool) -> bool:
        if not value or _OURS.fullmatch(value):
            return False
        return closed or not self.lengths or is_plain_value(value)


def is_plain_value(value: str) -> bool:
    """Say whether a text can be nothing but a value: short, without blanks, quotes and what code is made of.

    A PEM block is one too. Only such values are hidden from an approver, so that no code hides behind a mask.
    """
    if value.startswith("-----BEGIN "):
        return is_plain_block(value)
    return len(value) <= _LONGEST_VALUE and not _CODE.search(value)


def is_plain_block(value: str) -> bool:
    """Say whether every line of a PEM block is its frame or one word of base64."""
    lines = value.replace("\\r", "").replace("\\n", "\n").splitlines()
    return all(re.fullmatch(r"\s*(?:-----[A-Z0-9 ]+-----|[A-Za-z0-9+/=]{0,76})\s*", line) for line in lines)


def _literal(text: str, forms: Forms) -> list[Found]:
    found = []
    for form in forms.texts:
        start = text.find(form)
        while start >= 0:
            found.append(Found(start, start + len(form), CREDENTIAL, "label"))
            start = text.find(form, start + len(form))
    return found


def _characters(encoded: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Turn byte offsets, sorted by start, into character offsets in one pass."""
    edges = sorted({edge for span in spans for edge in span})
    at: dict[int, int] = {}
    count = last = 0
    for edge in edges:
        count += len(encoded[last:edge].decode("utf-8", "surrogatepass"))
        at[edge] = count
        last = edge
    return [(at[start], at[end]) for start, end in spans]


def _merged(found: list[Found]) -> list[tuple[tuple[int, int], Found]]:
    """Join overlapping spans; each joint span is hidden whole, as its longest, then strictest part."""
    joint: list[tuple[tuple[int, int], Found]] = []
    for span in sorted(found, key=lambda span: (span.start, -span.end)):
        if joint and span.start < joint[-1][0][1]:
            (start, end), winner = joint[-1]
            joint[-1] = ((start, max(end, span.end)), max(winner, span, key=_weight))
        else:
            joint.append(((span.start, span.end), span))
    return joint


def _weight(span: Found) -> tuple[bool, int, int, int]:
    # The gateway's own secret counts before everything: no rule may show a part of it.
    return (
        span.name == CREDENTIAL,
        span.end - span.start,
        STRICTNESS[span.replace],
        -_RANK.get(span.name, 0),
    )
