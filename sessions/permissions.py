"""What the database would let this process do to the record. PostgreSQL alone: SQLite has no roles.

Every role counts that the session could take up, not only the one it has now.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import erasing, guards, logstore, store

# A TRIGGER right is one to run code with what others insert.
_CHANGES: Final = ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
_NEVER_BY_WEB: Final = {
    guards.ENTRY: _CHANGES,
    guards.PAYLOAD: _CHANGES,
    guards.LOG_INDEX: (*_CHANGES, "INSERT"),
    guards.CHECKPOINT: (*_CHANGES, "INSERT"),
    logstore.STATE: (*_CHANGES, "INSERT"),
}
_MIGHTY: Final = "pg_write_all_data", "pg_write_server_files", "pg_execute_server_program"
_POWERS: Final = """
SELECT r.rolname FROM pg_roles r
 WHERE pg_has_role(session_user, r.oid, 'MEMBER')
   AND (r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolname = ANY(%s))"""
_OWNED: Final = """
SELECT 'the table ' || c.relname FROM pg_class c
 WHERE c.oid = ANY(%s::regclass[]) AND pg_has_role(session_user, c.relowner, 'MEMBER')
UNION ALL
SELECT 'the schema ' || nspname FROM pg_namespace
 WHERE nspname = current_schema() AND pg_has_role(session_user, nspowner, 'MEMBER')
UNION ALL
SELECT 'the database ' || datname FROM pg_database
 WHERE datname = current_database() AND pg_has_role(session_user, datdba, 'MEMBER')
 ORDER BY 1"""
_GRANTED: Final = """
SELECT DISTINCT c.relname, p.right FROM pg_class c
  JOIN unnest(%s::text[], %s::text[]) AS p("table", "right") ON c.oid = p."table"::regclass
  JOIN pg_roles r ON pg_has_role(session_user, r.oid, 'MEMBER')
 WHERE has_table_privilege(r.oid, c.oid, p.right)
    OR (p.right IN ('INSERT', 'UPDATE') AND has_any_column_privilege(r.oid, c.oid, p.right))
 ORDER BY 1, 2"""
_ERASING: Final = """
SELECT 1 FROM pg_proc f JOIN pg_roles r ON pg_has_role(session_user, r.oid, 'MEMBER')
 WHERE f.proname = %s AND f.pronamespace = current_schema()::regnamespace
   AND has_function_privilege(r.oid, f.oid, 'EXECUTE')"""
_GUARDED: Final = """
SELECT t.tgname FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
 WHERE t.tgrelid = ANY(%s::regclass[]) AND t.tgenabled = 'A' AND f.proname = %s"""
_UNREADABLE: Final = """
SELECT tablename FROM pg_tables
 WHERE schemaname = current_schema() AND NOT has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')
 ORDER BY 1"""


def weaknesses(connection: BaseDatabaseWrapper) -> list[str]:
    """Return how this session could change, cut or forge the record, one sentence each. Raises django.db.Error."""
    names = [row[0] for row in store.query(connection, _POWERS, [list(_MIGHTY)])]
    unguarded = _unguarded(connection)
    if names:
        # Whoever may do anything may do all of the rest as well.
        return [f"the database role {names[0]} may take any right: connect as the role that harden made", *unguarded]
    tables = list(_NEVER_BY_WEB)
    owned = [row[0] for row in store.query(connection, _OWNED, [tables])]
    found = [f"the database role owns {', '.join(owned)}: connect as the role that harden made"] if owned else []
    return [*found, *unguarded, *_granted(connection, owned=bool(owned)), *_missing(connection)]


def _granted(connection: BaseDatabaseWrapper, *, owned: bool) -> list[str]:
    if owned:
        return []  # of an owner all of it is true, and said already
    pairs = [(table, right) for table, rights in _NEVER_BY_WEB.items() for right in rights]
    by_table: dict[str, list[str]] = defaultdict(list)
    for table, right in store.query(connection, _GRANTED, list(map(list, zip(*pairs, strict=True)))):
        by_table[table].append(right)
    found = [f"the database role may {', '.join(rights)} on {table}" for table, rights in by_table.items()]
    if store.query(connection, _ERASING, [erasing.FUNCTION]):
        found.append(f"the database role may call {erasing.FUNCTION}, which is for retention alone")
    return found


def _unguarded(connection: BaseDatabaseWrapper) -> list[str]:
    rows = store.query(connection, _GUARDED, [list(guards.TABLES), guards.FUNCTION])
    missing = sorted(guards.postgresql_names() - {row[0] for row in rows})
    return [f"triggers of the record are off or gone: {', '.join(missing)}; run `manage.py harden`"] if missing else []


def _missing(connection: BaseDatabaseWrapper) -> list[str]:
    tables = [row[0] for row in store.query(connection, _UNREADABLE)]
    told = ", ".join(tables[:5]) + (" and others" if len(tables) > 5 else "")
    return (
        [f"the database role may not read {told}: run `manage.py harden --apply` after each migrate"] if tables else []
    )
