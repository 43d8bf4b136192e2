"""Hiding spans in text: what detectors find becomes a label, a partial value, a pseudonym, nothing. Pure."""

import hashlib
import hmac
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from masking.detectors import BY_NAME, LONGEST_KEPT_NAME, Detector, hides_value, is_card_number, key_rules, of_key
from masking.fields import Fields, Hidden
from masking.finding import CREDENTIAL, Finder, Group, Joined
from masking.folding import plain_bytes, same_name
from masking.joints import Found, at_once, merged
from masking.literals import WORDS, Forms, forms_of
from masking.patterns import Span
from masking.rules import Replace
from masking.tables import COLUMN_NAMES

_MOST_NAMES: Final = 4096
_FEW: Final = 16
# Names of members that say what else their object holds.
_TELLING: Final = frozenset({*COLUMN_NAMES, "value", "blob"})
_PARTIAL_FROM: Final = 8
# What makes a text more than a value: blanks, quotes, brackets, what shells and SQL give a meaning.
_CODE: Final = re.compile(r"""[\s"'`;|<>(){}\\]|&&|\$\(|\$\{|--""")
_LONGEST_VALUE: Final = 128
_FEWEST_CARD_DIGITS: Final = 12
_LEAST_CARD: Final = 10 ** (_FEWEST_CARD_DIGITS - 1)


class Shown(NamedTuple):
    """What is shown in place of a text, what was hidden in it, whether it names a masked column or holds base64.

    It is `simple` when it does neither: then nothing is to be done but to show it.
    """

    text: str
    names: Sequence[str]
    named: bool = False
    packed: bool = False
    simple: bool = True


def _simple(text: str, names: Sequence[str]) -> Shown:
    """Return what is shown in place of a text that needs no more: a third of the time that naming the parts takes."""
    return tuple.__new__(Shown, (text, names, False, False, True))


class Hiding:
    """How values are replaced for one reader.

    With `hash_key` (bytes, per installation) pseudonyms are keyed; with `lengths` every mask shows how many
    characters it hides and nothing is ever removed, which is the view of an approver: code stays readable in it, unless
    `whole` says that it leaves the house. `known` are all detectors by
    name, those of an admin behind those that come with the gateway.
    """

    def __init__(
        self,
        detectors: Mapping[str, Replace],
        fields: Fields,
        hash_key: bytes,
        *,
        lengths: bool = False,
        whole: bool = False,
        known: Mapping[str, Detector] = BY_NAME,
    ) -> None:
        self.fields = fields
        self.known = known
        self.detectors = dict(detectors)
        self.lengths = lengths
        self.shows_code = lengths and not whole
        self.whole = whole
        self._hash_key = hash_key
        # Whether what is removed from a text may have to stay as a label where the text is a key.
        self.removes = "remove" in self.detectors.values() or fields.removes
        self._names = lru_cache(maxsize=_MOST_NAMES)(self._of_name)
        self._finder = Finder(self.detectors, fields, known)
        self._custom = [known[name] for name in known if name not in BY_NAME and name in self.detectors]
        self._custom_keys = key_rules(self._custom)
        self._labels = {name: f"[{name}]" for name in (*self.detectors, *fields.labels, CREDENTIAL)}
        self.hides_numbers = "credit_card" in self.detectors or bool(self._custom)
        # Integers between these are hidden for what they are by no detector.
        self.plain_numbers = (0, 0) if self._custom else (-_LEAST_CARD, _LEAST_CARD)
        # What a mask of ours looks like: masking it again would change pseudonyms and count hits that are none.
        names = "|".join(map(re.escape, (CREDENTIAL, *known, *(sorted(fields.labels) if lengths else ()))))
        self._ours = re.compile(rf"\[(?:{names})(?::[0-9a-f]{{8}}|:[0-9]+ chars)?\]")

    def of_key(self, name: str) -> Hidden | None:
        """Return how values under a key or column of this name are hidden by a detector."""
        detector = of_key(name, self.detectors) or self._custom_of_key(name)
        return Hidden(detector, self.detectors[detector]) if detector else None

    def _custom_of_key(self, name: str) -> str | None:
        encoded = same_name(name).encode("utf-8", "replace") if self._custom_keys else b""
        return next((detector for detector, pattern in self._custom_keys if pattern.span(encoded)), None)

    def of_number(self, number: int | float | str) -> Hidden | None:
        """Return how a JSON number, or one in its own spelling, is hidden for what it is; None: it is not."""
        low, high = self.plain_numbers
        if isinstance(number, int) and low < number < high:
            return None
        spelling = str(number).encode("ascii", "replace")
        if "credit_card" in self.detectors and (
            is_card_number(number)
            if isinstance(number, int)
            else len(spelling) >= _FEWEST_CARD_DIGITS and BY_NAME["credit_card"].finds(spelling)
        ):
            return Hidden("credit_card", self.detectors["credit_card"])
        found = next((one.name for one in self._custom if one.finds(spelling)), None)
        return Hidden(found, self.detectors[found]) if found else None

    def _of_name(self, key: str) -> tuple[str, Hidden | None, bool]:
        name, by_detector = same_name(key), self.of_key(key)
        ordinary = by_detector is None and name not in _TELLING and not self.fields.may_name(name)
        return name, by_detector, ordinary

    @cached_property
    def words(self) -> Mapping[str, None]:
        """The words of the protocol in which nothing is hidden, whatever else a message holds."""
        shown = self.shown(WORDS, forms_of(()))
        return dict.fromkeys(word for word in WORDS if shown[word] is None)

    @cached_property
    def ordinary_words(self) -> Mapping[str, str]:
        """Those of the words that are ordinary names of members, and how they are compared."""
        return {word: name for word in self.words for name, _, ordinary in (self.of_name(word),) if ordinary}

    def of_name(self, key: str) -> tuple[str, Hidden | None, bool]:
        """Return the name of a key, how a detector hides its value, and whether neither name nor place ever does.

        Short ones are remembered: documents have the same few keys again and again.
        """
        return (self._names if len(key) <= LONGEST_KEPT_NAME else self._of_name)(key)

    def hides(self, hidden: Hidden, value: object) -> bool:
        """Say whether hiding by name reaches this value: a field's always, a detector's by type."""
        return hidden.name not in self.known or hides_value(hidden.name, value)

    def cells_hidden(self, hidden: Hidden, cells: Sequence[str]) -> list[bool]:
        """Say the same of each cell of a column; never of an empty one."""
        detector = BY_NAME.get(hidden.name)
        fits = detector.fits if detector else None
        if fits is None:
            return [cell != "" for cell in cells]
        return [cell != "" and fits(plain_bytes(cell)) for cell in cells]

    def is_ours(self, text: str) -> bool:
        """Say whether a text is nothing but a mask of ours."""
        return text[:1] == "[" and self._ours.fullmatch(text) is not None

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

    def replaced_number(self, spelling: str, hidden: Hidden) -> int:
        """Return what stands for a hidden number: 0, or a pseudonym, so that joins go on working."""
        if hidden.replace != "hash":
            return 0
        message = f"{hidden.name}\0{spelling}".encode()
        return int(hmac.new(self._hash_key, message, hashlib.sha256).hexdigest()[:8], 16) >> 1 or 1

    def found(self, text: str, forms: Forms) -> list[tuple[int, int, str, Replace]]:
        """Return what is to be hidden in a text: from where to where, under which name, and how."""
        joints = merged(sorted(self._counted(text, self._finder.find(Joined((text,)), forms).groups)))
        return [(start, end, hidden.name, hidden.replace) for start, end, _, _, hidden in joints]

    def found_alone(self, texts: Sequence[str], forms: Forms) -> list[list[Span]]:
        """Return for each text the spans that are to be hidden in it, whatever stands in the others."""
        joined = Joined(texts)
        found: list[list[Span]] = [[] for _ in texts]
        counted = self._counted(joined.text, self._finder.find(joined, forms).groups)
        for start, end, *_ in merged(sorted(counted)):
            index = bisect_right(joined.starts, start) - 1
            found[index].append((start - joined.starts[index], end - joined.starts[index]))
        return found

    def mask(self, text: str, forms: Forms, hits: dict[str, int], *, key: bool = False) -> str:
        """Return the text with everything hidden that the detectors or the secret `forms` cover.

        `hits` counts what was hidden by name. For a `key`, removal is a label, since a key must stay.
        """
        shown = self.shown((text,), forms, keys=key)[text]
        if shown is None:
            return text
        count(shown.names, hits)
        return shown.text

    def shown(self, texts: Sequence[str], forms: Forms, *, keys: bool = False) -> dict[str, Shown | None]:
        """Return for each of these distinct texts what is shown in its place; None: the text itself."""
        known: dict[str, Shown | None] = dict.fromkeys(texts)
        joined = Joined(texts)
        groups, named, packed, _ = self._finder.find(joined, forms)
        for index in named | packed:
            known[texts[index]] = Shown(texts[index], (), index in named, index in packed, simple=False)
        if groups:
            for index, text, names in self._rewritten(joined, sorted(self._counted(joined.text, groups)), keys=keys):
                about = known[texts[index]]
                known[texts[index]] = about._replace(text=text, names=names) if about else _simple(text, names)
        return known

    def _counted(self, text: str, groups: Iterable[Group]) -> list[Found]:
        """Give what is found a place in the order of searches; leave out masks of ours and, for approvers, code."""
        counted: list[Found] = []
        masks = "[" in text
        for order, (spans, hidden, closed, certain) in enumerate(groups):
            if not (certain or closed or not self.shows_code):
                spans = [(start, end) for start, end in spans if is_plain_value(text[start:end])]
            counted += [
                (start, -end, order, hidden)
                for start, end in spans
                if start != end
                and (not masks or text[start] != "[" or certain or not self._ours.fullmatch(text, start, end))
            ]
        return counted

    def _rewritten(self, joined: Joined, found: Sequence[Found], *, keys: bool) -> Iterable[tuple[int, str, list[str]]]:
        """Return the number of each text in which something is hidden, what is shown for it, and what was hidden."""
        if len(found) > _FEW:
            text, labels = joined.text, {} if self.lengths else self._labels
            shown = [
                labels[hidden.name]
                if hidden.replace == "label" and labels
                else self._instead(text, start, -minus_end, hidden, keys)
                for start, minus_end, _, hidden in found
            ]
            if (rewritten := at_once(joined, found, shown)) is not None:
                return rewritten
        return self._one_by_one(joined, found, keys)

    def _one_by_one(self, joined: Joined, found: Iterable[Found], keys: bool) -> Iterator[tuple[int, str, list[str]]]:
        text, starts = joined.text, joined.starts
        pieces: list[str] = []
        names: list[str] = []
        index = position = behind = 0
        for start, end, first, last, hidden in merged(found):
            if start >= behind:
                if names:
                    yield index, "".join((*pieces, text[position : starts[index] + len(joined.texts[index])])), names
                    pieces, names = [], []
                index = bisect_right(starts, start) - 1
                position, behind = starts[index], starts[index + 1]
            if self.lengths and hidden.name != CREDENTIAL:
                first, last = start, end
            pieces += (text[position:start], self._instead(text, first, last, hidden, keys))
            names.append(hidden.name)
            position = end
        if names:
            yield index, "".join((*pieces, text[position : starts[index] + len(joined.texts[index])])), names

    def _instead(self, text: str, first: int, last: int, hidden: Hidden, keys: bool) -> str:
        """Return what stands for a span of a text; a label for what is removed from a key."""
        replace: Replace = "label" if keys and hidden.replace == "remove" else hidden.replace
        if replace == "label" and not self.lengths:
            return self._labels[hidden.name]
        return self.replaced(text[first:last], hidden.name, replace)


def count(names: Sequence[str], hits: dict[str, int]) -> None:
    """Count each of these names once more."""
    if len(names) > _FEW:
        for name, times in Counter(names).items():
            hits[name] = hits.get(name, 0) + times
    else:
        for name in names:
            hits[name] = hits.get(name, 0) + 1


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
