"""Token buckets: never more than the limit, over all processes, and again after their time."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from approvals.config.connections import Rate
from proxy.buckets import Lease, forget_old, lease
from proxy.models import RateBucket

pytestmark = pytest.mark.django_db(transaction=True)


def passes(seconds: float) -> None:
    """Let time pass for every bucket."""
    RateBucket.objects.update(at=F("at") - timedelta(seconds=seconds))


def spend(scope: str, rate: Rate, most: int = 1000) -> int:
    """Take all there is."""
    taken = 0
    while taken < most and (found := lease(scope, rate)).tokens:
        taken += found.tokens
    return taken


def test_a_bucket_holds_what_the_limit_says_and_fills_again() -> None:
    rate = Rate(calls=5, per=60)

    assert spend("a", rate) == 5
    assert 11 < lease("a", rate).wait <= 12
    passes(12)
    assert spend("a", rate) == 1
    passes(3600)
    assert spend("a", rate) == 5


def test_buckets_are_apart() -> None:
    rate = Rate(calls=1, per=60)

    assert (lease("a", rate), lease("b", rate)) == (Lease(1), Lease(1))


def test_a_large_limit_is_leased_in_portions() -> None:
    assert lease("a", Rate(calls=600, per=60)) == Lease(12)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    rate = Rate(calls=5, per=60)
    spend("a", rate)

    passes(-3600)

    assert lease("a", rate).tokens == 0


def test_many_at_once_never_get_more_than_the_limit() -> None:
    rate = Rate(calls=20, per=86400)
    together = threading.Barrier(8)
    got: list[int] = []

    def work() -> None:
        together.wait(10)
        got.extend(found.tokens for found in (lease("a", rate) for _ in range(10)))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert sum(got) + spend("a", rate) == 20


def test_buckets_of_long_ago_are_forgotten() -> None:
    lease("a", Rate(calls=5, per=60))
    passes(3 * 86400)
    lease("b", Rate(calls=5, per=60))

    assert forget_old() == 1
