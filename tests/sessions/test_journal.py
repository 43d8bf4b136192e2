"""The journal: nothing is acknowledged before its commit, nothing is written after its caller was told no."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence

import pytest
from django.db import IntegrityError, connection, transaction

from sessions import leaf as leaves
from sessions.events import Event, Payload
from sessions.journal import Journal, RecordUnavailable, RevisionMoved
from sessions.models import Entry, GatewayProcess, OpenCall, RecordedSession
from sessions.models import Payload as PayloadRow
from tests.record import Gate, new_journal, running


def stored() -> list[leaves.Leaf]:
    return [leaves.decode(bytes(leaf)) for leaf in Entry.objects.order_by("id").values_list("leaf", flat=True)]


def kinds() -> list[str]:
    return [leaf.kind for leaf in stored()]


def message(call: str = "c") -> Event:
    return Event(kind="call.message", call_id=call)


def intent(call: str = "c", recover_after: float | None = 60) -> Event:
    return Event(kind="call.intent", call_id=call, recover_after=recover_after)


def session_named(name: str) -> RecordedSession:
    return RecordedSession.objects.create(id=name, actor="", connection="", run="", started_at="2026-01-01T00:00:00Z")


@contextlib.contextmanager
def a_table(made: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {made}")
        try:
            yield
        finally:
            cursor.execute(f"DROP TABLE {made.split()[0]}")


def test_an_event_is_an_entry_with_its_projection_and_its_payload(journal: Journal) -> None:
    event = Event(
        kind="call.result", call_id="c", session="s", connection="git", method="tools/call", tool="push",
        actor="ab", policy_revision=4, policy_digest="dd", facts={"status": 200},
        payloads={"answer": Payload(b'{"ok":true}')},
    )  # fmt: skip
    journal.append_now(intent("c"), event)
    leaf = stored()[-1]
    row = Entry.objects.latest("id")
    assert (leaf.kind, leaf.revision, leaf.digest, leaf.facts) == ("call.result", 4, "dd", {"status": 200})
    assert (leaf.origin, leaf.build, leaf.writer, leaf.n) == ("holdgate-test", "test", journal.process_id, 2)
    assert (row.kind, row.call_id, row.session) == ("call.result", "c", "s")
    assert (row.connection, row.tool, row.actor, row.ts) == ("git", "push", "ab", leaves.moment(leaf.ts))
    assert bytes(row.leaf_hash) == leaves.leaf_hash(bytes(row.leaf))
    payload = PayloadRow.objects.get()
    assert bytes(payload.commitment).hex() == leaf.payloads["answer"].digest
    assert leaves.commit(bytes(payload.salt), bytes(payload.body)) == leaf.payloads["answer"].digest
    assert b"true" not in bytes(row.leaf)


def test_a_process_says_when_it_starts_and_stops(transactional_db: None) -> None:
    with running() as journal:
        assert kinds() == ["process.started"]
        assert journal.last_commit_age() < 10
        assert GatewayProcess.objects.get(id=journal.process_id).stopped_at is None
    assert kinds() == ["process.started", "process.stopped"]
    assert GatewayProcess.objects.get(id=journal.process_id).stopped_at is not None
    with pytest.raises(RecordUnavailable):
        journal.append_now(message())


def test_what_queued_during_a_commit_becomes_one_transaction(journal: Journal) -> None:
    # The second transaction of several would find the messages of the first, and refuse its own.
    with running(revision="SELECT COUNT(*) FROM mcp_sessions_entry WHERE kind = 'call.message'") as counted:

        async def burst() -> None:
            gate = Gate()
            held = asyncio.create_task(counted.transact(gate))
            await asyncio.to_thread(gate.reached.wait, 10)
            waiting = [asyncio.create_task(counted.append(message(str(n)), revision=0)) for n in range(100)]
            await asyncio.sleep(0)
            gate.open()
            await asyncio.gather(held, *waiting)

        asyncio.run(burst())
        numbers = [leaf.n for leaf in stored() if leaf.writer == counted.process_id]
        assert numbers == list(range(101))


def test_several_events_of_one_append_are_stored_together_and_in_order(journal: Journal) -> None:
    journal.append_now(intent("a"), message("a"), Event(kind="call.result", call_id="a"))
    assert kinds()[1:] == ["call.intent", "call.message", "call.result"]
    assert not OpenCall.objects.exists()


def test_a_call_is_open_from_its_intent_to_its_end(journal: Journal) -> None:
    journal.append_now(intent("a"))
    row = OpenCall.objects.get()
    assert (row.call_id, row.writer) == ("a", journal.process_id)
    assert row.recover_after is not None
    assert bytes(row.leaf_hash) == bytes(Entry.objects.latest("id").leaf_hash)
    journal.append_now(Event(kind="call.failed", call_id="a"))
    assert not OpenCall.objects.exists()


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("kind", ["call.refused", "call.blocked", "call.repeated"])
def test_the_refusal_of_a_repeat_does_not_end_the_call_that_runs(journal: Journal, kind: str) -> None:
    journal.append_now(intent("a"))
    journal.append_now(Event(kind=kind, call_id="a"))
    assert [row.call_id for row in OpenCall.objects.all()] == ["a"]


def test_a_bad_item_of_a_batch_fails_alone(journal: Journal) -> None:
    journal.append_now(intent("taken"))
    gate = Gate()
    outcomes: dict[str, str] = {}

    def append(name: str, *events: Event) -> None:
        try:
            journal.append_now(*events)
            outcomes[name] = "stored"
        except (RecordUnavailable, leaves.LeafInvalid) as error:
            outcomes[name] = type(error).__name__

    threads = [threading.Thread(target=lambda: journal.transact_now(gate))]
    threads[0].start()
    assert gate.reached.wait(10)
    for name, event in (
        ("before", message("1")),
        ("open already", intent("taken")),
        ("no leaf", Event(kind="call.message", facts={"x": 1.5})),  # type: ignore[dict-item]  # the point
        ("after", message("2")),
    ):
        threads.append(threading.Thread(target=append, args=(name, event)))
        threads[-1].start()
    gate.open()
    for thread in threads:
        thread.join(10)
    assert outcomes == {
        "before": "stored",
        "open already": "RecordUnavailable",
        "no leaf": "LeafInvalid",
        "after": "stored",
    }
    assert [leaf.n for leaf in stored()] == [0, 1, 2, 3]


def test_work_and_its_events_are_committed_as_one(journal: Journal) -> None:
    def work() -> tuple[str, Sequence[Event]]:
        session_named("made")
        return "value", [message()]

    assert journal.transact_now(work) == "value"
    assert RecordedSession.objects.filter(id="made").exists()
    assert kinds()[-1] == "call.message"


def test_an_exception_of_work_rolls_back_only_itself(journal: Journal) -> None:
    def fails() -> tuple[None, Sequence[Event]]:
        session_named("lost")
        raise KeyError("mine")

    def twice() -> tuple[None, Sequence[Event]]:
        session_named("kept")
        session_named("kept")
        return None, [message()]

    def broken_leaf() -> tuple[None, Sequence[Event]]:
        session_named("lost too")
        return None, [Event(kind="x", facts={"x": b""})]  # type: ignore[dict-item]  # the point of the test

    async def together() -> list[object]:
        return list(
            await asyncio.gather(
                journal.append(message("1")), journal.transact(fails), journal.transact(twice),
                journal.transact(broken_leaf), journal.append(message("2")), return_exceptions=True,
            )
        )  # fmt: skip

    results = asyncio.run(together())
    assert [type(result) for result in results] == [
        type(None), KeyError, IntegrityError, leaves.LeafInvalid, type(None),
    ]  # fmt: skip
    assert not RecordedSession.objects.exists()
    assert [leaf.call for leaf in stored()[1:]] == ["1", "2"]
    assert [leaf.n for leaf in stored()] == [0, 1, 2]


def test_an_item_that_timed_out_in_the_queue_is_never_written(transactional_db: None) -> None:
    with running(timeout=0.2) as journal:
        gate = Gate()
        with pytest.raises(RecordUnavailable):
            journal.transact_now(gate)
        with pytest.raises(RecordUnavailable):
            journal.append_now(message("late"))
        with pytest.raises(RecordUnavailable):
            asyncio.run(journal.append(message("late as well")))
        gate.open()
    assert kinds() == ["process.started", "process.stopped"]


def test_an_intent_committed_after_its_caller_was_refused_is_ended(transactional_db: None) -> None:
    with running(timeout=0.3) as journal:
        gate = Gate()

        def claim() -> tuple[None, Sequence[Event]]:
            gate()
            return None, [intent("slow")]

        with pytest.raises(RecordUnavailable):
            journal.transact_now(claim)
        gate.open()
    leaf = stored()[-2]
    assert kinds() == ["process.started", "call.intent", "call.abandoned", "process.stopped"]
    assert (leaf.call, leaf.facts) == ("slow", {"executed": "false"})
    assert not OpenCall.objects.exists()


def test_who_knows_better_ends_the_late_call_itself(transactional_db: None) -> None:
    def on_late(intents: Sequence[Event]) -> Sequence[Event]:
        session_named("told")
        return [Event(kind="call.cancelled", call_id=one.call_id) for one in intents]

    with running(timeout=0.3, on_late=on_late) as journal:
        gate = Gate()
        with pytest.raises(RecordUnavailable):
            journal.transact_now(lambda: (gate(), [intent("slow")]))
        gate.open()
    assert kinds()[1:3] == ["call.intent", "call.cancelled"]
    assert RecordedSession.objects.filter(id="told").exists()


def test_cancelling_the_caller_does_not_cancel_the_write(journal: Journal) -> None:
    async def cancelled() -> None:
        gate = Gate()
        held = asyncio.create_task(journal.transact(gate))
        append = asyncio.create_task(journal.append(message("kept")))
        await asyncio.sleep(0)
        append.cancel()
        gate.open()
        await held
        await journal.append(message("next"))
        assert append.cancelled()

    asyncio.run(cancelled())
    assert [leaf.call for leaf in stored()[1:]] == ["kept", "next"]


def test_a_full_queue_refuses_at_once(transactional_db: None) -> None:
    with running(capacity=1) as journal:
        gate = Gate()
        threads = [threading.Thread(target=journal.transact_now, args=[gate])]
        threads[0].start()
        assert gate.reached.wait(10)
        waiting = asyncio.new_event_loop()

        async def overflow() -> None:
            first = asyncio.create_task(journal.append(message("fits")))
            await asyncio.sleep(0)
            with pytest.raises(RecordUnavailable):
                await journal.append(message("does not"))
            gate.open()
            await first

        waiting.run_until_complete(overflow())
        waiting.close()
        threads[0].join(10)
    assert "does not" not in [leaf.call for leaf in stored()]


def test_a_policy_that_moved_since_the_verdict_is_told_and_nothing_written(transactional_db: None) -> None:
    with running(revision="SELECT 3 + COUNT(*) FROM mcp_sessions_recordedsession") as journal:
        journal.append_now(message("ok"), revision=3)
        journal.transact_now(lambda: (session_named("published"), [message("published")]), exclusive=True)
        with pytest.raises(RevisionMoved) as moved:
            journal.append_now(message("stale"), revision=3)
        assert moved.value.current == 4
        with pytest.raises(RevisionMoved):
            journal.transact_now(lambda: (session_named("stale"), [message("stale")]), revision=3)
    assert [leaf.call for leaf in stored() if leaf.call] == ["ok", "published"]
    assert not RecordedSession.objects.filter(id="stale").exists()


def test_a_database_that_cannot_be_reached_refuses_and_recovers(transactional_db: None) -> None:
    with running(revision="SELECT number FROM test_policy") as journal:
        with pytest.raises(RecordUnavailable):
            journal.append_now(message("lost"), revision=1)
        with a_table("test_policy AS SELECT 1 AS number"):
            journal.append_now(message("kept"), revision=1)
    assert [leaf.n for leaf in stored()] == [0, 1, 2]
    assert [leaf.call for leaf in stored()] == ["", "kept", ""]


def test_the_session_of_the_first_event_gets_its_row_once(journal: Journal) -> None:
    started = Event(
        kind="session.started", session="s", actor="ab", connection="git",
        payloads={"run": Payload(b"Run 7")},
    )  # fmt: skip
    event = Event(kind="call.message", session="s", actor="ab", connection="git")
    journal.append_now(started, event)
    journal.append_now(event)
    row = RecordedSession.objects.get()
    assert (row.id, row.actor, row.connection, row.run) == ("s", "ab", "git", "Run 7")


def test_an_open_transaction_of_the_caller_is_refused(journal: Journal) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        journal.append_now(message())
    assert not connection.in_atomic_block


def test_work_cannot_append_by_itself(journal: Journal) -> None:
    def work() -> tuple[None, Sequence[Event]]:
        journal.append_now(message())
        return None, []

    with pytest.raises(RuntimeError):
        journal.transact_now(work)


def test_a_journal_that_cannot_announce_itself_does_not_start(transactional_db: None) -> None:
    journal = new_journal(origin="nul\x00")
    with pytest.raises(leaves.LeafInvalid):
        journal.start()
    with pytest.raises(RecordUnavailable):
        journal.append_now(message())


def test_two_writers_at_the_same_time_lose_nothing(transactional_db: None) -> None:
    with running() as first, running() as second:

        async def write(journal: Journal, name: str) -> None:
            for n in range(100):
                await journal.append(message(f"{name}{n}"))

        def run(journal: Journal, name: str) -> None:
            async def several() -> None:
                await asyncio.gather(*(write(journal, f"{name}{worker}-") for worker in range(5)))

            asyncio.run(several())

        threads = [threading.Thread(target=run, args=pair) for pair in ((first, "a"), (second, "b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    for journal in (first, second):
        numbers = [leaf.n for leaf in stored() if leaf.writer == journal.process_id]
        assert numbers == list(range(502))
