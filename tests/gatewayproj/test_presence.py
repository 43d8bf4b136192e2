"""The two modes on one PostgreSQL: the lock is there as long as the process, and again after the database was away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import pytest
from django.db import connection

from gatewayproj.alone import AnotherGateway, Presence

pytestmark = pytest.mark.django_db(transaction=True)
PRESENT = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdgate presence'"
)


@pytest.fixture(autouse=True)
def _on_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite the state folder's lock does it")


@contextmanager
def present(*, alone: bool) -> Iterator[Presence]:
    presence = Presence(alone=alone)
    presence.take()
    try:
        yield presence
    finally:
        presence.release()


def test_several_share_it_and_the_only_one_does_not() -> None:
    with present(alone=False), present(alone=False), pytest.raises(AnotherGateway, match="another gateway"):
        Presence(alone=True).take()
    with present(alone=True):
        with pytest.raises(AnotherGateway, match="all-in-one"):
            Presence(alone=False).take()
        with pytest.raises(AnotherGateway, match="another gateway"):
            Presence(alone=True).take()


def test_who_starts_again_waits_until_the_server_knows_that_the_former_is_gone() -> None:
    former = Presence(alone=True)
    former.take()
    noticing = Timer(0.5, former.release)
    noticing.start()
    with present(alone=True):
        noticing.join()


def test_a_session_that_broke_is_renewed(caplog: pytest.LogCaptureFixture) -> None:
    with present(alone=True) as presence:
        _cut()
        presence.renew()
        presence.renew()

        with pytest.raises(AnotherGateway):
            Presence(alone=False).take()
    assert caplog.text == ""


@pytest.mark.promise("fail-closed")
def test_a_rival_who_came_meanwhile_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with present(alone=True) as presence:
        _cut()
        with present(alone=False):
            presence.renew()

            assert "another gateway works on this database" in caplog.text
        presence.renew()

        with pytest.raises(AnotherGateway):
            Presence(alone=False).take()


def _cut() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({PRESENT}) AS present")
