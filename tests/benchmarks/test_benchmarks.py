"""The benchmarks run. What they measure is never asserted: figures belong to a machine and a moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson

from tests.gateway import ROOT


def run(folder: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """Run the benchmarks without any peer installed; return the values by cell and line."""
    found = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(found), *arguments]
    env = {**os.environ, "HOLDGATE_BENCH_ENVS": str(folder / "none")}
    subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=180, check=True)
    cells: dict[str, dict[str, str]] = {}
    for figure in orjson.loads(found.read_bytes())["figures"]:
        cells.setdefault(figure["cell"], {})[figure["what"]] = figure["value"]
    return cells


def test_the_quick_policy_cell_prints_a_figure_beside_each_target() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "policy", "--database", "sqlite"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    rows = [line for line in done.stdout.splitlines() if line.startswith("| policy")]
    assert [row.split("|")[-3].strip() for row in rows] == ["< 0.5 ms", "< 0.5 ms", "< 10 ms"]
    assert all(row.split("|")[-4].strip().endswith("ms") for row in rows)


def test_the_gateway_is_measured_with_large_answers_and_under_mixed_traffic(tmp_path: Path) -> None:
    cells = run(
        tmp_path, "--only", "bodies", "--only", "peers", "--only", "soak", "--minutes", "0.1", "--database", "sqlite"
    )

    assert {"direct", "pass-through", "governed", "small calls beside it"} <= set(cells["1 MiB"])
    assert all(value.startswith("not measured: not installed") for value in cells["peers c=32"].values())
    assert cells["soak 0.1 min"]["manage.py verify"].startswith("exit 0: verified")


def test_recall_is_told_of_every_detector_and_of_a_peer_only_where_it_is(tmp_path: Path) -> None:
    cells = run(tmp_path, "--only", "recall", "--only", "policy", "--database", "sqlite")["recall"]

    assert cells["email"].startswith("recall 1.000, precision 0.994; Presidio not measured")
    assert cells["presidio-analyzer==2.2.366"].startswith("not measured: not installed")


def test_decisions_are_measured_across_two_processes(tmp_path: Path, postgresql_url: str) -> None:
    cells = run(tmp_path, "--only", "across", "--held", "6", "--database", postgresql_url)

    assert list(cells) == ["across n=6", "across n=3, no hints"]
