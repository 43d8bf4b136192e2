"""Searching a whole document before anything is parsed: may the rules cover something in it? Pure.

One pass of one RE2 set over the bytes. The answer may be yes for nothing, never no for something.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import re2

from masking.detectors import pattern_set
from masking.documents import unescaped
from masking.folding import TELLTALE, plain
from masking.literals import Forms
from masking.spans import Hiding

# Escapes can hide any character, the base64 of blobs their text; a zero byte is no JSON in UTF-8.
_ESCAPE: Final = r"\\[u/]"
_COVER: Final = r"(?i)blob|\x00"
_BETWEEN: Final = b"\n\x01\n"


def texts_of(value: Any) -> list[str]:
    """Return the distinct strings of a parsed JSON value, keys as well."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.add(item)
        elif isinstance(item, dict):
            found.update(item)
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return list(found)


class Suspicion:
    """The search for one reader's rules."""

    def __init__(self, hiding: Hiding) -> None:
        anchors = hiding.fields.anchors
        self._everywhere = hiding.fields.everywhere
        self._detectors = hiding.detectors_known
        extra = (_ESCAPE, _COVER, anchors) if anchors else (_ESCAPE, _COVER)
        hints = (*(detector.hint for detector in self._detectors), *extra)
        self._patterns = pattern_set(hints)
        self._singles = [re2.compile(hint.encode()) for hint in hints]

    def of(self, document: bytes, forms: Forms) -> bool:
        """Say whether the document may hold what a rule or a secret in `forms` covers; False is certain."""
        if self._everywhere:
            return True
        found = self._patterns.found(document)
        view = document
        if len(self._detectors) in found:
            plainer = unescaped(document)
            if plainer is None:
                return True
            view, found = plainer, self._patterns.found(plainer)
        if forms and forms.occur_in(view):
            return True
        if not view.isascii() and TELLTALE.search(view):
            view = plain(view.decode("utf-8", "replace")).encode("utf-8", "replace")
            found = self._patterns.found(view)
        return any(self._confirmed(index, view) for index in found)

    def clean(self, texts: list[str], forms: Forms) -> frozenset[str]:
        """Return the texts in which nothing can be found, neither as they are nor as JSON.

        All are searched at once, one behind the other: that is much less work than to search each, and a
        match that reaches over several texts counts for each of them.
        """
        encoded = [plain(text).encode("utf-8", "surrogatepass") for text in texts]
        joined = _BETWEEN.join(encoded)
        starts = [0, *accumulate(len(text) + len(_BETWEEN) for text in encoded)]
        touched: set[int] = set()
        for index in self._patterns.found(joined):
            _touch(self._singles[index].search, joined, starts, touched)
        if forms and forms.occur_in("\n".join(texts).encode("utf-8", "surrogatepass")):
            touched.update(index for index, text in enumerate(texts) if any(form in text for form in forms.texts))
        return frozenset(text for index, text in enumerate(texts) if index not in touched)

    def _confirmed(self, index: int, view: bytes) -> bool:
        """Say whether a found pattern counts; what is still escaped now is JSON inside of text and does."""
        if index >= len(self._detectors):
            return True
        confirm = self._detectors[index].confirm
        return confirm is None or confirm(view)


def _touch(search: Callable[[bytes, int], Any], joined: bytes, starts: list[int], touched: set[int]) -> None:
    """Add the texts that a match lies in or reaches into; the search goes on behind the last of them."""
    position = 0
    while match := search(joined, position):
        start, end = match.span()
        first = bisect_right(starts, start) - 1
        last = bisect_right(starts, max(start, end - 1)) - 1
        touched.update(range(first, last + 1))
        # One byte early, so that what the separator begins is seen.
        position = max(starts[min(last + 1, len(starts) - 1)] - 1, position + 1)
