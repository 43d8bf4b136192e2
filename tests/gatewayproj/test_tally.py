"""Counters and histograms of our own say what the library's would."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gatewayproj.tally import Counts, Tallies

BOUNDS = (0.5, 1.0, 2.5)
VALUES = (0.1, 0.5, 0.7, 1.0, 2.0, 9.0)


def test_they_are_exposed_as_those_of_the_library() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    histogram = Histogram("took_seconds", "How long.", ("who",), buckets=BOUNDS, registry=theirs)
    tallies = Tallies("took_seconds", "How long.", ("who",), BOUNDS, ours)
    counter = Counter("done", "How many.", ("who",), registry=theirs)
    counts = Counts("done", "How many.", ("who",), ours)
    for who in ("a", 'b"\n'):
        for value in VALUES:
            histogram.labels(who).observe(value)
            tallies.labels(who).observe(value)
            counter.labels(who).inc(3)
            counts.add(who, by=3)

    assert _lines(ours) == _lines(theirs)


def _lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
