"""Figures beside their targets: as a table, and as JSON."""

from __future__ import annotations

import operator
import re
from dataclasses import asdict, dataclass

import orjson

_TERM = re.compile(r"(?P<name>p\d+|exit)?\s*(?P<sign>[<>]=?)\s*(?P<bound>[\d,.]+)")
_NUMBER = r"[+-]?\d[\d,]*(?:\.\d+)?"
_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COLUMNS = ("cell", "what", "figure", "target", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target` is what we promise ourselves, empty where we promise nothing.

    A target such as "<= 5 ms" speaks of the first number of the value, "p50 <= 5 ms, p99 <= 25 ms" of those that
    follow these names; both are in the same unit. A target in other words is for the reader alone.
    """

    cell: str
    what: str
    value: str
    target: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where it says nothing that can be compared."""
        terms = list(_TERM.finditer(self.target))
        return all(self._reaches(term) for term in terms) if terms else None

    def _reaches(self, term: re.Match[str]) -> bool:
        found = re.search(rf"{term['name'] or ''}[^\d+-]*(?P<number>{_NUMBER})", self.value)
        return found is not None and bool(_SIGNS[term["sign"]](_plain(found["number"]), _plain(term["bound"])))


def _plain(number: str) -> float:
    return float(number.replace(",", ""))


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table in columns."""
    verdicts = {True: "met", False: "MISSED", None: ""}
    rows = [_COLUMNS]
    rows += [(figure.cell, figure.what, figure.value, figure.target, verdicts[figure.met]) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_json(figures: list[Figure], command: str, machine: str) -> bytes:
    """Return the run as one JSON document: what was run, where, and each figure with whether it was met."""
    rows = [{**asdict(figure), "met": figure.met} for figure in figures]
    return orjson.dumps({"command": command, "machine": machine, "figures": rows}, option=orjson.OPT_INDENT_2)
