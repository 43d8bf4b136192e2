"""Finding what one reader's rules cover in many texts at once: all are searched in one pass per detector. Pure.

Texts stand one behind the other with a separator between them that no detector marked `across` reaches over; the
others look at each text by itself, where their hint stands.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from masking.detectors import Detector, pattern_set
from masking.documents import Unreadable
from masking.encodings import CODED, decoded
from masking.fields import Fields, Hidden
from masking.folding import holds_controls, parted, plain, plain_with_offsets
from masking.literals import Forms
from masking.packing import PACKED, packed_in
from masking.patterns import Pattern, Span
from masking.rules import Replace

CREDENTIAL: Final = "credential"
_THE_CREDENTIAL: Final = Hidden(CREDENTIAL, "label")
_MOST_CODINGS: Final = 8
BETWEEN: Final = "\n\x01\n"


class Group(NamedTuple):
    """Spans of one detector, field or secret, in characters of the joined texts.

    `closed` is that of a detector; `certain` spans are hidden whatever they hold.
    """

    spans: Sequence[Span]
    hidden: Hidden
    closed: bool = False
    certain: bool = False


class Findings(NamedTuple):
    """What is to be hidden; texts that name a masked column and may be a table; those with base64; if any has codes."""

    groups: list[Group]
    named: set[int]
    packed: set[int]
    coded: bool


class Joined:
    """Texts one behind the other, and the plain view of it all in which detectors search."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.text = BETWEEN.join(texts)
        self._offsets: list[int] | None = None
        self._same = self.text.isascii()
        self.view = self.text.encode("utf-8", "surrogatepass")
        if not self._same or holds_controls(self.view):
            view, self._offsets = plain_with_offsets(self.text)
            self.view = view.encode("utf-8", "surrogatepass")
            self._same = self._offsets is None and len(self.view) == len(self.text)
        self.starts = list(accumulate([len(text) + len(BETWEEN) for text in texts], initial=0))
        self._plain_starts: list[int] | None = self.starts if self._same else None

    def parted(self) -> "Joined | None":
        """Return the texts with blanks for what the view left out; None where it left out nothing."""
        return None if self._offsets is None else Joined([parted(text) for text in self.texts])

    @property
    def plain_starts(self) -> list[int]:
        """Where each text begins in the view, in bytes, and where one more would."""
        if self._plain_starts is None:
            sizes = (len(plain(text).encode("utf-8", "surrogatepass")) + len(BETWEEN) for text in self.texts)
            self._plain_starts = list(accumulate(sizes, initial=0))
        return self._plain_starts

    def characters(self, spans: Sequence[Span]) -> Sequence[Span]:
        """Turn spans in the view, in bytes, into spans in the text, in characters."""
        if self._same:
            return spans
        found = characters(self.view, sorted(spans))
        offsets = self._offsets
        return found if offsets is None else [(offsets[start], offsets[end]) for start, end in found]

    def touched(self, pattern: Pattern) -> list[int]:
        """Return the texts that a match in the view lies in or reaches into, in their order."""
        starts, position = self.plain_starts, 0
        touched: list[int] = []
        while span := pattern.span(self.view, position):
            first = bisect_right(starts, span[0]) - 1
            last = bisect_right(starts, max(span[0], span[1] - 1)) - 1
            touched += range(max(first, touched[-1] + 1) if touched else first, last + 1)
            # One byte early, so that what the separator begins is seen.
            position = max(starts[last + 1] - 1, position + 1)
            if position > len(self.view):
                break
        return touched


class Finder:
    """The search for one reader's rules. Safe to share between threads."""

    def __init__(self, detectors: Mapping[str, Replace], fields: Fields, known: Mapping[str, Detector]) -> None:
        self._fields = fields
        self._detectors = [known[name] for name in known if name in detectors]
        self._hidden = [Hidden(detector.name, detectors[detector.name]) for detector in self._detectors]
        hints = [detector.hint for detector in self._detectors]
        names = [detector.names for detector in self._detectors if detector.names]
        headed = [index for index, detector in enumerate(self._detectors) if detector.names and detector.across]
        if fields.anchors:
            hints.append(fields.anchors)
            names.append(fields.anchors)
        self._coded, self._packed = len(hints), len(hints) + 1
        headers = [f"(?i:{self._detectors[index].names})" for index in headed]
        # By detector: its names, and which pattern of the set says whether one of them stands there.
        self._headers = {
            index: (self._packed + number, Pattern(header))
            for number, (index, header) in enumerate(zip(headed, headers, strict=True), 1)
        }
        self._hints = pattern_set((*hints, CODED, PACKED, *headers))
        self._singles = [Pattern(hint) for hint in (*hints, CODED)]
        self._names = Pattern("|".join(f"(?i:{name})" for name in names)) if names else None

    def find(self, joined: Joined, forms: Forms, depth: int = 0) -> Findings:
        """Return all that is to be hidden in these texts, also where it is written in codes. Raises Unreadable."""
        if depth > _MOST_CODINGS:
            raise Unreadable("codes and base64 inside of each other, too many times")
        found = self._find(joined, forms)
        # What is invisible may stand within a value, or before it: then only a view that keeps it tells words apart.
        if (apart := joined.parted()) is not None:
            again = self._find(apart, forms)
            found.groups.extend(again.groups)
            found.named.update(again.named)
            found.packed.update(again.packed)
        if found.coded:
            self._find_coded(joined, forms, found, depth)
        return found

    def _find(self, joined: Joined, forms: Forms) -> Findings:
        groups: list[Group] = []
        named: set[int] = set()
        packed: set[int] = set()
        hinted = self._hints.found(joined.view)
        for index in hinted:
            if index == self._packed:
                packed = {bisect_right(joined.plain_starts, one.span[0]) - 1 for one in packed_in(joined.view)}
            elif index < len(self._detectors):
                spans, heading = self._spans(index, joined, hinted)
                named.update(heading)
                if spans:
                    detector = self._detectors[index]
                    groups.append(Group(joined.characters(spans), self._hidden[index], detector.closed))
            elif index < self._coded:
                touched = joined.touched(self._singles[index])
                named.update(touched)
                groups += self._assigned(joined, touched)
        if forms:
            groups += _literals(joined, forms)
        return Findings(groups, named | self._named_in_quotes(joined), packed, self._coded in hinted)

    def _spans(self, index: int, joined: Joined, hinted: Sequence[int]) -> tuple[list[Span], Sequence[int]]:
        """Return what one detector finds in the view, and the texts in which a name of its own stands."""
        detector = self._detectors[index]
        if not detector.across:
            touched = joined.touched(self._singles[index])
            return list(_one_by_one(detector, joined, touched)), touched if detector.names else ()
        spans = list(detector.find(joined.view))
        hint, header = self._headers.get(index, (-1, None))
        if header is None or hint not in hinted:
            return spans, ()
        if detector.behind:
            spans += detector.behind(joined.view)
        return spans, joined.touched(header)

    def _find_coded(self, joined: Joined, forms: Forms, found: Findings, depth: int) -> None:
        """Look a second time at texts with codes in them, which are undone; add what comes out."""
        candidates = (
            (joined.starts[index], decoded(joined.texts[index])) for index in joined.touched(self._singles[self._coded])
        )
        undone = [(start, plainer) for start, plainer in candidates if plainer]
        if not undone:
            return
        plainers = Joined([plainer.text for _, plainer in undone])
        again = self._find(plainers, forms)
        again.groups.extend(self._packed_values(plainers, forms, again.packed, depth))

        def source(span: Span) -> Span:
            number = bisect_right(plainers.starts, span[0]) - 1
            at, plainer = undone[number]
            first = plainers.starts[number]
            start, end = plainer.source((span[0] - first, max(span[0] + 1, span[1]) - first))
            return at + start, at + end

        found.groups.extend(group._replace(spans=list(map(source, group.spans))) for group in again.groups)

    def _packed_values(self, joined: Joined, forms: Forms, packed: set[int], depth: int) -> Iterator[Group]:
        """Yield base64 that is written in codes and holds something: it is hidden whole."""
        for index in sorted(packed):
            text = Joined((joined.texts[index],))
            for inner in packed_in(text.view):
                hidden = self._within(inner.text, forms, depth + 1)
                if hidden:
                    ((start, end),) = text.characters([inner.span])
                    first = joined.starts[index]
                    yield Group([(first + start, first + end)], hidden, certain=True)

    def _within(self, text: str, forms: Forms, depth: int) -> Hidden | None:
        """Return how the first thing is hidden that a text holds, or the base64 in it."""
        joined = Joined((text,))
        found = self.find(joined, forms, depth)
        if found.packed:
            found.groups.extend(self._packed_values(joined, forms, found.packed, depth))
        return found.groups[0].hidden if found.groups else None

    def _named_in_quotes(self, joined: Joined) -> set[int]:
        """Return the texts in which quotes may part a column's name, as CSV allows: `"pass"word`."""
        if self._names is None or '"' not in joined.text:
            return set()
        quoted = [index for index, text in enumerate(joined.texts) if '"' in text and "\n" in text]
        if not quoted or not self._names.span(joined.view.replace(b'"', b"")):
            return set()
        return set(quoted)

    def _assigned(self, joined: Joined, touched: Sequence[int]) -> Iterator[Group]:
        """What stands after the name of a masked field in text, as in `ssn: 123-45-6789`."""
        for index in touched:
            start = joined.starts[index]
            encoded = joined.texts[index].encode("utf-8", "surrogatepass")
            spans = self._fields.assigned(encoded)
            places = characters(encoded, [(first, last) for first, last, _ in spans])
            for (first, last), (_, _, hidden) in zip(places, spans, strict=True):
                yield Group([(start + first, start + last)], hidden)


def _one_by_one(detector: Detector, joined: Joined, touched: Sequence[int]) -> Iterator[Span]:
    starts = joined.plain_starts
    for index in touched:
        start = starts[index]
        for first, last in detector.find(joined.view[start : starts[index + 1] - len(BETWEEN)]):
            yield start + first, start + last


def _literals(joined: Joined, forms: Forms) -> Iterator[Group]:
    if not forms.occur_in(joined.text.encode("utf-8", "surrogatepass")):
        return
    for text, start in zip(joined.texts, joined.starts, strict=False):
        spans = [(start + first, start + last) for first, last in forms.spans(text)]
        if spans:
            yield Group(spans, _THE_CREDENTIAL, certain=True)


def characters(encoded: bytes, spans: Sequence[Span]) -> list[Span]:
    """Turn byte offsets, sorted by start, into character offsets in one pass."""
    edges = sorted({edge for span in spans for edge in span})
    at: dict[int, int] = {}
    count = last = 0
    for edge in edges:
        count += len(encoded[last:edge].decode("utf-8", "surrogatepass"))
        at[edge] = count
        last = edge
    return [(at[start], at[end]) for start, end in spans]
