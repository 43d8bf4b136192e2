"""`python -m benchmarks`: measure the gateway beside a bare pass-through, and print figures beside their targets.

The default run takes about eight minutes, `--quick` about one, without the peers. Everything is on loopback, in a
database and a folder of this run alone, and gone afterwards.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import across, alone, behind, held, masked, paired, peers, recall, soak
from benchmarks.report import Figure, as_json, table
from benchmarks.world import World, database_url, machine, world

CELLS = ("policy", "masking", "recall", "record", "across", "calls", "bodies", "streams", "agent", "peers", "held")
# These take minutes, so they are measured only when they are asked for.
SLOW = ("growth", "soak")
UNHURRIED = {"peers"}  # not with --quick
FEW = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: seconds per cell, rounds of each pair, and so on."""

    seconds: float
    rounds: int
    streams: int
    held: int
    decisions: int
    document: int
    growth: tuple[int, int]
    minutes: float


USUAL = Size(
    seconds=2.0,
    rounds=3,
    streams=10,
    held=1000,
    decisions=200,
    document=1_000_000,
    growth=(10_000, 1_000_000),
    minutes=15,
)
QUICK = Size(
    seconds=0.6, rounds=1, streams=2, held=50, decisions=20, document=200_000, growth=(2_000, 20_000), minutes=0.5
)


def measure(cells: Sequence[str], size: Size, database: str) -> list[Figure]:
    """Run the cells that were asked for and return their figures."""
    alone_cells: dict[str, Callable[[], list[Figure]]] = {
        "policy": lambda: alone.policy(seconds=size.seconds / 2),
        "masking": lambda: masked.masking(seconds=size.seconds / 2, size=size.document),
        "recall": lambda: recall.recall(install=list(cells) == ["recall"]),
        "record": lambda: alone.record(database, seconds=size.seconds),
        "growth": lambda: alone.growth(database, seconds=size.seconds, sizes=size.growth),
        "across": lambda: across.across(
            database, counts=sorted({min(FEW, size.held), size.held}), decisions=size.decisions
        ),
    }
    world_cells: dict[str, Callable[[World], list[Figure]]] = {
        "calls": lambda running: paired.calls(running, seconds=size.seconds, rounds=size.rounds),
        "bodies": lambda running: paired.bodies(running, seconds=size.seconds / 2, rounds=size.rounds),
        "streams": lambda running: paired.streams(running, count=size.streams),
        "agent": lambda running: behind.behind(running, seconds=size.seconds, rounds=size.rounds),
        "peers": lambda running: peers.peers(
            running, seconds=size.seconds * 1.5, rounds=size.rounds, install=list(cells) == ["peers"]
        ),
        "held": lambda running: held.held(running, count=size.held, decisions=size.decisions),
        "soak": lambda running: soak.soak(running, minutes=size.minutes),  # the last: it stops the gateway
    }
    figures = [figure for name, cell in alone_cells.items() if name in cells for figure in cell()]
    if set(world_cells) & set(cells):
        with world(database) as running:
            figures += [figure for name, cell in world_cells.items() if name in cells for figure in cell(running)]
    return figures


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 0; a wrong answer or a process that fails ends the run with an exception."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, and coarse figures; no peers")
    parser.add_argument("--only", action="append", choices=(*CELLS, *SLOW), help="one cell; may be repeated")
    parser.add_argument("--held", type=int, metavar="N", help="how many calls wait at once (10000)")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long the soak takes (15)")
    parser.add_argument("--database", default="", help="sqlite, or PostgreSQL's URL; default: what answers here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    chosen = parser.parse_args(arguments)
    size = QUICK if chosen.quick else USUAL
    size = replace(size, held=chosen.held or size.held, minutes=chosen.minutes or size.minutes)
    _allow_descriptors(2 * size.held + 1000)
    usual = [name for name in CELLS if not (chosen.quick and name in UNHURRIED)]
    database = database_url(chosen.database)
    figures = measure(chosen.only or usual, size, database)
    command, where = f"python -m benchmarks {' '.join(arguments)}".rstrip(), machine(database)
    print(command)
    print(where + "\n")
    print(table(figures))
    if chosen.json:
        chosen.json.write_bytes(as_json(figures, command, where))
    return 0


def _allow_descriptors(wanted: int) -> None:
    """Every held call is an open connection, in the load and in the gateway, which inherits this limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
