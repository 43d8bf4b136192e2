"""The database of an installation, seen by somebody beside the gateway: by its own driver, without Django."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql as compose

from tests.gateway import Gateway

LOCK_SECONDS = 20


class Unreachable(Exception):
    """The database does not answer."""


class Stored:
    """One connection to the database at `sqlite:///path` or `postgresql://…`. Any thread may use it, one at a time.

    A connection that broke is opened anew at the next statement.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._url = url
        self._lock = threading.Lock()
        self._connection: Any = self._open()

    def _open(self) -> Any:
        return _sqlite(self._url) if self.is_sqlite else psycopg.connect(self._url, autocommit=True)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with `?` for each value and return its rows, blobs as bytes. Raises Unreachable."""
        with self._lock:
            try:
                if not self.is_sqlite and self._connection.closed:
                    self._connection = self._open()
                cursor = self._connection.execute(sql if self.is_sqlite else sql.replace("?", "%s"), values)
                found = cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError as error:
                raise Unreachable(str(error)) from error
        return [tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in found]

    def value(self, sql: str, *values: Any) -> Any:
        """Return the only value of the only row."""
        ((found,),) = self.rows(sql, *values)
        return found

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        return [
            row[0]
            for row in self.rows(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1" if self.is_sqlite else names
            )
        ]

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield every row of every table: the table's name, and the readable bytes of the cells."""
        for table in self.tables():
            for row in self.rows(f'SELECT * FROM "{table}"'):
                yield table, b"\0".join(_bytes(value) for value in row)

    def drop_guards(self) -> None:
        """Take the triggers away, as the owner of the tables could."""
        if not self.is_sqlite:
            self.rows("DROP FUNCTION mcp_sessions_refuse() CASCADE")
            return
        for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            self.rows(f'DROP TRIGGER "{name}"')

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _sqlite(url: str) -> sqlite3.Connection:
    # Without implicit transactions, so that each statement sees what is committed by then.
    path = url.removeprefix("sqlite:///")
    return sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def address_of(gateway: Gateway) -> str:
    """Return the URL of an installation's database."""
    return gateway.database_url or f"sqlite:///{gateway.folder / 'state' / 'holdgate.sqlite3'}"


@contextlib.contextmanager
def opened(gateway: Gateway) -> Iterator[Stored]:
    """Look into the database of an installation."""
    stored = Stored(address_of(gateway))
    try:
        yield stored
    finally:
        stored.close()


@contextlib.contextmanager
def copied(gateway: Gateway) -> Iterator[tuple[Gateway, Stored]]:
    """Copy the database of a stopped installation, for somebody who wants to tamper with it.

    The copy shares the state folder: keys and file anchor are out of the tamperer's reach.
    """
    with _copy(address_of(gateway), f"copy_{uuid.uuid4().hex[:12]}") as url:
        copy = replace(gateway, database_url=url, process=None)
        with opened(copy) as stored:
            yield copy, stored


@contextlib.contextmanager
def _copy(url: str, name: str) -> Iterator[str]:
    if url.startswith("sqlite"):
        target = f"{url}.{name}"
        with contextlib.closing(_sqlite(url)) as source:
            source.execute("VACUUM INTO ?", [target.removeprefix("sqlite:///")])
        yield target
        return
    copy, original = compose.Identifier(name), compose.Identifier(urlsplit(url).path[1:])
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as admin:
        admin.execute(compose.SQL("CREATE DATABASE {} TEMPLATE {}").format(copy, original))
        try:
            yield server._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(copy))
