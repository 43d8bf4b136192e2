"""Parts measured alone: the record, also as it grows, in a process of its own, the policy in this one."""

from __future__ import annotations

import time
from collections.abc import Callable

from approvals.config.loader import load
from approvals.policy import Call, Caller, Policy
from benchmarks.child import child
from benchmarks.report import Figure
from benchmarks.world import ISSUER, fresh_installation
from tests.people import CONNECTION, config_yaml

RULES = 200
MEGABYTE = 1_000_000


def record(database: str, *, seconds: float) -> list[Figure]:
    """Measure durable events and recorded calls (intent and result) per second at 256 waiters."""
    with (
        fresh_installation(database) as gateway,
        child("benchmarks.record", str(seconds), env=gateway.env) as measured,
    ):
        found = measured.hello

    def writer(calls: dict[str, float]) -> str:
        return f"{2 * calls['writer']:.0f} us CPU, p50 of a commit {calls['p50']:.2f} ms, p99 {calls['p99']:.2f} ms"

    shown = "{rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu:.0f} us CPU each"
    return [
        Figure("record", "durable events at 256 waiters", shown.format(**found["events"]), ">= 15,000/s"),
        Figure("record", "of them intents and results in turn", shown.format(**found["calls"])),
        Figure("record", "writer's thread per call, 32 callers", writer(found["few"]), "<= 150 us CPU"),
        Figure("record", "the same with one caller", writer(found["one"]), "p50 <= 0.7 ms"),
    ]


def growth(database: str, *, seconds: float, sizes: tuple[int, int]) -> list[Figure]:
    """Measure a record of each size: recorded calls of 32 callers, pages, steps of the log, and a verification."""
    arguments = [str(seconds), *(str(size) for size in sizes)]
    with (
        fresh_installation(database) as gateway,
        child("benchmarks.growth", *arguments, env=gateway.env) as measured,
    ):
        small, large = measured.hello
    cell = f"growth {small['size']:,} to {large['size']:,}"
    shown = "p50 {p50:.2f} ms, {cpu:.0f} us CPU"
    calls = " to ".join(shown.format(**one["calls"]) for one in (small, large))
    verified = "{:.1f} to {:.1f} s, {:.0f} to {:.0f} MiB".format(
        *(one["verify"][key] for key in ("seconds", "mib") for one in (small, large))
    )
    return [
        Figure(cell, "an entry of 32 callers", calls, "within 10 %"),
        Figure(cell, "its place in the log", f"{small['log']:.0f} to {large['log']:.0f} us"),
        *(
            Figure(cell, name, f"{took:.1f} to {large['reads'][name]:.1f} ms", "within 10 %")
            for name, took in small["reads"].items()
        ),
        Figure(cell, "verify", verified, "a million in 60 s"),
    ]


def policy(*, seconds: float) -> list[Figure]:
    """Measure the verdict on a call of one KiB, and on a hostile argument of a megabyte, under 200 rules.

    As the data path asks for it: with what is kept of it where a rule speaks.
    """
    judge = _policy(_rules()).judged
    speaking = _policy([*_rules()[1:], _speaking()]).judged
    call, hostile = _call("x" * 900), _call("delete " * (MEGABYTE // 7))
    for tried in (call, hostile):
        assert judge(tried)[1] is None, judge(tried)
    kept = speaking(call)[1]
    assert kept is not None
    assert [one.rule for one in kept.rules] == ["speaks"]
    return [
        Figure("policy", "200 rules on 1 KiB", f"{cpu_of(lambda: judge(call), seconds) * 1e3:.3f} ms", "< 0.5 ms"),
        Figure(
            "policy",
            "the same, and one of them speaks",
            f"{cpu_of(lambda: speaking(call), seconds) * 1e3:.3f} ms",
            "< 0.5 ms",
        ),
        Figure(
            "policy",
            "200 rules on a hostile megabyte",
            f"{cpu_of(lambda: judge(hostile), seconds) * 1e3:.1f} ms",
            "< 10 ms",
        ),
    ]


def _policy(rules: list[dict[str, object]]) -> Policy:
    return Policy.compile(load(config_yaml(ISSUER, "http://127.0.0.1:9/mcp", rules=rules)))


def _speaking() -> dict[str, object]:
    conditions = [{"path": "sql", "matches": "x"}]
    return {"name": "speaks", "action": "deny", "match": {"connections": [CONNECTION], "arguments": conditions}}


def _rules() -> list[dict[str, object]]:
    """Half of the rules look into the arguments, the others speak of other tools; none of them matches."""
    return [
        {
            "name": f"rule-{number}",
            "action": "deny",
            "match": {
                "connections": [CONNECTION],
                "tools": ["read_*"] if number % 2 else [f"write_{number}*"],
                "arguments": [{"path": "sql", "matches": rf"(?i)\b(drop|truncate|alter)\s+table\s+t{number}\b"}],
            },
        }
        for number in range(RULES)
    ]


def _call(sql: str) -> Call:
    groups = frozenset({"corp/engineering"})
    caller = Caller(iss=ISSUER, sub="dave", kind="person", groups=groups)
    return Call(caller=caller, connection=CONNECTION, method="tools/call", name="read_orders", arguments={"sql": sql})


def cpu_of(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds of CPU that one run takes: the fastest of five shares, which noise disturbs least."""
    work()
    best, count = float("inf"), 1
    for _ in range(5):
        started = time.thread_time()
        done = 0
        while time.thread_time() - started < seconds / 5:
            for _ in range(count):
                work()
            done += count
        best = min(best, (time.thread_time() - started) / done)
        count = max(1, int(0.001 / best))
    return best
