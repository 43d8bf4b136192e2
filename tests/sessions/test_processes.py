"""Processes that write the same record and are killed in the middle of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from sessions import store
from sessions.events import Event
from sessions.journal import Journal
from sessions.models import Entry, GatewayProcess, OpenCall
from sessions.recovery import open_calls
from sessions.writer import HEARTBEAT_SECONDS
from tests.record import Log


def database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    login = f"{settings['USER']}:{settings['PASSWORD']}@{settings['HOST']}:{settings['PORT']}"
    return f"postgresql://{login}/{settings['NAME']}"


def start_writer() -> subprocess.Popen[str]:
    environment = {**os.environ, "DATABASE_URL": database_url()}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.record_writer"], stdout=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.promise("nothing-lost")
def test_what_was_acknowledged_before_a_kill_is_there_and_the_open_call_is_known(log: Log) -> None:
    writers = [start_writer() for _ in range(2)]
    acknowledged: list[str] = []
    for writer in writers:
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(50)]
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
        assert writer.stdout is not None
        with writer.stdout as lines:  # not communicate(), which would pass over what readline() had read ahead
            rest = lines.read()
        writer.wait(20)
        acknowledged += [line for line in rest.split("\n")[:-1] if line]
    with transaction.atomic():
        # The database may still be committing for the dead: it has this lock until it is done.
        store.lock(connection, exclusive=True)
    intents = set(Entry.objects.filter(kind="call.intent").values_list("call_id", flat=True))
    ended = set(Entry.objects.filter(kind="call.result").values_list("call_id", flat=True))
    assert set(acknowledged) <= intents
    assert set(OpenCall.objects.values_list("call_id", flat=True)) == intents - ended
    later = datetime.now(UTC) + timedelta(seconds=16)
    assert {call.call_id for call in open_calls(now=later)} == intents - ended
    log.sequencer.run_once()
    assert log.verify() == []


@pytest.mark.promise("nothing-lost")
def test_a_process_that_is_never_idle_says_that_it_lives(journal: Journal) -> None:
    started = GatewayProcess.objects.get(id=journal.process_id).heartbeat_at
    end = time.monotonic() + HEARTBEAT_SECONDS + 1
    while time.monotonic() < end:
        journal.append_now(Event(kind="call.message", call_id="busy"))
    assert GatewayProcess.objects.get(id=journal.process_id).heartbeat_at > started


@pytest.mark.promise("nothing-lost")
def test_a_process_does_not_give_up_its_own_calls_however_late_its_heartbeat_is(journal: Journal) -> None:
    journal.append_now(Event(kind="call.intent", call_id="running", recover_after=300))
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert [call.call_id for call in open_calls(now=later)] == ["running"]
    assert open_calls(now=later, writer=journal.process_id) == []
