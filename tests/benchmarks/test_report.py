"""Figures, their targets, and the small arithmetic of the soak."""

from __future__ import annotations

import orjson
import pytest

from benchmarks.report import Figure, as_json, table
from benchmarks.soak import line, plot


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        ("0.41 x", ">= 0.4 x", True),
        ("0.39 x", ">= 0.4 x", False),
        ("15,001/s, p50 3.0 ms", ">= 15,000/s", True),
        ("p50 4.9 ms, p99 25.0 ms", "p50 <= 5 ms, p99 <= 25 ms", True),
        ("p50 4.9 ms, p99 25.1 ms", "p50 <= 5 ms, p99 <= 25 ms", False),
        ("988 us CPU, p50 of a commit 0.69 ms", "p50 <= 0.7 ms", True),
        ("exit 1: the record was changed", "exit <= 0", False),
        ("-0.3 % (4 to 3)", "<= 5 %", True),
        ("not measured: no network", ">= 8 x", False),
        ("1.0 to 1.1 ms", "within 10 %", None),
        ("1.0 ms", "", None),
    ],
)
def test_a_figure_is_compared_with_its_target(value: str, target: str, met: bool | None) -> None:
    assert Figure("cell", "what", value, target).met is met


def test_the_table_and_the_json_say_what_was_missed() -> None:
    figures = [Figure("calls", "ratio", "0.2 x", ">= 0.4 x")]

    assert table(figures).splitlines()[-1].rstrip("| ").endswith("MISSED")
    (row,) = orjson.loads(as_json(figures, "command", "machine"))["figures"]
    assert (row["value"], row["met"]) == ("0.2 x", False)


def test_a_line_through_points_has_their_slope() -> None:
    assert line([(0, 1), (1, 3), (2, 5)]) == (2, 1)


def test_a_picture_rises_with_its_values_and_keeps_its_width() -> None:
    assert plot([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert plot([3, 3, 3]) == "▁▁▁"
    assert len(plot([float(number) for number in range(1000)])) == 60
