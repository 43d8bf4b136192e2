"""Parts measured alone: the record in a process of its own, policy and masking in this one."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from approvals.config.loader import load
from approvals.policy import Call, Caller, Policy
from benchmarks import messages
from benchmarks.child import child
from benchmarks.report import Figure
from benchmarks.world import ISSUER, fresh_installation
from masking.engine import DETECTORS, Engine
from masking.rules import MaskingRule
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
    shown = "{rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu:.0f} us CPU each"
    return [
        Figure("record", "durable events at 256 waiters", shown.format(**found["events"]), ">= 15,000/s"),
        Figure("record", "of them intents and results in turn", shown.format(**found["calls"])),
    ]


def policy(*, seconds: float) -> list[Figure]:
    """Measure the verdict on a call of one KiB, and on a hostile argument of a megabyte, under 200 rules."""
    judge = Policy.compile(load(config_yaml(ISSUER, "http://127.0.0.1:9/mcp", rules=_rules()))).judge
    call, hostile = _call("x" * 900), _call("delete " * (MEGABYTE // 7))
    for tried in (call, hostile):
        assert judge(tried).rules == (), judge(tried)
    return [
        Figure("policy", "200 rules on 1 KiB", f"{_each(lambda: judge(call), seconds) * 1e3:.3f} ms", "< 0.5 ms"),
        Figure(
            "policy",
            "200 rules on a hostile megabyte",
            f"{_each(lambda: judge(hostile), seconds) * 1e3:.1f} ms",
            "< 10 ms",
        ),
    ]


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


def masking(*, seconds: float, size: int) -> list[Figure]:
    """Measure the masking of a call's answer, of clean text, and of text full of personal data."""
    mask = (
        Engine([MaskingRule(name="all", detectors=tuple(sorted(DETECTORS)))], hash_key=b"k" * 32)
        .masker("orders-db", None)
        .json
    )
    answer, clean, dense = messages.result(7, messages.TEXT), _document(_CLEAN, size), _document(_DENSE, size // 4)
    assert mask(answer).body == messages.result(
        7, messages.TEXT.replace(messages.EMAIL, "[email]").replace(messages.CARD, "[credit_card]")
    )
    assert not mask(clean).changed
    assert mask(dense).hits["email"] == dense.count(b"@")
    return [
        Figure("masking", "an answer of 1 KiB with two hits", f"{_each(lambda: mask(answer), seconds) * 1e6:.0f} us"),
        Figure(
            "masking", "clean text", f"{len(clean) / _each(lambda: mask(clean), seconds) / 1e6:.1f} MB/s", ">= 100 MB/s"
        ),
        Figure(
            "masking", "dense text", f"{len(dense) / _each(lambda: mask(dense), seconds) / 1e6:.1f} MB/s", ">= 30 MB/s"
        ),
    ]


_CLEAN = "order 20931 was packed on Tuesday, two parcels, no remarks, and left the house before noon"
_DENSE = (
    "mia.lang@example.com paid with 4111 1111 1111 1111, call +49 30 901820, or write to j.d@mail.example.org; "
    + (
        "the parcel left the house before noon and will be there on Friday, so the service desk has said, unless "
        "the road over the pass is closed again, which the weather report does not expect this week"
    )
)


def _document(text: str, size: int) -> bytes:
    rows = [{"row": number, "note": f"{text} {number % 10}"} for number in range(size // (len(text) + 26))]
    return messages.result(7, orjson.dumps({"rows": rows}).decode())


def _each(work: Callable[[], object], seconds: float) -> float:
    """Return the seconds that one run takes: the fastest of five shares of the time, which noise disturbs least."""
    work()
    best, count = float("inf"), 1
    for _ in range(5):
        started = time.perf_counter()
        done = 0
        while time.perf_counter() - started < seconds / 5:
            for _ in range(count):
                work()
            done += count
        best = min(best, (time.perf_counter() - started) / done)
        count = max(1, int(0.001 / best))
    return best
