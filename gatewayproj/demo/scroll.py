"""What the demo prints: few calm lines, a status word first, and one line that ticks while somebody must
decide.
"""

from __future__ import annotations

import os
import textwrap
from typing import TextIO

from proxy.client.watching import printable

WORD, WIDTH = 10, 100
# Colours of a terminal (ECMA-48): what went through, what waits, what was stopped.
_WENT, _WAITS, _STOPPED, _MASKED, _DEFAULT = "32", "33", "31", "36", "39"
_COLOURS = {
    **dict.fromkeys(("approved", "executed", "verified", "seen"), _WENT),
    **dict.fromkeys(("blocked", "denied", "expired"), _STOPPED),
    "held": _WAITS,
    "masked": _MASKED,
}


class Scroll:
    """Writes the story to a terminal or into a log, where nothing is overwritten and nothing is coloured."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.is_terminal = out.isatty()
        self._colours = self.is_terminal and "NO_COLOR" not in os.environ
        self._ticking = False

    def line(self, word: str, text: str) -> None:
        """Print what happened: a status word and one sentence, wrapped under itself."""
        first, *rest = textwrap.wrap(printable(text), WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
        self._write(f"  {self._coloured(word)} {first}\n")
        for more in rest:
            self._write(f"  {'':{WORD}} {more}\n")

    def plain(self, text: str = "") -> None:
        """Print text as it is."""
        self._write(f"{text}\n")

    def tick(self, text: str) -> None:
        """Show the state of a wait: on a terminal in place, in a log as a line."""
        if not self.is_terminal:
            self.line("...", text)
            return
        self._out.write(f"\r\x1b[K  {'...':{WORD}} {text}")
        self._out.flush()
        self._ticking = True

    def _write(self, text: str) -> None:
        if self._ticking:
            self._out.write("\r\x1b[K")
            self._ticking = False
        self._out.write(text)
        self._out.flush()

    def _coloured(self, word: str) -> str:
        padded = f"{word:{WORD}}"
        if not self._colours:
            return padded
        usual = _STOPPED if word.isupper() else _DEFAULT
        return f"\x1b[1;{_COLOURS.get(word, usual)}m{padded}\x1b[0m"
