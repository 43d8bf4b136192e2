"""Figures beside their targets, as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target` is what DESIGN.md promises, empty where it promises nothing."""

    cell: str
    what: str
    value: str
    target: str = ""


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table in columns."""
    rows = [("cell", "what", "figure", "target")]
    rows += [(figure.cell, figure.what, figure.value, figure.target) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
