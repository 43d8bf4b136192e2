"""Counters and histograms for what every call touches: an addition each, where the library's own take locks.

Each series is written by one thread only, and may be read by any.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry


class Counts(Collector):
    """A counter with labels."""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name, self._text, self._labels = name, text, tuple(labels)
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def add(self, *values: str, by: int = 1) -> None:
        """Count one more, or more at once, of these values."""
        self._counts[values] = self._counts.get(values, 0) + by

    def stand_at(self, *values: str, count: int) -> None:
        """Set what another keeper has counted of these values."""
        self._counts[values] = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what was counted, for the registry."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, count in list(self._counts.items()):
            family.add_metric(values, count)
        yield family


class Tally:
    """One series: how many values fell below each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """Return the cumulative buckets by their upper bounds, and the sum."""
        names = [*(repr(bound) for bound in self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True)), self._sum


class Tallies(Collector):
    """A histogram with labels, whose series are tallies."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._labels, self._bounds = name, text, tuple(labels), tuple(bounds)
        self._series: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """Return the series of these values, made at first use."""
        found = self._series.get(values)
        if found is None:
            found = self._series[values] = Tally(self._bounds)
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield what was counted, for the registry."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, tally in list(self._series.items()):
            buckets, total = tally.read()
            family.add_metric(values, buckets, total)
        yield family
