"""Untrusted text made legible for a person who decides on it. Pure: text in, pieces and fields out.

What a call carries is written by whoever calls. Characters that are invisible, that turn the direction of the
text, or that pretend to be other letters would let the eye approve something else than what runs; so they are
named here, and long runs of blank space, which push text out of sight, are counted instead of shown.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

MAX_LEAVES = 60
GLANCE = 160
LONG_TEXT = 4_000
SHORT_TEXT = 48
HEAD_TEXT = 600
HEAD_LINES = 10
MAX_TEXT = 200_000
MAX_NAME = 500
MAX_GLANCED = 20_000

# Not of the classes that are hidden by nature, and blank all the same: fillers, the blank Braille cell, a
# joiner.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_HIDDEN_CLASSES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# Everything but printable ASCII, tab and line break; a run of the same character is one find.
_NOT_PLAIN = re.compile(r"([^\x20-\x7e\n\t])\1*")
_GAP = re.compile(r" {40,}|(?:[ \t]*\n){5,}")
_WORD = re.compile(r"\w+")
# Other names are quoted in a path, so that the key "a.b" does not look like b inside a.
_SIMPLE_NAME = re.compile(r"[\w-]+")
_SQL_NAME = re.compile(r"sql|query|statement", re.IGNORECASE)
_SQL_START = re.compile(
    r"\s*(select|insert|update|delete|drop|alter|create|truncate|grant|revoke|with|merge|explain)\s",
    re.IGNORECASE,
)
_SQL_VERB = re.compile(
    r"\b(insert|update|delete|drop|alter|create|truncate|grant|revoke|merge|replace|call|copy)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text, and what is to be said of it: `plain`, `mark`, `gap`, `foreign` or `verb`."""

    text: str
    kind: str = "plain"
    note: str = ""
    hit: bool = False
    """Whether it is part of what a rule found."""


@dataclass(frozen=True, slots=True)
class Field:
    """One argument: its path, its type in words, its value in pieces, and its length in characters."""

    name: tuple[Piece, ...]
    kind: str
    value: tuple[Piece, ...]
    size: int
    lines: int = 1
    head: tuple[Piece, ...] = ()
    """The beginning of a long value."""

    @property
    def is_short(self) -> bool:
        """Whether name and value fit one line."""
        return self.lines == 1 and self.size <= SHORT_TEXT and self.kind != "SQL"

    @property
    def is_long(self) -> bool:
        """Whether the value is folded away at first, its size shown."""
        return self.size > LONG_TEXT


# A piece, and how many characters of the text it stands for.
Sized = tuple[Piece, int]
Span = tuple[int, int]


class _Spelled(str):
    """A number as the caller spelled it: 1.0 is not 1 to everybody."""


def pieces(text: str, *, sql: bool = False, hits: Iterable[Span] = ()) -> tuple[Piece, ...]:
    """Cut text into pieces so that everything in it can be seen; `hits` are the spans that a rule found."""
    found: list[Sized] = []
    at = 0
    for gap in _GAP.finditer(text):
        found += _visible(text[at : gap.start()], sql)
        found.append((_gap(gap[0]), len(gap[0])))
        at = gap.end()
    found += _visible(text[at:], sql)
    spans = sorted(hits)
    return tuple(_with_hits(found, spans)) if spans else tuple(piece for piece, _ in found)


def _gap(run: str) -> Piece:
    lines = run.count("\n")
    what = f"{lines} line breaks" if lines else f"{len(run)} spaces"
    return Piece(f" ⋯ {what} ⋯ ", "gap", f"{what}, shortened here")


def _with_hits(found: Iterable[Sized], spans: list[Span]) -> Iterator[Piece]:
    """Mark what the spans cover. Plain text is cut at their ends; what is conspicuous by itself stays in one piece."""
    at = 0
    for piece, size in found:
        inside = [(start - at, end - at) for start, end in spans if start < at + size and end > at]
        at += size
        if not inside or piece.kind != "plain":
            yield replace(piece, hit=bool(inside))
            continue
        done = 0
        for start, end in inside:
            if start > done:
                yield Piece(piece.text[done:start])
            if end > done:
                yield Piece(piece.text[max(start, done) : end], hit=True)
            done = max(done, end)
        if done < size:
            yield Piece(piece.text[done:])


def _visible(text: str, sql: bool) -> Iterator[Sized]:
    at = 0
    for found in _NOT_PLAIN.finditer(text):
        character = found[1]
        if not _is_hidden(character):
            continue
        yield from _words(text[at : found.start()], sql)
        count = len(found[0])
        name = unicodedata.name(character, "control or unassigned character")
        yield Piece(f"U+{ord(character):04X}" + (f" ×{count}" if count > 1 else ""), "mark", name), count
        at = found.end()
    yield from _words(text[at:], sql)


def _is_hidden(character: str) -> bool:
    if character in _BLANK or _SELECTORS.match(character):
        return True
    return unicodedata.category(character) in _HIDDEN_CLASSES


def _words(text: str, sql: bool) -> Iterator[Sized]:
    """Mark words that mix Latin letters with another script, and the verbs of SQL that change things."""
    if text.isascii() and not sql:
        yield from [(Piece(text), len(text))] if text else []
        return
    at = 0
    for word in _WORD.finditer(text):
        kind, note = _of_word(word[0], sql)
        if kind == "plain":
            continue
        if word.start() > at:
            yield Piece(text[at : word.start()]), word.start() - at
        yield Piece(word[0], kind, note), len(word[0])
        at = word.end()
    if at < len(text):
        yield Piece(text[at:]), len(text) - at


def _of_word(word: str, sql: bool) -> tuple[str, str]:
    if word.isascii():
        return ("verb", "") if sql and _SQL_VERB.fullmatch(word) else ("plain", "")
    scripts = {unicodedata.name(letter, "unnamed").split(" ")[0] for letter in word if letter.isalpha()}
    if len(scripts) > 1 and "LATIN" in scripts:
        return "foreign", f"This word mixes letters of several scripts: {', '.join(sorted(scripts)).lower()}"
    return "plain", ""


def whole(document: str) -> tuple[Piece, ...]:
    """Return a whole JSON document over several lines; what is not JSON as it is."""
    try:
        return pieces(_pretty(json.loads(document, parse_int=_Spelled, parse_float=_Spelled)))
    except (ValueError, RecursionError):
        return pieces(document)


def fields(document: str, hits: Mapping[str, Sequence[Span]] | None = None) -> tuple[Field, ...]:
    """Return the arguments of a call, given as a JSON document, one field for each leaf.

    A document that is no JSON object, or has more leaves than a person would read one by one, becomes one
    field. `hits` are the spans that a rule found, by the name of the leaf.
    """
    hits = hits or {}
    try:
        value = json.loads(document, parse_int=_Spelled, parse_float=_Spelled)
    except (ValueError, RecursionError):
        return (_field("", document, "not JSON"),)
    if not isinstance(value, dict):
        return (_field("", _pretty(value), "JSON"),)
    leaves = list(_leaves("", value))
    if len(leaves) <= MAX_LEAVES:
        return tuple(_leaf(name, leaf, hits.get(name, ())) for name, leaf in leaves)
    return tuple(_leaf(name, leaf, hits.get(name, ())) for name, leaf in value.items())


def leaves(document: str) -> list[tuple[str, str]]:
    """Return every leaf of a JSON document as its name and its value in text; one without a name if it is no JSON."""
    try:
        value = json.loads(document, parse_int=_Spelled, parse_float=_Spelled)
    except (ValueError, RecursionError):
        return [("", document)]
    return [(name, _written(leaf)[1]) for name, leaf in _leaves("", value)]


def joined(path: str, name: str) -> str:
    """Return the name of a member at this path, quoted where it could be taken for a path itself."""
    shown = name if _SIMPLE_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{path}.{shown}" if path else shown


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            yield from _leaves(joined(path, name), inner)
    elif isinstance(value, list) and any(isinstance(inner, dict | list | str) for inner in value):
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner)
    else:
        yield path, value


def _leaf(name: str, value: Any, hits: Sequence[Span]) -> Field:
    kind, text = _written(value)
    if kind == "text" and (_SQL_START.match(text) or (_SQL_NAME.fullmatch(name) and " " in text)):
        kind = "SQL"
    return _field(name, text, kind, hits)


def _written(value: Any) -> tuple[str, str]:
    """Return the type of a leaf in words, and its value in text."""
    match value:
        case _Spelled():
            return "number", str(value)
        case str():
            return "text", value
        case bool():
            return "boolean", "true" if value else "false"
        case None:
            return "null", "null"
        case _:
            return "JSON", _pretty(value)


def _field(name: str, value: str, kind: str, hits: Sequence[Span] = ()) -> Field:
    is_sql, size = kind == "SQL", len(value)
    shown = pieces(value[:MAX_TEXT], sql=is_sql, hits=hits)
    if size > MAX_TEXT:
        shown += (Piece(f" ⋯ {size - MAX_TEXT} more characters ⋯ ", "gap", "too long for this page"),)
    beginning = "\n".join(value[:HEAD_TEXT].split("\n")[:HEAD_LINES])
    head = pieces(beginning + " …", sql=is_sql, hits=hits) if size > LONG_TEXT else ()
    return Field(pieces(name[:MAX_NAME]), kind, shown, size, value.count("\n") + 1, head)


def _pretty(value: Any, indent: str = "") -> str:
    """Write JSON over several lines, with numbers as they came and every character as itself."""
    inner = indent + "  "
    match value:
        case _Spelled():
            return str(value)
        case dict() if value:
            members = [
                f"{inner}{json.dumps(name, ensure_ascii=False)}: {_pretty(member, inner)}"
                for name, member in value.items()
            ]
            return "{\n" + ",\n".join(members) + f"\n{indent}}}"
        case list() if value:
            return "[\n" + ",\n".join(inner + _pretty(member, inner) for member in value) + f"\n{indent}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def glance(document: str) -> tuple[Piece, ...]:
    """Return the arguments in one short line for a list: SQL as it is, everything else as name and value."""
    if len(document) > MAX_GLANCED:
        return (Piece(_flat(pieces(document[:GLANCE])) + "…"),)
    found = sorted(fields(document), key=lambda field: field.kind != "SQL")
    shown = [
        _flat(field.value) if field.kind == "SQL" else f"{_flat(field.name)}: {_flat(field.value)}" for field in found
    ]
    line = " · ".join(shown)
    return (Piece(line[:GLANCE] + ("…" if len(line) > GLANCE else "")),) if line else ()


def _flat(found: Iterable[Piece]) -> str:
    text = "".join(f"⟨{piece.text}⟩" if piece.kind == "mark" else piece.text for piece in found)
    return " ".join(text.split())
