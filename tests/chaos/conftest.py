"""Installations to be struck: on SQLite one process that is everything, on PostgreSQL two web processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

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


class Houses:
    """The installations by the name of their database: `houses["sqlite"]`, `houses["postgresql"]`.

    Each is made when the first test asks for it and outlives one blow after the other. Every blow is followed by a
    reading of the whole history, so after some of them the next test gets a new installation.
    """

    BLOWS = 8

    def __init__(self, request: pytest.FixtureRequest, rooms: pytest.TempPathFactory) -> None:
        self._request = request
        self._rooms = rooms
        self._standing: dict[str, tuple[House, ExitStack]] = {}
        self._blows: Counter[str] = Counter()

    def __getitem__(self, database: str) -> House:
        if database in self._standing and self._blows[database] % self.BLOWS == 0:
            self._standing.pop(database)[1].close()
        if database not in self._standing:
            with ExitStack() as stack:
                house = stack.enter_context(self._built(database))
                self._standing[database] = house, stack.pop_all()
        self._blows[database] += 1
        return self._standing[database][0]

    def _built(self, database: str) -> AbstractContextManager[House]:
        folder, issuer = self._rooms.mktemp(database), self._request.getfixturevalue("issuer")
        if database == "sqlite":
            return single(folder, issuer)
        return pair(folder, issuer, self._request.getfixturevalue("server"))

    def close(self) -> None:
        """Take all of them down."""
        with ExitStack() as stack:
            for _, one in self._standing.values():
                stack.push(one)


@pytest.fixture(scope="session")
def houses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Houses]:
    """`houses["sqlite"]` is one process that is everything, `houses["postgresql"]` two web processes."""
    made = Houses(request, tmp_path_factory)
    yield made
    made.close()
