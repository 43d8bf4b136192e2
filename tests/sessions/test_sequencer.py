"""The sequencer: every committed entry gets one place, whatever the order of commits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, connections

from sessions import leaf as leaves
from sessions import store
from sessions.anchors import AnchorBroken
from sessions.checkpoint import Signer
from sessions.events import Event
from sessions.journal import Journal
from sessions.models import Checkpoint, Entry, LogIndex, SequencerState
from sessions.sealing import Sealer
from sessions.sequencer import LogRefused, Sequencer
from sessions.tree import root
from tests.record import ORIGIN, Log, tamper


def write(journal: Journal, count: int) -> None:
    journal.append_now(*(Event(kind="call.message", call_id=str(n)) for n in range(count)))


def in_thread(work: object) -> None:
    """Run with a connection of its own."""

    def run() -> None:
        try:
            assert callable(work)
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)


def test_every_entry_gets_a_dense_place_under_a_signed_checkpoint(journal: Journal, log: Log) -> None:
    write(journal, 10)
    assert log.sequencer.run_once() == 11
    write(journal, 3)
    assert log.sequencer.run_once() == 3
    assert log.sequencer.run_once() == 0
    places = list(LogIndex.objects.order_by("log_index").values_list("log_index", "entry__leaf_hash"))
    assert [index for index, _ in places] == list(range(14))
    checkpoints = list(Checkpoint.objects.order_by("size"))
    assert [checkpoint.size for checkpoint in checkpoints] == [11, 14]
    for checkpoint in checkpoints:
        signed = log.signer.verify_key.open(checkpoint.note)
        expected = root([bytes(leaf_hash) for _, leaf_hash in places[: checkpoint.size]])
        assert signed.root == bytes(checkpoint.root) == expected
    assert list(log.anchor.notes(log.anchor.length())) == [checkpoint.note for checkpoint in checkpoints]
    assert log.verify() == []


def test_the_low_water_mark_follows_so_that_idle_is_cheap(journal: Journal, log: Log) -> None:
    write(journal, 5)
    for _ in range(3):
        log.sequencer.run_once()
    newest = Entry.objects.latest("id").pk
    assert SequencerState.objects.get().low_water == newest


def test_a_checkpoint_that_could_not_be_anchored_comes_later(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    log.anchor.path.unlink()
    log.anchor.path.mkdir()
    write(journal, 2)
    assert log.sequencer.run_once() == 2
    assert "anchor" in log.sequencer.error
    log.anchor.path.rmdir()
    log.sequencer.run_once()
    assert (log.sequencer.error, log.anchor.latest_size()) == ("", 3)


def test_nothing_is_signed_before_the_anchor_was_asked(journal: Journal, log: Log) -> None:
    log.anchor.path.mkdir(parents=True)
    with pytest.raises(AnchorBroken):
        log.sequencer.run_once()
    assert not Checkpoint.objects.exists()


def test_an_entry_that_commits_after_a_higher_id_still_gets_its_place(journal: Journal, log: Log) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer: ids commit in order")
    drawn, finish = threading.Event(), threading.Event()

    def slow_writer() -> None:
        mine = connections["default"]
        sealer = Sealer(origin=ORIGIN, build="test", writer="slow")
        rows = store.Rows()
        with store.Transaction(mine, orm=True) as slow:
            sealer.add(sealer.seal([Event(kind="process.started")]), rows, slow.begin().now)
            slow.write(rows)
            drawn.set()
            finish.wait(20)
            slow.commit()
        mine.close()

    thread = threading.Thread(target=slow_writer)
    thread.start()
    assert drawn.wait(10)
    write(journal, 3)
    assert log.sequencer.run_once() == 4
    for _ in range(3):
        # The barrier is not to be had while the slow one holds its lock; nothing may be skipped over.
        assert log.sequencer.run_once() == 0
    assert SequencerState.objects.get().low_water < Entry.objects.latest("id").pk
    finish.set()
    thread.join(10)
    assert log.sequencer.run_once() == 1
    slow = LogIndex.objects.get(log_index=4).entry
    assert leaves.decode(bytes(slow.leaf)).writer == "slow"
    assert slow.pk < LogIndex.objects.get(log_index=3).entry.pk
    assert log.verify() == []


def test_a_log_that_is_never_idle_does_not_search_from_the_beginning_again(journal: Journal, log: Log) -> None:
    for _ in range(33):
        journal.append_now(*[Event(kind="call.message")] * 500)
    assert log.sequencer.run_once() == 16_501
    first = Entry.objects.earliest("id").pk
    assert SequencerState.objects.get().low_water >= first + 10_000
    write(journal, 3)
    assert log.sequencer.run_once() == 3
    assert log.verify() == []


def test_a_second_sequencer_waits_for_the_office(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    write(journal, 2)
    counts: list[int] = []
    second = Sequencer(log.signer, [log.anchor])

    def attempt() -> None:
        counts.append(second.run_once())
        second.resign()

    in_thread(attempt)
    assert counts == [0]
    log.sequencer.resign()
    in_thread(attempt)
    assert counts == [0, 2]
    assert log.verify() == []


def test_who_takes_the_office_is_told_once_each_term(journal: Journal, log: Log) -> None:
    terms: list[int] = []
    second = Sequencer(log.signer, [log.anchor], elected=terms.append)

    second.run_once()
    second.run_once()
    second.resign()
    second.run_once()
    second.resign()

    assert terms == [terms[0], terms[0] + 1]


def test_a_sequencer_that_lost_the_office_writes_nothing(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    write(journal, 2)
    # As if it had been asleep while another was elected.
    SequencerState.objects.update(epoch=99, holder="another", lease_until="2999-01-01T00:00:00Z")
    assert log.sequencer.run_once() == 0
    assert LogIndex.objects.count() == 1
    assert Checkpoint.objects.count() == 1


def test_two_sequencers_in_threads_make_one_log(journal: Journal, log: Log) -> None:
    others = [Sequencer(log.signer, [log.anchor], period=0.01) for _ in range(2)]
    for other in others:
        other.start()
    for _ in range(20):
        write(journal, 5)
        for other in others:
            other.poke()
    for other in others:
        other.stop()
    log.sequencer.run_once()
    assert LogIndex.objects.count() == 101
    assert log.verify() == []


def test_nothing_is_signed_on_a_tree_that_was_not_signed(journal: Journal, log: Log) -> None:
    write(journal, 5)
    log.sequencer.run_once()
    state = SequencerState.objects.get()
    SequencerState.objects.update(frontier=bytes(len(state.frontier)))
    write(journal, 1)
    with pytest.raises(LogRefused):
        log.sequencer.run_once()
    assert Checkpoint.objects.count() == 1


def test_nothing_is_signed_after_a_checkpoint_of_another_key(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    log.sequencer.resign()
    stranger = Sequencer(Signer(ORIGIN, Ed25519PrivateKey.generate()))
    with pytest.raises(LogRefused):
        stranger.run_once()
    stranger.resign()


def test_nothing_is_signed_on_an_older_copy_of_the_database(journal: Journal, log: Log) -> None:
    log.sequencer.run_once()
    old = SequencerState.objects.get()
    write(journal, 2)
    log.sequencer.run_once()
    log.sequencer.resign()
    tamper("DELETE FROM mcp_sessions_checkpoint WHERE size > 1")
    tamper("DELETE FROM mcp_sessions_logindex WHERE log_index > 0")
    SequencerState.objects.update(size=old.size, frontier=bytes(old.frontier), low_water=0)
    restored = Sequencer(log.signer, [log.anchor])
    with pytest.raises(LogRefused, match="an anchor holds a checkpoint of 3 entries"):
        restored.run_once()
    restored.resign()
    assert Checkpoint.objects.count() == 1


def test_the_thread_gives_places_without_being_asked(journal: Journal, log: Log, tmp_path: Path) -> None:
    published = threading.Event()

    class Told:
        def latest_size(self) -> int:
            return 0

        def publish(self, note: str) -> None:
            published.set()

    sequencer = Sequencer(log.signer, [Told()], period=0.05)
    sequencer.start()
    write(journal, 1)
    assert published.wait(10)
    sequencer.stop()
    assert sequencer.error == ""
