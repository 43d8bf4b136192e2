"""Values that are split over the text blocks of an answer, or over the notes of a stream. Pure.

Each part by itself is no value, so nothing would find it; whoever reads on reads it whole. Texts that follow each other
are searched as one, and what reaches over a seam is hidden in all its parts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from masking.documents import read, write
from masking.literals import Forms
from masking.patterns import Pattern, Span
from masking.spans import Hiding
from masking.suspicion import Suspicion

_WINDOW: Final = 4096  # characters on each side of a seam in which a value is looked for
_GAP: Final = "\n\x01\n"
_FEWEST_MENTIONS: Final = 4  # two blocks: `"type":"text","text":…` twice
# One of these that is whole in one part is that part's: what touches it in the next is another word.
_WHOLE: Final = frozenset(
    {"credit_card", "iban", "us_ssn", "email", "phone", "ip_address", "ip", "national_id", "date_of_birth"}
)
_LISTS: Final = ("content", "contents", "messages")
_INWARD: Final = ("result", "params", "inputRequests", "message", "task")
_SAYING: Final = ("message", "msg", "text", "data", "chunk", "delta", "content")

# Ends with which a value may begin: a note that ends so waits for the next one.
# One sign of the end behind them all: then it is searched from the end.
_OPEN: Final = Pattern(
    r"(?:(?:[0-9][ .\-]?){5}[0-9][ .\-]?|[0-9]{3}-[0-9]{0,2}-?"
    r"|[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9.\-]*"
    r"|(?:^|[^A-Za-z0-9_])(?:AKIA|ASIA|gh[opusr]_|github_pat_|gl[a-z]{2,5}-|xox|xapp-|[srp]k[_\-]|AIza|ya29|eyJ|hf_|npm_"
    r"|pypi-|SG\.|hv[sbr]\.|dapi|shp|sq0|whsec_|dckr_)[A-Za-z0-9_.\-]*"
    r"|(?i:passw?(?:o?r?d?|d)|pwd|secre?t?|token|key|bearer|ssn|iban)[\"' ]{0,3}(?:[=:]\s{0,4}[\"']?[^\s\"']{0,200})?"
    r"|(?i:bearer)\s{1,4}[^\s]{0,200}"
    r"|(?:^|[^A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{1,4}){0,8} ?"
    r"|-{3,5}[A-Z ]{0,40})$"
)
_OPEN_WITHIN: Final = 256
_MOST_HELD: Final = 64
_MOST_HELD_BYTES: Final = 64 * 1024

# What tells a series of texts from others: the method of the notes, and what they name.
Channel = tuple[Any, ...]
# A stretch of a text: its number, from where, to where.
Part = tuple[int, int, int]
# Number of the text, from where to where, what stands there instead, and under which name it is counted, if at all.
Cut = tuple[int, int, int, str, str]


class Note(NamedTuple):
    """One message of a stream; the text in it and the channel of that, where it says something."""

    body: bytes
    channel: Channel | None
    text: str


@dataclass(slots=True)
class Block:
    """One text that others follow, and the member that holds it."""

    holder: dict[str, Any]
    name: str

    @property
    def text(self) -> str:
        return str(self.holder[self.name])


class Seams:
    """The search at the seams for one reader."""

    def __init__(self, hiding: Hiding, suspicion: Suspicion) -> None:
        self._hiding = hiding
        self._suspicion = suspicion

    def within(self, document: bytes, forms: Forms) -> tuple[bytes, Mapping[str, int]]:
        """Return a message without values that are split over its text blocks, and what was hidden, by name.

        The same bytes come back where there are none, and where the document is not JSON, which others say.
        """
        if document.count(b'"text"') < _FEWEST_MENTIONS and b'"contents"' not in document:
            return document, {}
        try:
            if not any(self._cuts([block.text for block in chain], forms) for chain in _chains(orjson.loads(document))):
                return document, {}
        except orjson.JSONDecodeError:
            return document, {}
        value, _ = read(document.decode("utf-8"))
        hits: dict[str, int] = {}
        for chain in _chains(value):
            self._apply(chain, forms, hits)
        return write(value), hits

    def across(
        self, notes: Sequence[Note], before: Mapping[Channel, str], forms: Forms
    ) -> list[tuple[bytes, Mapping[str, int]]]:
        """Return notes of a stream without values that are split over them, with what was hidden in each.

        `before` is how the notes that went on already ended, by channel: of a value that began there, the rest goes.
        """
        found: list[tuple[bytes, Mapping[str, int]]] = [(note.body, {}) for note in notes]
        if len(notes) < 2 and not before:
            return found
        channels: dict[Channel, list[int]] = {}
        for number, note in enumerate(notes):
            if note.channel is not None:
                channels.setdefault(note.channel, []).append(number)
        for channel, numbers in channels.items():
            ended = Block({"": before.get(channel, "")}, "")
            if not self._cuts([ended.text, *(notes[number].text for number in numbers)], forms, said=1):
                continue
            values = [read(notes[number].body.decode("utf-8"))[0] for number in numbers]
            hits: dict[str, int] = {}
            self._apply([ended, *(said[2] for value in values if (said := spoken(value)))], forms, hits, said=1)
            for number, value in zip(numbers, values, strict=True):
                found[number] = write(value), hits
                hits = {}
        return found

    def _apply(self, chain: Sequence[Block], forms: Forms, hits: dict[str, int], *, said: int = 0) -> None:
        cuts = self._cuts([block.text for block in chain], forms, said=said)
        for number, first, last, shown, name in reversed(cuts):
            text = chain[number].text
            chain[number].holder[chain[number].name] = text[:first] + shown + text[last:]
            if name:
                hits[name] = hits.get(name, 0) + 1

    def _cuts(self, texts: Sequence[str], forms: Forms, *, said: int = 0) -> list[Cut]:
        """Return what goes, of the texts behind the first `said`, which went on already."""
        if sum(map(bool, texts)) < 2:
            return []
        joined, pieces = _joined(texts)
        if not self._suspicion.of_text(joined, forms):
            return []
        found = sorted(self._hiding.found(joined, forms))
        alone = self._hiding.found_alone(texts, forms) if found else ()
        cuts: list[Cut] = []
        behind = 0
        for start, end, name, replace in found:
            parts = pieces.parts(start, end)
            if start < behind or not _is_split(parts, name, alone):
                continue
            if name in _WHOLE and len(parts) > 2:
                end = self._narrowed(joined, pieces, start, end, forms)
                parts = pieces.parts(start, end)
            behind = end
            label = self._hiding.replaced(joined[start:end], name, replace)
            for at, (number, first, last) in enumerate(part for part in parts if part[0] >= said):
                cuts.append((number, first, last, "" if at else label, "" if at else name))
        return cuts

    def _narrowed(self, joined: str, pieces: "_Pieces", start: int, end: int, forms: Forms) -> int:
        """Return where a value ends that is whole before its last seam: what follows are words that touch it."""
        seams = sorted({seam for seam in pieces.starts if start < seam < end}, reverse=True)
        for seam in seams[:-1]:
            if not _finds(self._hiding.found_alone((joined[:seam],), forms)[0], start, seam):
                break
            end = seam
        return end


def _is_split(parts: Sequence[Part], name: str, alone: Sequence[Sequence[Span]]) -> bool:
    """Say whether a seam goes through a value, or through what tells that it is one, as in `pass` `word=x`.

    `alone` is what is found in each text by itself.
    """
    if len({number for number, _, _ in parts}) > 1:
        return not (name in _WHOLE and any(_finds(alone[number], first, last) for number, first, last in parts))
    number, first, last = parts[0]
    return number > 0 and first < _OPEN_WITHIN and not _finds(alone[number], first, last)


def _finds(found: Sequence[Span], first: int, last: int) -> bool:
    """Say whether one of these spans covers this part of a text."""
    return any(start <= first and last <= end for start, end in found)


@dataclass(slots=True)
class _Pieces:
    """The stretches of texts of which a joined one is made: their starts in it, and number and offset of each."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    of: list[tuple[int, int]] = field(default_factory=list)

    def add(self, number: int, offset: int, start: int, size: int) -> None:
        self.starts.append(start)
        self.ends.append(start + size)
        self.of.append((number, offset))

    def parts(self, start: int, end: int) -> list[Part]:
        """Return the parts of texts that a span of the joined one touches."""
        found: list[Part] = []
        at = max(0, bisect_right(self.starts, start) - 1)
        while at < len(self.of) and self.starts[at] < end:
            if start < self.ends[at]:
                (number, offset), base = self.of[at], self.starts[at]
                found.append((number, offset + max(start, base) - base, offset + min(end, self.ends[at]) - base))
            at += 1
        return found


def _joined(texts: Sequence[str]) -> tuple[str, _Pieces]:
    """Join texts without anything between them; of long ones only what is near a seam."""
    out: list[str] = []
    pieces = _Pieces()
    position = 0
    for number, text in enumerate(texts):
        stretches = [(0, text)]
        if len(text) > 2 * _WINDOW:
            stretches = [(0, text[:_WINDOW]), (len(text) - _WINDOW, text[-_WINDOW:])]
        for at, (offset, stretch) in enumerate(stretches):
            if at:
                out.append(_GAP)
                position += len(_GAP)
            out.append(stretch)
            pieces.add(number, offset, position, len(stretch))
            position += len(stretch)
    return "".join(out), pieces


def _chains(message: Any) -> Iterator[list[Block]]:
    """Yield the texts that follow each other: blocks of a content, contents of a resource, messages."""
    waiting = [message]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, dict):
            continue
        for name in _LISTS:
            if isinstance(listed := item.get(name), list):
                yield from _runs(listed)
                waiting.extend(one for one in listed if isinstance(one, dict) and "content" in one)
        for name in _INWARD:
            inner = item.get(name)
            waiting.extend(inner.values() if name == "inputRequests" and isinstance(inner, dict) else [inner])


def _runs(listed: Iterable[Any]) -> Iterator[list[Block]]:
    run: list[Block] = []
    for item in listed:
        content = item.get("content", item) if isinstance(item, dict) else None
        if isinstance(content, dict) and isinstance(content.get("text"), str):
            run.append(Block(content, "text"))
        elif run:
            yield run
            run = []
    if run:
        yield run


def spoken(content: Any) -> tuple[Channel, str, Block] | None:
    """Return the channel of a note, its text, and where that stands; None for a note without text."""
    params = content.get("params") if isinstance(content, dict) else None
    if not isinstance(params, dict):
        return None
    method, data = content.get("method"), params.get("data")
    if method == "notifications/progress":
        block = Block(params, "message")
        channel: Channel = ("progress", repr(params.get("progressToken")))
    elif isinstance(data, dict):
        block = Block(data, next((one for one in _SAYING if isinstance(data.get(one), str)), ""))
        channel = (repr(method), repr(params.get("logger")), block.name)
    else:
        block = Block(params, "data")
        channel = (repr(method), repr(params.get("logger")), "")
    text = block.holder.get(block.name)
    return (channel, text, block) if isinstance(text, str) and text else None


def open_from(text: str) -> int | None:
    """Return where a value may begin that the end of a text leaves open; None where none may."""
    tail = text[-_OPEN_WITHIN:]
    encoded = tail.encode("utf-8", "replace")
    span = _OPEN.span(encoded)
    if span is not None:
        return len(text) - len(tail) + len(encoded[: span[0]].decode("utf-8", "replace"))
    begun = text.rfind("-----BEGIN")
    if begun >= 0 and "PRIVATE KEY" in text[begun:] and "-----END" not in text[begun:]:
        return begun
    return None


@dataclass(slots=True)
class Waiting:
    """Notes of one stream that wait for what follows, since a value may begin at their end.

    They keep their order. At most 64 of them wait, or 64 KiB; then all go on.
    """

    _notes: list[Note] = field(default_factory=list)
    # By channel: the text since a value may have begun, and the note in which that was.
    _open: dict[Channel, tuple[str, int]] = field(default_factory=dict)
    _ended: dict[Channel, str] = field(default_factory=dict)  # how what went on ended

    def __len__(self) -> int:
        return len(self._notes)

    def take(
        self, notes: Sequence[tuple[bytes, Any]], *, ends: bool = False
    ) -> tuple[list[Note], Mapping[Channel, str]]:
        """Take notes with their content; return those that may go on now, and how those before them ended.

        All go on where the stream ends.
        """
        for note, content in notes:
            channel, text = (said[0], said[1]) if (said := spoken(content)) else (None, "")
            if channel is not None:
                self._hear(channel, text)
            self._notes.append(Note(note, channel, text))
        size = sum(len(note.body) for note in self._notes)
        if ends or len(self._notes) > _MOST_HELD or size > _MOST_HELD_BYTES:
            self._open.clear()
        return self._go(min((at for _, at in self._open.values()), default=len(self._notes)))

    def _hear(self, channel: Channel, text: str) -> None:
        before, at = self._open.pop(channel, ("", 0))
        whole = before + text
        begun = open_from(whole)
        if begun is not None:
            self._open[channel] = (whole[begun:], at if begun < len(before) else len(self._notes))

    def _go(self, count: int) -> tuple[list[Note], Mapping[Channel, str]]:
        ready, self._notes = self._notes[:count], self._notes[count:]
        self._open = {channel: (text, at - count) for channel, (text, at) in self._open.items()}
        before = dict(self._ended) if ready else {}
        for _, channel, text in ready:
            if channel is not None and (channel in self._ended or len(self._ended) < _MOST_HELD):
                self._ended[channel] = (self._ended.get(channel, "") + text)[-_OPEN_WITHIN:]
        return ready, before
