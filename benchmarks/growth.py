"""The record as it grows: what a call, a page, a step of the log and a verification cost at each size.

`python -m benchmarks.growth SECONDS SIZE...` migrates a fresh database, fills it to each size in turn by the
product's own sealing and writing, measures, and prints one line of JSON, a list of measurements. A process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - after Django is set up
from django.db import connection  # noqa: E402

from benchmarks.child import ROOT, say  # noqa: E402
from benchmarks.record import ORIGIN, event, measure  # noqa: E402
from sessions import logkey, selectors, store  # noqa: E402
from sessions.anchors import FileAnchor  # noqa: E402
from sessions.events import Event  # noqa: E402
from sessions.ids import uuid7  # noqa: E402
from sessions.recovery import open_calls  # noqa: E402
from sessions.sealing import Sealer  # noqa: E402
from sessions.sequencer import Sequencer  # noqa: E402

CALLERS = 32
_BATCH = 2_000
_CALLS_PER_SESSION = 25
_LONG = "0196f3a2-7c1e-7000-8000-000000000001"  # a tenth of all calls are in this one session
_ACTORS = 50


class Record:
    """A record that is filled and measured."""

    def __init__(self, folder: Path) -> None:
        self.size = 0
        self.calls: list[str] = []
        self._folder = folder
        self._sealer = Sealer(origin=ORIGIN, build="bench", writer=uuid7())
        self._sessions = self._make_sessions()
        self.sequencer = Sequencer(logkey.ensure(folder / "log.key", ORIGIN), [FileAnchor(folder / "checkpoints.txt")])

    def fill(self, size: int) -> None:
        """Bring the record to this many entries, all with their place in the log."""
        if not self.size:
            self._write([Event(kind="process.started")])
        while self.size < size:
            self._write([one for _ in range(min(_BATCH, size - self.size + 1) // 2) for one in self._call()])
        self.sequencer.run_once()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # what autovacuum does in an installation that grows by the day

    def _write(self, events: list[Event]) -> None:
        rows = store.Rows()
        with store.Transaction(store.current(), orm=False) as transaction:
            self._sealer.add(self._sealer.seal(events), rows, transaction.begin().now)
            rows.opened.clear()
            rows.closed.clear()
            transaction.write(rows)
            transaction.commit()
        self._sealer.remember(rows)
        self.size += len(events)

    def _call(self) -> Iterator[Event]:
        call, (session, actor) = uuid7(), next(self._sessions)
        self.calls = [*self.calls[-99:], call]
        for kind in ("call.intent", "call.result"):
            yield event(kind, call, session, actor)

    def _make_sessions(self) -> Iterator[tuple[str, str]]:
        number = 0
        while True:
            number += 1
            own = (uuid7(), f"{number % _ACTORS:032x}")
            for at in range(_CALLS_PER_SESSION):
                yield (_LONG, "f" * 32) if at % 10 == 0 else own

    def verify(self) -> dict[str, float]:
        """Run `manage.py verify`; return its seconds, and the most MiB that it had in memory."""
        command = [sys.executable, "manage.py", "verify", "--key", str(self._folder / "log.pub")]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--anchor", str(self._folder / "checkpoints.txt")], cwd=ROOT, stdout=sys.stderr
        )
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, "the verifier found something"
        return {"seconds": time.perf_counter() - started, "mib": usage.ru_maxrss / 1024}


def _reads(record: Record) -> dict[str, Callable[[], object]]:
    """Return what pages and sweeps ask of the record."""
    return {
        "list of sessions": selectors.recorded_sessions,
        "list of one's own": lambda: selectors.recorded_sessions(actors=[f"{7:032x}"]),
        "list of somebody without any": lambda: selectors.recorded_sessions(actors=["0" * 31 + "x"]),
        "first page of a long session": lambda: selectors.entries_of_session(_LONG, limit=100),
        "later page of it": lambda: selectors.entries_of_session(_LONG, after=record.size // 2, limit=100),
        "one call": lambda: selectors.call_summary(record.calls[0]),
        "search for interrupted calls": lambda: open_calls(now=datetime.now(UTC)),
        "idle step of the log": record.sequencer.run_once,
    }


def _milliseconds(work: Callable[[], object]) -> float:
    """Return what it takes, the best of seven times."""
    taken = []
    for _ in range(7):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken) * 1000


def _measured(record: Record, seconds: float) -> dict[str, Any]:
    calls = uvloop.run(measure(seconds, "call.intent", "call.result", waiters=CALLERS))
    begun = time.perf_counter()
    placed = record.sequencer.run_once()
    log = (time.perf_counter() - begun) * 1e6 / max(placed, 1)
    reads = {name: _milliseconds(work) for name, work in _reads(record).items()}
    verified = record.verify()
    record.size += placed
    return {"size": record.size, "calls": calls, "log": log, "reads": reads, "verify": verified}


def main(seconds: float, sizes: list[int]) -> None:
    """Fill and measure at each size."""
    call_command("migrate", verbosity=0, interactive=False)
    with tempfile.TemporaryDirectory(prefix="holdgate-growth-") as folder:
        record = Record(Path(folder))
        uvloop.run(measure(0.5, "call.message", waiters=CALLERS))
        found = []
        for size in sizes:
            record.fill(size)
            found.append(_measured(record, seconds))
        record.sequencer.resign()
    say(found)


if __name__ == "__main__":
    main(float(sys.argv[1]), [int(size) for size in sys.argv[2:]])
