"""Database triggers that refuse to change the record. SQL of migration 0001: add to it, never change it.

They stop the application and a careless hand. Whoever owns the tables can drop them; that is what the Merkle
log, the checkpoints and the anchors are for.
"""

from __future__ import annotations

from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

ENTRY: Final = "mcp_sessions_entry"
LOG_INDEX: Final = "mcp_sessions_logindex"
CHECKPOINT: Final = "mcp_sessions_checkpoint"
PAYLOAD: Final = "mcp_sessions_payload"

_APPEND_ONLY: Final = (ENTRY, LOG_INDEX, CHECKPOINT)
# What an `INSERT OR REPLACE` of SQLite would silently delete, without firing a DELETE trigger.
_REPLACEABLE: Final = {
    ENTRY: ("id", "leaf_hash"),
    LOG_INDEX: ("log_index", "entry_id"),
    CHECKPOINT: ("size",),
    PAYLOAD: ("commitment",),
}
FUNCTION: Final = "mcp_sessions_refuse"
TABLES: Final = tuple(_REPLACEABLE)


def create(connection: BaseDatabaseWrapper) -> None:
    """Install the triggers on SQLite or PostgreSQL; replaces those already there."""
    drop(connection)
    _run(connection, _sqlite_triggers() if connection.vendor == "sqlite" else _postgresql_triggers())


def drop(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers (reversing the migration; tests that flush or tamper)."""
    if connection.vendor == "sqlite":
        _run(connection, [f"DROP TRIGGER IF EXISTS {name}" for name in _sqlite_names()])
    else:
        _run(connection, [f"DROP FUNCTION IF EXISTS {FUNCTION}() CASCADE"])


def postgresql_statements() -> list[str]:
    """Return what installs the triggers on PostgreSQL anew, whatever was there."""
    return [f"DROP FUNCTION IF EXISTS {FUNCTION}() CASCADE", *_postgresql_triggers()]


def postgresql_names() -> set[str]:
    """Return the names of all triggers on PostgreSQL."""
    return {f"{table}_{name}" for table in TABLES for name in ("no_change", "no_truncate")}


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _operations(table: str) -> tuple[str, ...]:
    return ("update", "delete") if table in _APPEND_ONLY else ("update",)


def _sqlite_names() -> list[str]:
    names = [f"{table}_no_{operation}" for table in _REPLACEABLE for operation in _operations(table)]
    return names + [f"{table}_no_replace" for table in _REPLACEABLE]


def _sqlite_triggers() -> list[str]:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END"
    statements = [
        f"CREATE TRIGGER {table}_no_{operation} BEFORE {operation.upper()} ON {table} {refuse}"
        for table in _REPLACEABLE
        for operation in _operations(table)
    ]
    for table, columns in _REPLACEABLE.items():
        same = " OR ".join(
            f"EXISTS (SELECT 1 FROM {table} WHERE {column} = NEW.{column})"  # noqa: S608 - names of ours only
            for column in columns
        )
        statements.append(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {same} {refuse}")
    return statements


def _postgresql_triggers() -> list[str]:
    statements = [
        f"CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the record is append-only' USING ERRCODE = 'restrict_violation'; END $$"
    ]
    for table in _REPLACEABLE:
        changes = " OR ".join(operation.upper() for operation in _operations(table))
        for name, when in (
            ("no_change", f"{changes} ON {table} FOR EACH ROW"),
            ("no_truncate", f"TRUNCATE ON {table}"),
        ):
            statements.append(f"CREATE TRIGGER {table}_{name} BEFORE {when} EXECUTE FUNCTION {FUNCTION}()")
            # ALWAYS: session_replication_role = replica does not switch it off either.
            statements.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{name}")
    return statements
