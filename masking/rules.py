"""Masking rules as values: which detectors and fields are hidden, on which connections, how, and from whom.

Pure: no Django, no I/O. The keys are those of `masking:` in holdgate.yaml.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

Replace = Literal["label", "partial", "hash", "remove"]

# Where two rules hide the same thing, the stricter way of hiding it wins; a larger number is stricter.
STRICTNESS: Final[Mapping[Replace, int]] = {"partial": 0, "hash": 1, "label": 2, "remove": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskingRule:
    """One rule of the `masking:` section.

    `detectors` are names of `masking.detectors.DETECTORS`; `fields` are paths as `masking.paths` reads them;
    `connections` are names or globs, none meaning every connection; callers in one of `except_groups` see the
    value unless another rule hides it.
    """

    name: str
    detectors: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    replace: Replace = "label"
    except_groups: frozenset[str] = frozenset()

    def governs(self, connection: str) -> bool:
        """Say whether the rule applies to answers and calls of this connection."""
        name = connection.casefold()
        return not self.connections or any(fnmatchcase(name, glob.casefold()) for glob in self.connections)

    def excepts(self, groups: frozenset[str] | None) -> bool:
        """Say whether someone in these groups sees the value; `None` stands for a reader nobody excepts."""
        return groups is not None and not self.except_groups.isdisjoint(groups)


def stricter(first: Replace, second: Replace) -> Replace:
    """Return the stricter of two ways of hiding: remove > label > hash > partial."""
    return first if STRICTNESS[first] >= STRICTNESS[second] else second


def strictest_by_detector(rules: Iterable[MaskingRule]) -> dict[str, Replace]:
    """Return for every detector the rules name the strictest way in which one of them hides it."""
    chosen: dict[str, Replace] = {}
    for rule in rules:
        for detector in rule.detectors:
            chosen[detector] = stricter(chosen.get(detector, rule.replace), rule.replace)
    return chosen
