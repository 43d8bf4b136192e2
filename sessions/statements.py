"""How rows reach the database at least cost: small statements in one message, many or large rows as a COPY."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.adapt import Transformer

_ROWS_WORTH_A_COPY: Final = 20
_BYTES_WORTH_A_COPY: Final = 64 * 1024
# PostgreSQL's types of the columns that are no text, for COPY.
_TYPES: Final = {
    **dict.fromkeys(("leaf", "leaf_hash", "commitment", "salt", "body", "root"), "bytea"),
    **dict.fromkeys(("ts", "started_at", "heartbeat_at", "recover_after"), "timestamptz"),
    **dict.fromkeys(("log_index", "entry_id", "size"), "int8"),
}

Row = Sequence[Any]


class Statements:
    """Statements for PostgreSQL that wait to be sent as one message: a round trip costs more than a small statement.

    Rows worth a COPY, and everything for SQLite, which is in our own process, are run at once. Tables, columns and
    heads are text of ours; values are bound, by psycopg's own literals where several statements share a message.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._is_sqlite = connection.vendor == "sqlite"
        self._waiting: list[bytes] = []
        self._made: Any = None

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], suffix: str = "") -> None:
        """Insert rows into one of the record's own tables."""
        if not rows:
            return
        if self._is_sqlite:
            self._run_each(f"{_head(table, columns)} {_marks(len(columns))} {suffix}", rows)
        elif not suffix and _is_worth_a_copy(rows):
            self._copy(table, columns, rows)
        else:
            self.add(f"{_head(table, columns)} ", rows, f" {suffix}")

    def delete(self, table: str, column: str, values: Sequence[str]) -> None:
        """Delete the rows of one of the record's own tables that have one of these values in this column."""
        if self._is_sqlite:
            self._run_each(f"DELETE FROM {table} WHERE {column} = %s", [(value,) for value in values])  # noqa: S608 - names of ours only
        elif values:
            self.add(f"DELETE FROM {table} WHERE {column} IN ", [values])  # noqa: S608 - names of ours only

    def add(self, head: str, rows: Sequence[Row] = (), suffix: str = "") -> None:
        """Put one statement of PostgreSQL behind the others: its head, then the rows as lists of values."""
        literal = Transformer.from_context(self._psycopg()).as_literal
        values = b",".join([b"(" + b",".join([literal(value) for value in row]) + b")" for row in rows])
        self._waiting.append(head.encode() + values + suffix.encode())

    def send(self) -> None:
        """Run what waits, as one message."""
        if self._waiting:
            self._run()

    def ask(self) -> list[list[tuple[Any, ...]]]:
        """Run what waits, as one message; return the rows of each statement that has any."""
        # psycopg's own cursor: Django's wraps every look at a result.
        answers = self._run().cursor
        return [answers.fetchall() for _ in answers.results() if answers.description is not None]

    def _run(self) -> Any:
        message, self._waiting = b"; ".join(self._waiting), []
        cursor = self._cursor()
        cursor.execute(message)  # as bytes: psycopg keeps its literals as they are
        return cursor

    def _cursor(self) -> Any:
        """Return one cursor for everything; Django hands results() and copy() through without knowing their types."""
        if self._made is None:
            self._made = self._connection.cursor()
        return self._made

    def _psycopg(self) -> Any:
        self._connection.ensure_connection()
        return self._connection.connection

    def _run_each(self, statement: str, rows: Sequence[Row]) -> None:
        """One statement, prepared once and run for every row."""
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """COPY in binary: psycopg need not spell a value as text."""
        with self._cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([_TYPES.get(column, "text") for column in columns])
            for row in rows:
                copy.write_row(row)


def insert(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows into one of the record's own tables now, in the way that costs this database least."""
    statements = Statements(connection)
    statements.insert(table, columns, rows)
    statements.send()


def _is_worth_a_copy(rows: Sequence[Row]) -> bool:
    if len(rows) >= _ROWS_WORTH_A_COPY:
        return True
    return sum(len(value) for row in rows for value in row if type(value) is bytes) > _BYTES_WORTH_A_COPY


def _head(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES"


def _marks(count: int) -> str:
    return f"({', '.join(['%s'] * count)})"
