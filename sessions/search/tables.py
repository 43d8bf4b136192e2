"""The full-text index beside the table of calls: a tsvector with GIN on PostgreSQL, FTS5 on SQLite. SQL of a migration.

Both follow the table by themselves, so that who writes, erases or empties it need not think of them.
"""

from __future__ import annotations

from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

CALLS: Final = "mcp_sessions_recordedcall"
FTS: Final = "mcp_sessions_callsearch"
_TERMS: Final = "facets, words"


def create(connection: BaseDatabaseWrapper) -> None:
    """Make the index on an empty or a filled table."""
    _run(connection, _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL)


def drop(connection: BaseDatabaseWrapper) -> None:
    """Remove it (reversing the migration)."""
    triggers = [f"DROP TRIGGER IF EXISTS {FTS}_{what}" for what in ("added", "gone", "changed")]
    sqlite = [*triggers, f"DROP TABLE IF EXISTS {FTS}"]
    _run(connection, sqlite if connection.vendor == "sqlite" else [f"ALTER TABLE {CALLS} DROP COLUMN IF EXISTS terms"])


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


_ADD: Final = f"INSERT INTO {FTS}(rowid, {_TERMS}) VALUES (NEW.id, NEW.facets, NEW.words);"  # noqa: S608 - names of ours
_TAKE: Final = f"INSERT INTO {FTS}({FTS}, rowid, {_TERMS}) VALUES ('delete', OLD.id, OLD.facets, OLD.words);"  # noqa: S608 - names of ours
_SQLITE: Final = [
    # `detail=none`: which row has a word is all that is asked, never where in it.
    f"CREATE VIRTUAL TABLE {FTS} USING fts5({_TERMS}, content='{CALLS}', content_rowid='id', detail=none, "
    "tokenize=\"unicode61 remove_diacritics 0 tokenchars '='\")",
    f"CREATE TRIGGER {FTS}_added AFTER INSERT ON {CALLS} BEGIN {_ADD} END",
    f"CREATE TRIGGER {FTS}_gone AFTER DELETE ON {CALLS} BEGIN {_TAKE} END",
    f"CREATE TRIGGER {FTS}_changed AFTER UPDATE OF {_TERMS} ON {CALLS} BEGIN {_TAKE} {_ADD} END",
]
_POSTGRESQL: Final = [
    f"ALTER TABLE {CALLS} ADD COLUMN terms tsvector GENERATED ALWAYS AS "
    "(array_to_tsvector(string_to_array(rtrim(facets || ' ' || words), ' '))) STORED",
    f"CREATE INDEX {CALLS}_terms ON {CALLS} USING gin (terms)",
]
