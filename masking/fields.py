"""The field rules of one reader: which place, column or assignment in text is hidden, and how. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import re2

from masking.folding import same_name
from masking.paths import FieldPath, Place, parse_path
from masking.patterns import Pattern
from masking.rules import MaskingRule, Replace, stricter
from masking.secrets import ASSIGNS, assigned

_NOT_IN_LABELS = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a value is hidden as: the name in its label and in the count of hits, and the way."""

    name: str
    replace: Replace


class Fields:
    """Field paths of the rules that govern, ready to be asked for every member of a document."""

    def __init__(self, rules: Iterable[MaskingRule]) -> None:
        self._by_last: dict[str | None, list[tuple[FieldPath, Hidden]]] = {}
        self._columns: dict[str, Hidden] = {}
        self.labels: set[str] = set()
        anchors: set[str] = set()
        self._everywhere = False
        for rule in rules:
            for path in map(parse_path, rule.fields):
                hidden = Hidden(_label(path, rule), rule.replace)
                self.labels.add(hidden.name)
                self._by_last.setdefault(path.last, []).append((path, hidden))
                if path.column:
                    known = self._columns.get(path.column, hidden)
                    self._columns[path.column] = Hidden(hidden.name, stricter(known.replace, rule.replace))
                anchors.add(path.anchor or "")
        self.removes = any(hidden.replace == "remove" for hidden in self._columns.values())
        self._anchors = anchors
        self._assigns: Pattern | None = None
        if self._columns:
            named = rf"(?i)(?:^|[^\pL\pN_])({_union(set(self._columns))}){ASSIGNS}"
            self._assigns = Pattern(named)

    @property
    def anchors(self) -> str | None:
        """An RE2 pattern found wherever a rule with a name in it could match; None without such a rule."""
        named = self._anchors - {""}
        return f"(?i)(?:{_union(named)})" if named else None

    @property
    def everywhere(self) -> bool:
        """Whether a rule has wildcards only and so could match in any document."""
        return "" in self._anchors

    def may_name(self, name: str | None) -> bool:
        """Say whether a rule may hide a value whose last name this is, in some place; None: an element of an array."""
        return name in self._by_last or None in self._by_last

    def of(self, place: Place) -> Hidden | None:
        """Return how the value at this place is hidden; of several rules the strictest, of equals the named path."""
        if not self._by_last:
            return None
        last = place[-1] if place else None
        if None not in self._by_last and last not in self._by_last:
            return None
        chosen: Hidden | None = None
        for key in (last, None) if isinstance(last, str) else (None,):  # a name before wildcards, in every process
            for path, hidden in self._by_last.get(key, ()):
                if path.matches(place):
                    chosen = _strictest(chosen, hidden)
        return chosen

    def of_column(self, name: str) -> Hidden | None:
        """Return how the cells of a table's column of this name are hidden."""
        return self._columns.get(same_name(name)) if self._columns else None

    def assigned(self, text: bytes) -> list[tuple[int, int, Hidden]]:
        """Return the spans of values assigned to a masked name in text, sorted: `ssn=…`, `"ssn": "…"`."""
        if self._assigns is None:
            return []
        spans = []
        for groups, span in assigned(self._assigns, text):
            first, last = groups[1]
            hidden = self._columns.get(same_name(text[first:last].decode("utf-8", "replace")))
            if hidden:
                spans.append((*span, hidden))
        return sorted(spans, key=lambda span: span[:2])


def _strictest(first: Hidden | None, second: Hidden) -> Hidden:
    if first is None or stricter(first.replace, second.replace) != first.replace:
        return second
    return first


def _label(path: FieldPath, rule: MaskingRule) -> str:
    return _NOT_IN_LABELS.sub("_", path.last or path.anchor or same_name(rule.name))


def _union(names: set[str]) -> str:
    return "|".join(re2.escape(name) for name in sorted(names, key=len, reverse=True))
