"""The roles of PostgreSQL under which one stolen credential cannot change the record: the SQL that makes them.

Owner: owns and migrates, serves nothing. Web, with worker and beat: adds entries and payloads, reads the log, and works
with everything else. Sequencer: extends and signs the log. Retention: erases what an entry says is erased.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sessions import erasing, guards, logstore

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_LOG: Final = (guards.LOG_INDEX, guards.CHECKPOINT)
_ADDED_TO: Final = (guards.ENTRY, guards.PAYLOAD)
# What the writer of the record keeps beside it, in every process.
_BESIDE: Final = {
    "mcp_sessions_recordedsession": "INSERT",
    "mcp_sessions_opencall": "INSERT, DELETE",
    "mcp_sessions_gatewayprocess": "INSERT, UPDATE",
}
# Bundles of evidence are made where the log's key is, and kept for the web to hand out.
_BUNDLES: Final = {"mcp_sessions_bundlejob": "UPDATE", "mcp_sessions_bundlepart": "INSERT, DELETE"}
_RECORD: Final = "mcp_sessions_"
_READ_BY_ALL: Final = ("approvals_policyrevision", "django_migrations")


class NotARole(ValueError):
    """A name that is none for a role here."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The names of the three roles beside the owner. Raises NotARole."""

    web: str = "holdgate_web"
    sequencer: str = "holdgate_sequencer"
    retention: str = "holdgate_retention"

    def __post_init__(self) -> None:
        names = (self.web, self.sequencer, self.retention)
        for name in names:
            if not _NAME.fullmatch(name) or name.startswith("pg_") or name == "public":
                raise NotARole(f"{name!r} cannot be a role here: lower case letters, digits and underscores")
        if len(set(names)) != len(names):
            raise NotARole("web, sequencer and retention must be three roles")


@dataclass(frozen=True, slots=True)
class Schema:
    """What the owner has: schema, tables, and the columns of the table of entries."""

    name: str
    tables: tuple[str, ...]
    entry_columns: tuple[str, ...]


def statements(roles: Roles, schema: Schema) -> list[str]:
    """Return the SQL, in order; to be run as the owner in one transaction. The same again changes nothing."""
    everybody = f"{roles.web}, {roles.sequencer}, {roles.retention}"
    every_table = f"ALL TABLES IN SCHEMA {schema.name}"
    return [
        *(_make(name) for name in (roles.web, roles.sequencer, roles.retention)),
        *guards.postgresql_statements(),
        f"REVOKE CREATE ON SCHEMA {schema.name} FROM PUBLIC, {everybody}",
        f"GRANT USAGE ON SCHEMA {schema.name} TO {everybody}",
        f"REVOKE ALL ON {every_table} FROM PUBLIC, {everybody}",
        f"REVOKE ALL ON FUNCTION {erasing.FUNCTION}(bytea) FROM PUBLIC, {everybody}",
        *_additions(everybody, schema),
        *(f"GRANT SELECT ON {table} TO {everybody}" for table in _seen_by_all(schema.tables)),
        *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {roles.web}" for table in _working(schema.tables)),
        *(f"GRANT INSERT ON {table} TO {roles.sequencer}" for table in _LOG),
        f"GRANT INSERT, UPDATE ON {logstore.STATE}, mcp_sessions_anchorstate TO {roles.sequencer}",
        *(f"GRANT {rights} ON {table} TO {roles.sequencer}" for table, rights in _BUNDLES.items()),
        *(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {roles.retention}"
            for table in _working(schema.tables)
            if table.startswith(_RECORD) and table not in _BESIDE
        ),
        f"GRANT EXECUTE ON FUNCTION {erasing.FUNCTION}(bytea) TO {roles.retention}",
    ]


def _make(name: str) -> str:
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{name}') "  # noqa: S608 - checked above
        f"THEN CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION; END IF; END $$"
    )


def _additions(everybody: str, schema: Schema) -> Iterator[str]:
    """Everybody's own entries. Not with ids of their choice: one far ahead would hide all that come after it."""
    columns = ", ".join(column for column in schema.entry_columns if column != "id")
    yield f"GRANT INSERT ({columns}) ON {guards.ENTRY} TO {everybody}"
    yield f"GRANT INSERT ON {guards.PAYLOAD} TO {everybody}"
    for table, rights in _BESIDE.items():
        yield f"GRANT {rights} ON {table} TO {everybody}"


def _seen_by_all(tables: Iterable[str]) -> list[str]:
    return [table for table in tables if table.startswith(_RECORD) or table in _READ_BY_ALL]


def _working(tables: Iterable[str]) -> list[str]:
    """Tables that are no evidence, with which the web may do what it likes."""
    kept = {*_LOG, *_ADDED_TO, logstore.STATE, "django_migrations"}
    return [table for table in tables if table not in kept]
