"""Installations to be struck: on SQLite one process that is everything, on PostgreSQL two web processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing

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


class Row:
    """Installations of one kind, one after the other.

    Each outlives one blow after the other. Every blow is followed by a reading of the whole history, so after some of
    them the next test gets a new installation.
    """

    BLOWS = 8

    def __init__(self, built: Callable[[], AbstractContextManager[House]]) -> None:
        self._built = built
        self._blows = 0
        self._stack = ExitStack()
        self._standing: House | None = None

    def current(self) -> House:
        """Return the installation that is struck next."""
        if self._blows % self.BLOWS == 0:
            self.close()
        self._blows += 1
        if self._standing is None:
            self._standing = self._stack.enter_context(self._built())
        return self._standing

    def close(self) -> None:
        """Take it down."""
        self._standing = None
        self._stack.close()


@pytest.fixture(scope="session")
def sqlite_row(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Row]:
    """One process that is everything."""
    with closing(Row(lambda: single(tmp_path_factory.mktemp("sqlite"), issuer))) as made:
        yield made


@pytest.fixture(scope="session")
def postgresql_row(issuer: FakeIssuer, server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Row]:
    """Two web processes."""
    with closing(Row(lambda: pair(tmp_path_factory.mktemp("postgresql"), issuer, server))) as made:
        yield made


class Houses:
    """The installations by the name of their database; each is made when the first test asks for it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def __getitem__(self, database: str) -> House:
        row: Row = self._request.getfixturevalue(f"{database}_row")
        return row.current()


@pytest.fixture
def houses(request: pytest.FixtureRequest) -> Houses:
    """`houses["sqlite"]`, `houses["postgresql"]`."""
    return Houses(request)
