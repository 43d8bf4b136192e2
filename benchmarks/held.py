"""Calls that wait for people: what each costs in memory, and how soon its caller hears of the decision."""

from __future__ import annotations

import time

import httpx

from benchmarks.child import GUARD, cpu_seconds, memory_kib
from benchmarks.load import spread
from benchmarks.report import Figure
from benchmarks.world import HELD, World
from tests.people import ALICE

IDLE_SECONDS = 2.0
PAGE_VIEWS = 10


def held(world: World, *, count: int, decisions: int) -> list[Figure]:
    """Hold `count` calls in the gateway's one process, decide some of them one by one, and let the rest go."""
    pid, before = world.gateway_pid, memory_kib(world.gateway_pid)
    opened = world.load.ask(
        do="hold", port=world.gateway.port, path=f"/mcp/{HELD}", count=count, authorization=world.dave
    )
    each = (memory_kib(pid) - before) / count
    cpu, started = cpu_seconds(pid), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    idle = (cpu_seconds(pid) - cpu) / (time.perf_counter() - started)
    cell = f"held n={count:,}"
    pages = _pages(world, cell)
    decided = world.load.ask(
        do="decide", port=world.gateway.port, count=min(decisions, count), authorization=world.alice
    )
    world.load.ask(do="leave")
    shown = "p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return [
        Figure(cell, "memory per held call", f"{each:.1f} KiB", "<= 32 KiB"),
        Figure(cell, "opened", f"{count / opened['seconds']:,.0f}/s"),
        Figure(cell, "processor while they wait", f"{idle:.3f} core"),
        *pages,
        Figure(cell, "decision sent -> approver answered", shown.format(**decided["approver"])),
        Figure(cell, "decided -> call at the upstream", shown.format(**decided["run"])),
        Figure(cell, "decided -> first byte at the caller", shown.format(**decided["first"])),
        Figure(
            cell, "decided -> call run and answered", shown.format(**decided["decided"]), "p50 <= 5 ms, p99 <= 25 ms"
        ),
    ]


def _pages(world: World, cell: str) -> list[Figure]:
    """Read the pages of people and probes while the calls wait, the inbox as somebody who has signed in."""
    world.issuer.login_as(ALICE.sub)
    figures = []
    with httpx.Client(base_url=world.gateway.url, follow_redirects=True, timeout=GUARD, trust_env=False) as browser:
        signed_in = browser.get("/sign-in/with/corp/")
        assert (signed_in.status_code, signed_in.url.path) == (200, "/"), signed_in.text[:300]
        for path, headers in (("/", {}), ("/api/v1/approvals/", {"authorization": world.alice}), ("/readyz", {})):
            took = []
            for _ in range(PAGE_VIEWS):
                started = time.perf_counter()
                answer = browser.get(path, headers=headers)
                took.append(time.perf_counter() - started)
                assert answer.status_code == 200, (path, answer.text[:300])
            shown = "p50 {p50:.0f} ms, p99 {p99:.0f} ms".format(**spread(took))
            figures.append(Figure(cell, f"GET {path} while they wait", shown))
    return figures
