"""Decisions across processes: calls wait at one web process and are decided at another, on one PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.child import Child, child, pin
from benchmarks.report import Figure
from benchmarks.world import HELD, LOAD_CORE, TARGET_CORE, bearers, configuration, fresh_installation, upstream_url
from tests.gateway import Gateway
from tests.issuer import running_issuer
from tests.relay import Relay, relay

UNHINTED = 20
_SHOWN = "p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.1f} ms"


@dataclass
class Pair:
    """Two web processes of one installation. The way by which the waiting one hears of the other can be cut."""

    waiting: Gateway
    deciding: Gateway
    hints: Relay
    load: Child
    dave: str
    alice: str

    def hold(self, count: int) -> None:
        """Open so many more held calls at the one."""
        self.load.ask(do="hold", port=self.waiting.port, path=f"/mcp/{HELD}", count=count, authorization=self.dave)

    def decide(self, count: int) -> dict[str, dict[str, float]]:
        """Approve so many of them at the other; return the times of `load.decide`."""
        answer: dict[str, dict[str, float]] = self.load.ask(
            do="decide", port=self.deciding.port, count=count, authorization=self.alice
        )
        return answer


@contextlib.contextmanager
def _pair(database: str) -> Iterator[Pair]:
    with (
        running_issuer() as issuer,
        fresh_installation(database) as deciding,
        child("benchmarks.upstream", core=LOAD_CORE) as upstream,
        child("benchmarks.load", core=LOAD_CORE) as load,
    ):
        deciding.configure(configuration(issuer.url, upstream_url(upstream)))
        deciding.form = "web"
        deciding.prepare()
        address = urlsplit(deciding.database_url)
        with relay(str(address.hostname), address.port or 5432) as hints:
            user = f"{address.netloc.rpartition('@')[0]}@" if "@" in address.netloc else ""
            past = address._replace(netloc=f"{user}127.0.0.1:{hints.port}").geturl()
            waiting = deciding.sibling("web", DATABASE_DIRECT_URL=past)
            try:
                for gateway, core in ((deciding, LOAD_CORE), (waiting, TARGET_CORE)):
                    gateway.start()
                    assert gateway.process is not None
                    pin(gateway.process.pid, core)
                yield Pair(waiting, deciding, hints, load, *bearers(issuer))
            finally:
                waiting.kill()


def across(database: str, *, counts: Sequence[int], decisions: int) -> list[Figure]:
    """Measure from a decision at one process to the call at the other, and the same when no hint gets through.

    `counts` are the numbers of calls that wait, in ascending order. SQLite has no second process: no figures.
    """
    if not database:
        return [Figure("across", "two processes", "not measured: SQLite is for one process")]
    figures: list[Figure] = []
    with _pair(database) as pair:
        held = 0
        for count in counts:
            pair.hold(count - held)
            asked = min(decisions, count // 2)
            held = count - asked
            figures += _figures(f"across n={count:,}", pair.decide(asked), "p50 <= 5 ms, p99 <= 25 ms")
        pair.hints.cut()
        unhinted = pair.decide(min(UNHINTED, held))
        cell = f"across n={held:,}, no hints"
        figures.append(Figure(cell, "decided -> call run and answered", _longest(unhinted["decided"]), "<= 2500 ms"))
        pair.load.ask(do="leave")
    return figures


def _figures(cell: str, times: dict[str, dict[str, float]], target: str) -> list[Figure]:
    return [
        Figure(cell, "decided -> call at the upstream", _SHOWN.format(**times["run"])),
        Figure(cell, "decided -> first byte at the caller", _SHOWN.format(**times["first"]), target),
        Figure(cell, "decided -> call run and answered", _SHOWN.format(**times["decided"])),
    ]


def _longest(times: dict[str, float]) -> str:
    return "{most:.0f} ms at most, p50 {p50:.0f} ms".format(**times)
