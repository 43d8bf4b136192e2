"""An idle log goes on being signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sessions import heartbeat
from sessions.journal import Journal
from sessions.models import Checkpoint, Entry
from tests.record import Log


@pytest.mark.promise("provable")
def test_an_idle_log_gets_an_entry_and_with_it_a_checkpoint_and_a_busy_one_does_not(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    now = datetime.now(UTC)

    journal.transact_now(lambda: heartbeat.work(now, 3600))
    assert (Entry.objects.count(), heartbeat.is_due(now, 3600)) == (1, False)
    journal.transact_now(lambda: heartbeat.work(now + timedelta(hours=1), 3600), exclusive=True)
    journal.transact_now(lambda: heartbeat.work(now, 3600))

    assert log.sequencer.run_once() == 1
    assert list(Entry.objects.order_by("id").values_list("kind", flat=True)) == ["process.started", "log.alive"]
    assert list(Checkpoint.objects.order_by("size").values_list("size", flat=True)) == [1, 2]
    assert log.verify() == []
