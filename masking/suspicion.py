"""Searching a whole document before anything is parsed: may the rules cover something in it? Pure.

One pass of one RE2 set over the bytes. The answer may be yes for nothing, never no for something.
"""

from collections.abc import Iterable
from typing import Any, Final

from masking.detectors import pattern_set
from masking.documents import unescaped
from masking.encodings import CODES, undone
from masking.folding import is_folded, parted, plain
from masking.literals import Forms
from masking.packing import PACKED, packed_in
from masking.spans import Hiding

# Escapes can hide any character, the base64 of blobs their text; a zero byte is no JSON in UTF-8.
_ESCAPE: Final = r"\\[ux/0-7]"
_COVER: Final = r"(?i)blob|\x00"

_MOST_WRAPPINGS: Final = 4
_LARGE: Final = 1 << 16
_BEGINNING: Final = 1 << 12
_ARRAYS: Final = (list, tuple)


def texts_of(value: Any) -> list[str]:
    """Return the distinct strings of a parsed JSON value, keys as well."""
    found: dict[str, None] = {}  # in the order of the document, so that every process does the same
    waiting: list[Iterable[Any]] = [(value,)]
    for items in waiting:
        for item in items:
            if isinstance(item, str):
                found[item] = None
            elif type(item) is int:
                continue
            elif isinstance(item, dict):
                for key in item:
                    found[key] = None
                waiting.append(item.values())
            elif isinstance(item, _ARRAYS):
                waiting.append(item)
    return list(found)


def _inside(view: bytes) -> bytes:
    """Return the texts that stand in base64 in a text."""
    return "\n".join(packed.text for packed in packed_in(view)).encode("utf-8", "replace")


class Suspicion:
    """The search for one reader's rules."""

    def __init__(self, hiding: Hiding) -> None:
        anchors = hiding.fields.anchors
        self._everywhere = hiding.fields.everywhere
        self._detectors = [hiding.known[name] for name in hiding.known if name in hiding.detectors]
        hints = [detector.hint for detector in self._detectors]
        self._escape = len(hints)
        hints += [_ESCAPE, _COVER, *([anchors] if anchors else ())]
        self._coded, self._packed = len(hints), len(hints) + 1
        self._patterns = pattern_set((*hints, CODES, PACKED))

    def of(self, document: bytes, forms: Forms) -> bool:
        """Say whether the document may hold what a rule or a secret in `forms` covers; False is certain."""
        if self._everywhere or self._begins_so(document):
            return True
        found = self._patterns.found(document)
        view = document
        if self._escape in found:
            plainer = unescaped(document)
            if plainer is None:
                return True
            view, found = plainer, self._patterns.found(plainer)
        return self._holds(view, found, forms)

    def of_text(self, text: str, forms: Forms) -> bool:
        """Say whether a text may hold what is covered, also where it is JSON; False is certain."""
        view = text.encode("utf-8", "surrogatepass")
        return self._everywhere or self._begins_so(view) or self._inner(view, forms, 0)

    def _begins_so(self, view: bytes) -> bool:
        """Say whether the first bytes of something large settle it already: then the rest need not be searched."""
        if len(view) < _LARGE:
            return False
        beginning = view[:_BEGINNING]
        return any(self._confirmed(index, beginning) for index in self._patterns.found(beginning))

    def _holds(self, view: bytes, found: list[int], forms: Forms, depth: int = 0) -> bool:
        """Say whether text with nothing escaped that need not be may hold it, in its codes and its base64 as well."""
        if forms and forms.occur_in(view):
            return True
        if (depth or not view.isascii()) and is_folded(view):
            text = view.decode("utf-8", "replace")
            apart = parted(text).encode("utf-8", "replace")
            if any(self._confirmed(index, apart) for index in self._patterns.found(apart)):
                return True
            view = plain(text).encode("utf-8", "replace")
            found = self._patterns.found(view)
        inner = None
        if self._packed in found and len(view) >= _LARGE:
            inner = _inside(view)
            if self._begins_so(inner):  # what is packed settles it sooner than the letters that pack it
                return True
        if any(self._confirmed(index, view) for index in found) or (
            self._coded in found and self._in_codes(view, forms, depth)
        ):
            return True
        if self._packed not in found:
            return False
        inner = _inside(view) if inner is None else inner
        return bool(inner) and self._inner(inner, forms, depth)

    def _in_codes(self, view: bytes, forms: Forms, depth: int) -> bool:
        plainer = undone(view)
        return plainer is None or (plainer != view and self._inner(plainer, forms, depth))

    def _inner(self, view: bytes, forms: Forms, depth: int) -> bool:
        # Whatever is wrapped so often is looked at by the walk, which withholds what is wrapped too often.
        return depth >= _MOST_WRAPPINGS or self._holds(view, self._patterns.found(view), forms, depth + 1)

    def _confirmed(self, index: int, view: bytes) -> bool:
        """Say whether a found pattern counts; what is still escaped now is JSON inside of text and does."""
        if index >= self._coded:
            return False
        if index >= len(self._detectors):
            return True
        confirm = self._detectors[index].confirm
        return confirm is None or confirm(view)
