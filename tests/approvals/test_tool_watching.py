"""Which connections a process looks at now: each once, for whatever reason, and no other process at the same time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from approvals.catalogue import watching
from approvals.catalogue.models import PinnedConnection
from approvals.runtime import Runtime
from tests.engine import together
from tests.held import browser, house
from tests.people import ALICE, CONNECTION, DAVE, GRACE

__all__ = ["house"]
HOUR = timedelta(hours=1)
PLACES = {"one": "here", "two": "here"}


def claim(places: dict[str, str] | None = None, asked: frozenset[str] = frozenset()) -> list[str]:
    return sorted(watching.claim(places or PLACES, HOUR, asked))


def pass_time(**span: float) -> None:
    PinnedConnection.objects.update(tried_at=F("tried_at") - timedelta(**span))


def test_what_is_new_is_looked_at_once_and_again_after_a_while(house: Runtime) -> None:
    assert claim() == ["one", "two"]
    assert claim() == []
    pass_time(minutes=59)
    assert claim() == []
    pass_time(minutes=1)
    assert claim() == ["one", "two"]


def test_a_connection_that_leads_elsewhere_is_looked_at_at_once(house: Runtime) -> None:
    claim()

    assert claim({"one": "there", "two": "here"}) == ["one"]


def test_what_is_looked_at_seldom_is_not_looked_at_because_time_passed(house: Runtime) -> None:
    def seldom(places: dict[str, str] | None = None, asked: frozenset[str] = frozenset()) -> list[str]:
        return sorted(watching.claim(places or PLACES, HOUR, asked, seldom=frozenset({"one"})))

    assert seldom() == ["one", "two"]
    pass_time(days=9)
    assert seldom() == ["two"]
    assert seldom({"one": "there", "two": "here"}) == ["one"]
    pass_time(minutes=2)
    assert seldom({"one": "there", "two": "here"}) == []
    assert seldom({"one": "there", "two": "here"}, frozenset({"one"})) == ["one"]
    watching.looked("one", "It is down.")
    pass_time(minutes=2)
    assert seldom({"one": "there", "two": "here"}) == ["one"]


def test_what_failed_is_tried_again_sooner_and_says_why_until_it_works(house: Runtime) -> None:
    claim()
    watching.looked("one", "It is down. " * 100)
    watching.looked("two")

    pass_time(seconds=61)
    assert claim() == ["one"]
    row = PinnedConnection.objects.get(pk="one")
    assert (row.look_failed[:11], len(row.look_failed), row.looked_at) == ("It is down.", 300, None)
    watching.looked("one")
    row.refresh_from_db()
    assert row.look_failed == ""
    assert row.looked_at is not None


def test_who_asks_is_answered_soon_and_not_for_every_asking(house: Runtime) -> None:
    claim()
    watching.ask("one")
    assert claim(asked=frozenset({"two"})) == [], "too soon"
    pass_time(seconds=10)
    assert claim(asked=frozenset({"two"})) == ["one", "two"]
    assert claim() == []


def test_of_two_processes_one_looks(house: Runtime) -> None:
    def once() -> list[str]:
        try:
            return claim()
        finally:
            connections.close_all()

    found = together([once, once])

    assert sorted(name for one in found if isinstance(one, list) for name in one) == ["one", "two"]


@pytest.mark.parametrize(("who", "status"), [(DAVE, 302), (GRACE, 404), (ALICE, 404)])
def test_an_admin_asks_for_a_look(who: object, status: int, house: Runtime) -> None:
    assert browser(who).post(f"/catalogue/{CONNECTION}/look/").status_code == status  # type: ignore[arg-type]
    assert PinnedConnection.objects.filter(pk=CONNECTION, is_due=True).exists() == (status == 302)
    assert browser(DAVE).post("/catalogue/nowhere/look/").status_code == 404


def test_the_page_says_what_came_of_looking(house: Runtime, settings: object) -> None:
    settings.CATALOGUE_SECONDS = 900  # type: ignore[attr-defined]
    watching.claim({CONNECTION: "here"}, HOUR)
    assert "Not looked at without a caller yet." in browser(DAVE).get("/catalogue/").content.decode()
    watching.looked(CONNECTION, "The upstream cannot be reached.")
    shown = browser(GRACE).get("/catalogue/").content.decode()
    assert "The upstream cannot be reached." in shown
    assert "Look now" not in shown
    watching.looked(CONNECTION)
    assert "Last looked at without a caller" in browser(DAVE).get("/catalogue/").content.decode()
