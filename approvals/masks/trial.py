"""Masking tried on somebody's own text: what is shown in its place, and what was found. Pure; nothing is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import orjson

from masking.documents import Unreadable, read
from masking.finding import Joined
from masking.suspicion import texts_of

if TYPE_CHECKING:
    from masking.detectors import Detector
    from masking.engine import Engine, Masker

View = Literal["caller", "record", "message"]
VIEWS: Final[Mapping[View, str]] = {
    "caller": "a caller in the groups named below",
    "record": "the record, which excepts nobody",
    "message": "Slack, mail and other messages, which hide what any rule hides",
}
MOST_PIECES: Final = 50
LONGEST_PIECE: Final = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """What is shown in place of the text, how often what was hidden, and whether the text was read as JSON."""

    shown: str
    hits: Mapping[str, int]
    is_json: bool


def tried(
    engine: Engine, text: str, *, connection: str = "", groups: frozenset[str] = frozenset(), view: View = "caller"
) -> Trial:
    """Mask a text, JSON or not, for one reader.

    Without a connection rules that name some do not govern. Raises MaskingFailed.
    """
    masker = _masker(engine, connection, groups, view)
    if _is_document(text):
        masked = masker.json(text.encode())
        return Trial(masked.body.decode(), masked.hits, is_json=True)
    masked = masker.json(orjson.dumps(text))
    return Trial(json.loads(masked.body), masked.hits, is_json=False)


def pieces(detector: Detector, text: str) -> list[str]:
    """Return what one detector finds, in the order of the text, of JSON in its strings and keys; the first of many."""
    found: list[str] = []
    for one in texts_of(read(text)[0]) if _is_document(text) else [text]:
        joined = Joined([one])
        spans = joined.characters(sorted(detector.find(joined.view)))
        found += [one[first:last][:LONGEST_PIECE] for first, last in spans[: MOST_PIECES - len(found)]]
    return found


def _masker(engine: Engine, connection: str, groups: frozenset[str], view: View) -> Masker:
    if view == "message":
        return engine.notice_masker
    return engine.masker(connection, groups if view == "caller" else None)


def _is_document(text: str) -> bool:
    """Say whether the text is a JSON object or array."""
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        value, _ = read(text)
    except Unreadable:
        return False
    return isinstance(value, dict | list)
