"""`python -m benchmarks`: measure the gateway beside a bare pass-through, and print figures beside their targets.

The default run takes less than three minutes, `--quick` less than forty seconds. Everything is on loopback, in
a database and a folder of this run alone, and gone afterwards.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import alone, held, paired
from benchmarks.report import Figure, table
from benchmarks.world import database_url, machine, world

CELLS = ("policy", "masking", "record", "calls", "streams", "held")
_LIVE = {"calls", "streams", "held"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: seconds per cell, rounds of each pair, and so on."""

    seconds: float
    rounds: int
    streams: int
    held: int
    decisions: int
    document: int


USUAL = Size(seconds=2.0, rounds=3, streams=10, held=1000, decisions=200, document=1_000_000)
QUICK = Size(seconds=0.6, rounds=1, streams=2, held=50, decisions=20, document=200_000)


def measure(cells: Sequence[str], size: Size, database: str) -> list[Figure]:
    """Run the cells that were asked for and return their figures."""
    figures: list[Figure] = []
    if "policy" in cells:
        figures += alone.policy(seconds=size.seconds / 2)
    if "masking" in cells:
        figures += alone.masking(seconds=size.seconds / 2, size=size.document)
    if "record" in cells:
        figures += alone.record(database, seconds=size.seconds)
    if not _LIVE & set(cells):
        return figures
    with world(database) as running:
        if "calls" in cells:
            figures += paired.calls(running, seconds=size.seconds, rounds=size.rounds)
        if "streams" in cells:
            figures += paired.streams(running, count=size.streams)
        if "held" in cells:
            figures += held.held(running, count=size.held, decisions=size.decisions)
    return figures


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0; a wrong answer or a process that fails ends the run with an exception."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than forty seconds, and coarse figures")
    parser.add_argument("--only", action="append", choices=CELLS, help="one cell; may be repeated")
    parser.add_argument("--held", type=int, metavar="N", help="how many calls wait at once (try 10000)")
    parser.add_argument("--database", default="", help="sqlite, or PostgreSQL's URL; default: what answers here")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else USUAL
    if chosen.held:
        size = Size(**{**{name: getattr(size, name) for name in Size.__slots__}, "held": chosen.held})
    _allow_descriptors(2 * size.held + 1000)
    database = database_url(chosen.database)
    figures = measure(chosen.only or CELLS, size, database)
    print(f"python -m benchmarks {' '.join(arguments)}".rstrip())
    print(machine(database) + "\n")
    print(table(figures))
    return 0


def _allow_descriptors(wanted: int) -> None:
    """Every held call is an open connection, in the load and in the gateway, which inherits this limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
