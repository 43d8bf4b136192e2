"""What the demo looks at to prove its promises: every byte that was kept, the order of entries, and a forged
copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection

from sessions.models import Entry


def found_in(values: Iterable[str], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return the names of the places that hold any of the values in readable form."""
    wanted = [value.encode() for value in values]
    return [name for name, content in places if any(value in content for value in wanted)]


def kept_bytes(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield everything that the gateway wrote down: each cell of its database, and each file of its folder."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - our own tables
            for row in cursor.fetchall():
                yield f"table {table}", b"\0".join(_bytes(value) for value in row)
    if connection.vendor == "sqlite":
        # With its free pages. Never by its file: closing that would end the locks that this process holds on it.
        yield "the database's pages", connection.connection.serialize()
    live = str(connection.settings_dict["NAME"])
    for path in folder.rglob("*"):
        if path.is_file() and not str(path).startswith(live):
            yield f"file {path.relative_to(folder)}", path.read_bytes()


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def history(call_id: str) -> list[tuple[str, float]]:
    """Return kind and time (seconds since 1970) of each entry of one call, in the order of the record."""
    entries = Entry.objects.filter(call_id=call_id).order_by("pk")
    return [(entry.kind, entry.ts.timestamp()) for entry in entries]


def forged_copy(folder: Path) -> str:
    """Copy the SQLite database, change one byte of the record as an intruder could, return the copy's
    address.
    """
    source = str(connection.settings_dict["NAME"])
    copy = folder / "forged.sqlite3"
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(copy)) as forged:
        original.backup(forged)
        _forge(forged)
        forged.commit()
    return f"sqlite:///{copy}"


def _forge(database: sqlite3.Connection) -> None:
    """Who owns the database can drop its triggers; what they cannot do is sign."""
    table = Entry._meta.db_table
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f'DROP TRIGGER "{name}"')
    row = database.execute(f"SELECT id, leaf FROM {table} WHERE kind = 'call.result' LIMIT 1").fetchone()  # noqa: S608
    leaf = bytearray(row[1])
    leaf[-2] ^= 1
    database.execute(f"UPDATE {table} SET leaf = ? WHERE id = ?", (bytes(leaf), row[0]))  # noqa: S608 - as above
