"""/readyz says what is wrong in every case, and is cheap however often somebody asks who need not sign in."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from approvals.runtime import Runtime
from sessions.journal import Journal
from tests.held import anonymous, house, signed_in
from tests.people import PEOPLE

__all__ = ["house"]


def test_asking_again_and_again_costs_two_queries_and_not_one_for_each_person(
    house: Runtime, django_assert_max_num_queries: Any
) -> None:
    for human in PEOPLE:
        signed_in(human)
    assert anonymous().get("/readyz").status_code == 200

    with django_assert_max_num_queries(2):
        assert anonymous().get("/readyz").status_code == 200


@pytest.mark.promise("fail-closed")
def test_a_record_that_does_not_commit_is_503_and_named(house: Runtime) -> None:
    house.journal.stop()
    house.journal = Journal(origin=settings.ORIGIN, build="test", timeout=1.0)  # never started, so it takes nothing

    answer = anonymous().get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["recording"] == "the record does not commit"
