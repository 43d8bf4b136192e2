"""Globs and patterns: the two ways in which a rule says what a name or a text must look like. Pure.

Everything an administrator writes runs on RE2, which is linear in the text whatever the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import re2

from approvals.rules.folding import fold

# The size of the automaton that one pattern may grow to. More is refused where the rule is written.
_MEMORY: Final = 8 << 20
_WILD: Final = re.compile(r"([*?])")


class PatternError(ValueError):
    """RE2 does not accept the pattern; the message says why."""


def is_glob(text: str) -> bool:
    """Tell whether the text has a wildcard."""
    return "*" in text or "?" in text


def search_pattern(pattern: str) -> Any:
    """Compile a pattern for searching UTF-8 bytes. Raises PatternError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise PatternError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    except UnicodeEncodeError:
        raise PatternError("it holds half of a surrogate pair") from None


class Globs:
    """A set of globs over whole names, compared folded: `*` any characters, `?` one."""

    __slots__ = ("_all", "_exact", "_pattern", "written")

    def __init__(self, globs: Iterable[str]) -> None:
        self.written = written = tuple(globs)
        wild = [glob for glob in written if is_glob(glob)]
        self._all = "*" in written
        self._exact = frozenset(fold(glob) for glob in written if not is_glob(glob))
        self._pattern = search_pattern(f"(?s)^(?:{'|'.join(map(_translated, wild))})$") if wild else None

    def match(self, folded: str) -> bool:
        """Tell whether any glob fits the name, given in the form that `fold` returns."""
        if self._all or folded in self._exact:
            return True
        # Lenient, since the name may come from anywhere: half a surrogate pair fits a wildcard alone.
        return self._pattern is not None and bool(self._pattern.search(folded.encode(errors="replace")))


def _translated(glob: str) -> str:
    pieces = (_WILD_PATTERNS.get(piece) or re2.escape(fold(piece)) for piece in _WILD.split(glob))
    return "".join(pieces)


_WILD_PATTERNS: Final = {"*": ".*", "?": "."}
