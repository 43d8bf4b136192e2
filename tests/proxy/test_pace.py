"""How often one caller may ask the gateway's own tools."""

from __future__ import annotations

import pytest

from proxy.builtin import pace
from proxy.builtin.pace import AT_ONCE, MOST_WAITS, PER_SECOND, Pace
from proxy.builtin.question import Mistaken


def test_a_bucket_empties_and_fills_again() -> None:
    bucket = Pace()

    assert [bucket.ask("ann", 100.0) for _ in range(AT_ONCE)] == [0.0] * AT_ONCE
    assert bucket.ask("ann", 100.0) == pytest.approx(1 / PER_SECOND)
    assert bucket.ask("bob", 100.0) == 0
    assert bucket.ask("ann", 100.0 + 1 / PER_SECOND) == 0
    assert bucket.ask("ann", 100.0 + 1 / PER_SECOND) > 0
    assert [bucket.ask("ann", 1e6) for _ in range(AT_ONCE + 1)][-2:] == [0.0, pytest.approx(1 / PER_SECOND)]


def test_no_more_callers_are_remembered_than_the_limit() -> None:
    bucket = Pace()
    for number in range(pace.REMEMBERED + 5):
        bucket.ask(f"caller {number}", 1.0)

    assert len(bucket) == pace.REMEMBERED


def test_one_caller_waits_so_many_times_and_again_when_one_wait_is_over() -> None:
    waits, open_ = Pace(), []
    for _ in range(MOST_WAITS):
        open_.append(waits.waiting("ann"))
        open_[-1].__enter__()

    with pytest.raises(Mistaken), waits.waiting("ann"):
        pass
    with waits.waiting("bob"):
        pass
    open_.pop().__exit__(None, None, None)
    with waits.waiting("ann"):
        pass
