"""Searching a whole document before anything is parsed: may the rules cover something in it? Pure.

One pass of one RE2 set over the bytes. The answer may be yes for nothing, never no for something.
"""

from typing import Final

from masking.detectors import pattern_set
from masking.documents import unescaped
from masking.folding import TELLTALE, plain
from masking.literals import Forms
from masking.spans import Hiding

# Escapes can hide any character, the base64 of blobs their text; a zero byte is no JSON in UTF-8.
_ESCAPE: Final = r"\\[u/]"
_COVER: Final = r"(?i)blob|\x00"


class Suspicion:
    """The search for one reader's rules."""

    def __init__(self, hiding: Hiding) -> None:
        anchors = hiding.fields.anchors
        self._everywhere = anchors == ""
        self._detectors = hiding.detectors_known
        extra = (_ESCAPE, _COVER, anchors) if anchors else (_ESCAPE, _COVER)
        self._patterns = pattern_set((*(detector.hint for detector in self._detectors), *extra))

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

    def _confirmed(self, index: int, view: bytes) -> bool:
        """Say whether a found pattern counts; what is still escaped now is JSON inside of text and does."""
        if index >= len(self._detectors):
            return True
        confirm = self._detectors[index].confirm
        return confirm is None or confirm(view)
