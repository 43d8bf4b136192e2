"""Conditions on what a value holds: kinds of SQL, and what the detectors of masking find. Pure.

Read widely for rules that deny or hold, narrowly for rules that allow, as every condition is (`conditions`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from approvals.rules.folding import EvaluationError
from approvals.sql.kinds import kinds_of
from approvals.sql.lexing import MOST_BYTES
from masking.engine import Engine, MaskingFailed
from masking.rules import MaskingRule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from approvals.rules.paths import Arguments, Lookup
    from approvals.sql.words import Kind
    from masking.detectors import Detector

# Of one call so much SQL is examined on a path, about 60 ms of work; a call with more is judged by the stricter side.
MOST_TEXTS: Final = 64
MOST_TOGETHER: Final = 2 * MOST_BYTES
_KEY: Final = bytes(16)  # keys pseudonyms, and none is made here


class SqlTexts:
    """The SQL on one path: what each value does, None for one that is no text. Rules that share it share the work."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def __call__(self, arguments: Arguments) -> list[frozenset[Kind] | None]:
        """Return the kinds of each value on the path. Raises EvaluationError for more SQL than is examined."""
        values = arguments.values(self._lookup)
        texts = [value for value in values if isinstance(value, str)]
        # What is too long costs nothing, for it is not examined.
        if len(texts) > MOST_TEXTS or sum(len(text) for text in texts if len(text) <= MOST_BYTES) > MOST_TOGETHER:
            raise EvaluationError("more SQL on one path than is examined")
        return [kinds_of(value, arguments.dialect) if isinstance(value, str) else None for value in values]


def sql_check(texts: SqlTexts, wanted: Sequence[Kind], *, narrow: bool, negative: bool) -> Callable[[Arguments], bool]:
    """Return the check of `sql_kind` or `sql_kind_not`.

    Widely read one kind of one text is enough, and `sql_kind_not` holds unless every value is SQL of these kinds alone.
    """
    kinds = frozenset(wanted)
    if narrow and negative:
        # What cannot be told may be any of them.
        excluded: frozenset[Kind] = kinds | {"unparsable"}
        return lambda arguments: all(found is None or not found & excluded for found in arguments.once(texts))
    if not narrow and not negative:
        return lambda arguments: any(found and found & kinds for found in arguments.once(texts))
    return lambda arguments: _only(arguments.once(texts), kinds) is not negative


def _only(found: Sequence[frozenset[Kind] | None], kinds: frozenset[Kind]) -> bool:
    return bool(found) and all(one is not None and one <= kinds for one in found)


class Carries:
    """Says whether detectors find something in what lies on a path: in texts, numbers, and values by their names."""

    __slots__ = ("_lookup", "_masker")

    def __init__(self, lookup: Lookup, detectors: Sequence[str], own: Sequence[Detector] = ()) -> None:
        path = lookup.path
        if path.strings:
            # The last step means every string below; the detectors walk by themselves, and see names and numbers too.
            lookup = replace(lookup, path=replace(path, steps=path.steps[:-1], strings=False), names=False)
        self._lookup = lookup
        rule = MaskingRule(name="contains", detectors=tuple(detectors))
        self._masker = Engine([rule], hash_key=_KEY, custom=own).masker("", None)

    def __call__(self, arguments: Arguments) -> bool:
        """Tell whether there is a hit. Raises EvaluationError where a value cannot be searched."""
        try:
            return any(self._masker.value(value) != value for value in arguments.values(self._lookup))
        except MaskingFailed as error:
            raise EvaluationError("a value cannot be searched by the detectors") from error
