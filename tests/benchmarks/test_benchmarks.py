"""The benchmarks run. What they measure is never asserted: figures belong to a machine and a moment."""

from __future__ import annotations

import subprocess
import sys

from tests.gateway import ROOT


def test_the_quick_policy_cell_prints_a_figure_beside_each_target() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "policy", "--database", "sqlite"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    rows = [line for line in done.stdout.splitlines() if line.startswith("| policy")]
    assert [row.split("|")[-2].strip() for row in rows] == ["< 0.5 ms", "< 10 ms"]
    assert all(row.split("|")[-3].strip().endswith("ms") for row in rows)
