"""Installations to be struck: on SQLite one process that is everything, on PostgreSQL two web processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import people, servers
from tests.chaos.house import House, pair, single
from tests.issuer import FakeIssuer, running_issuer
from tests.servers import PostgreSQL


@pytest.fixture(scope="session")
def issuer() -> Iterator[FakeIssuer]:
    """The company's identity provider, with its sibling for CI jobs."""
    with running_issuer() as corp:
        people.register_people(corp)
        yield corp


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSQL]:
    """A PostgreSQL of these tests alone."""
    with servers.postgresql() as made:
        yield made


@pytest.fixture(scope="session")
def sqlite_house(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One process that is everything. It outlives one blow after the other."""
    with single(tmp_path_factory.mktemp("sqlite"), issuer) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql_house(
    issuer: FakeIssuer, server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Two web processes."""
    with pair(tmp_path_factory.mktemp("postgresql"), issuer, server) as made:
        yield made


class Houses:
    """The installations by the name of their database; each is made when the first test asks for it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __getitem__(self, database: str) -> House:
        found: House = self._request.getfixturevalue(f"{database}_house")
        return found


@pytest.fixture
def houses(request: pytest.FixtureRequest) -> Houses:
    """`houses["sqlite"]`, `houses["postgresql"]`."""
    return Houses(request)
