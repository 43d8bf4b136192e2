"""The tables of the record refuse every change but an insert."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from sessions.events import Event, Payload
from sessions.journal import Journal
from sessions.models import Payload as PayloadRow
from sessions.models import RecordedSession
from tests.record import Log

TABLES = ("entry", "logindex", "checkpoint", "payload")


@pytest.fixture
def filled(journal: Journal, log: Log) -> None:
    journal.append_now(Event(kind="call.result", payloads={"answer": Payload(b"x")}))
    log.sequencer.run_once()


def refused(sql: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    except DatabaseError as error:
        return "append-only" in str(error)
    return False


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.usefixtures("filled")
def test_no_row_of_the_record_can_be_changed(table: str) -> None:
    column = {"entry": "tool", "logindex": "entry_id", "checkpoint": "note", "payload": "name"}[table]
    assert refused(f"UPDATE mcp_sessions_{table} SET {column} = {column}")


@pytest.mark.parametrize("table", TABLES[:3])
@pytest.mark.usefixtures("filled")
def test_no_row_of_the_record_can_be_deleted(table: str) -> None:
    assert refused(f"DELETE FROM mcp_sessions_{table}")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.usefixtures("filled")
def test_no_table_of_the_record_can_be_emptied_or_replaced(table: str) -> None:
    if connection.vendor == "postgresql":
        assert refused(f"TRUNCATE mcp_sessions_{table}")
        assert refused(f"SET LOCAL session_replication_role = replica; UPDATE mcp_sessions_{table} SET {_same(table)}")
    else:
        assert refused(f"INSERT OR REPLACE INTO mcp_sessions_{table} SELECT * FROM mcp_sessions_{table}")


@pytest.mark.usefixtures("filled")
def test_a_payload_can_be_deleted() -> None:
    PayloadRow.objects.all().delete()
    assert not PayloadRow.objects.exists()


def test_the_model_is_not_the_one_of_django() -> None:
    assert RecordedSession._meta.label == "mcp_sessions.RecordedSession"


def _same(table: str) -> str:
    column = {"entry": "id", "logindex": "log_index", "checkpoint": "size", "payload": "name"}[table]
    return f"{column} = {column}"
