"""Erases payloads that an entry of the record says are erased; nothing else of the record can be deleted.

On PostgreSQL a function of the tables' owner does it, so that a role without any right to delete may be allowed to.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions import guards, leaf, store
from sessions.events import ERASED

FUNCTION: Final = "mcp_sessions_erase"
_AT_ONCE: Final = 500
_BODY: Final = f"""
DECLARE erasure bytea; removed bigint;
BEGIN
  SELECT e.leaf INTO erasure FROM {guards.ENTRY} e WHERE e.leaf_hash = entry;
  IF erasure IS NULL OR sha256('\\x00'::bytea || erasure) <> entry
     OR convert_from(erasure, 'UTF8')::jsonb ->> 'kind' <> '{ERASED}' THEN
    RAISE EXCEPTION 'no erasure is recorded under this hash' USING ERRCODE = 'restrict_violation';
  END IF;
  DELETE FROM {guards.PAYLOAD} WHERE commitment IN (
    SELECT decode(c, 'hex')
      FROM jsonb_array_elements_text(convert_from(erasure, 'UTF8')::jsonb -> 'facts' -> 'commitments') c);
  GET DIAGNOSTICS removed = ROW_COUNT;
  RETURN removed;
END"""  # noqa: S608 - names of ours only


class NotRecorded(Exception):
    """No entry says that this was erased."""


def erase(leaf_hash: bytes) -> int:
    """Delete the payloads that the erasure with this leaf hash names; return how many were still there.

    The entry comes first: a crash in between leaves it to be asked again, which does no harm. Raises NotRecorded when
    there is no such entry, django.db.Error when the database does not answer or this role may not.
    """
    connection = store.current()
    if connection.vendor == "postgresql":
        if not store.query(connection, f"SELECT 1 FROM {guards.ENTRY} WHERE leaf_hash = %s", [leaf_hash]):  # noqa: S608 - a name of ours
            raise NotRecorded("no entry has this hash")
        return int(store.query(connection, f"SELECT {FUNCTION}(%s)", [leaf_hash])[0][0])
    with transaction.atomic():
        named = _named(connection, leaf_hash)
        removed = 0
        for at in range(0, len(named), _AT_ONCE):
            some = named[at : at + _AT_ONCE]
            marks = ", ".join(["%s"] * len(some))
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {guards.PAYLOAD} WHERE commitment IN ({marks})", some)  # noqa: S608 - marks only
                removed += cursor.rowcount
        return removed


def _named(connection: BaseDatabaseWrapper, leaf_hash: bytes) -> list[bytes]:
    rows = store.query(connection, f"SELECT leaf FROM {guards.ENTRY} WHERE leaf_hash = %s", [leaf_hash])  # noqa: S608 - a name of ours
    found = leaf.decode(bytes(rows[0][0])) if rows else None
    commitments = found.facts.get("commitments") if found is not None and found.kind == ERASED else None
    if not isinstance(commitments, list):
        raise NotRecorded("no erasure is recorded under this hash")
    return [bytes.fromhex(one) for one in commitments]


def create(connection: BaseDatabaseWrapper) -> None:
    """Make the function on PostgreSQL, for its owner alone until `harden` lets others; replaces the one there."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        schema = cursor.fetchone()[0]
        # Its names are looked up where the tables are, never in a schema that the caller brings along.
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION {FUNCTION}(entry bytea) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER "
            f"SET search_path = {schema}, pg_temp AS $${_BODY}$$"
        )
        cursor.execute(f"REVOKE ALL ON FUNCTION {FUNCTION}(bytea) FROM PUBLIC")


def drop(connection: BaseDatabaseWrapper) -> None:
    """Remove the function (reversing the migration)."""
    if connection.vendor == "postgresql":
        store.execute(connection, f"DROP FUNCTION IF EXISTS {FUNCTION}(bytea)")
