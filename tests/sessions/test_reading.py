"""Grouping calls into sessions, reading them back, and finding the calls that nobody will end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sessions import selectors
from sessions.events import Event, Payload
from sessions.grouping import Grouping
from sessions.ids import uuid7
from sessions.journal import Journal
from sessions.models import GatewayProcess, RecordedSession
from sessions.models import Payload as PayloadRow
from sessions.recovery import open_calls
from tests.record import Log, running


def test_ids_are_of_version_7_and_sort_by_time() -> None:
    made = [uuid7() for _ in range(1000)]
    assert {(UUID(one).version, UUID(one).variant) for one in made} == {(7, "specified in RFC 4122")}
    assert len(set(made)) == 1000
    heads = [one[:18] for one in made]
    assert heads == sorted(heads)
    assert abs(int(made[0].replace("-", "")[:12], 16) / 1000 - datetime.now(UTC).timestamp()) < 60


def test_calls_without_a_run_belong_together_until_an_idle_gap() -> None:
    grouping = Grouping(idle=100)
    first, new = grouping.session_id("ann", "git", "", 0)
    assert new
    assert grouping.session_id("ann", "git", "", 99) == (first, False)
    assert grouping.session_id("ann", "git", "", 199) == (first, False)
    assert grouping.session_id("ann", "db", "", 199)[0] != first
    later, new = grouping.session_id("ann", "git", "", 300)
    assert (new, later == first) == (True, False)


def test_a_named_run_is_one_session_in_every_process() -> None:
    here, there = Grouping(), Grouping()
    assert here.session_id("ann", "git", "run 7", 0) == there.session_id("ann", "git", "run 7", 9)
    session, new = here.session_id("ann", "git", "run 7", 10**6)
    assert new
    assert session == there.session_id("ann", "git", "run 7", 10)[0]
    assert here.session_id("anng", "it", "run 7", 0)[0] != session


def test_a_session_that_could_not_be_recorded_is_new_again() -> None:
    grouping = Grouping(capacity=1)
    grouping.session_id("ann", "git", "7", 0)
    grouping.forget("ann", "git", "7")
    assert grouping.session_id("ann", "git", "7", 1)[1]
    grouping.session_id("bob", "git", "7", 1)
    assert grouping.session_id("ann", "git", "7", 2)[1]


def test_sessions_come_newest_first_in_pages(transactional_db: None) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(5):
        RecordedSession.objects.create(
            id=f"s{n}",
            actor="a",
            connection="git" if n else "db",
            run="",
            started_at=begin + timedelta(hours=n // 2),
        )
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = selectors.recorded_sessions(cursor=cursor, limit=2)
        seen += [session.id for session in page]
    assert seen == ["s4", "s3", "s2", "s1", "s0"]
    assert [one.id for one in selectors.recorded_sessions(connection="db", actors={"a"})[0]] == ["s0"]
    for bad in ("x", "eHh4", "MjAyNi0wMS0wMXxz"):
        with pytest.raises(selectors.CursorInvalid):
            selectors.recorded_sessions(cursor=bad)


def test_a_call_reads_back_with_its_payloads_and_its_end(journal: Journal, log: Log) -> None:
    request = Payload(b'{"name":"push"}')
    common = {"session": "s", "connection": "git", "method": "tools/call", "tool": "push", "actor": "a"}
    journal.append_now(Event(kind="call.intent", call_id="c", payloads={"request": request}, **common))  # type: ignore[arg-type]  # texts all
    summary = selectors.call_summary("c")
    assert summary is not None
    assert (summary.kind, summary.ended_at, summary.tool) == ("call.intent", None, "push")
    journal.append_now(Event(kind="call.result", call_id="c", payloads={"answer": Payload(b"ok")}, **common))  # type: ignore[arg-type]  # texts all
    log.sequencer.run_once()
    summary = selectors.call_summary("c")
    assert summary is not None
    assert summary.kind == "call.result"
    assert summary.ended_at is not None
    assert [dict(entry.payloads) for entry in summary.entries] == [{"request": request}, {"answer": b"ok"}]
    assert [entry.log_index for entry in summary.entries] == [1, 2]
    PayloadRow.objects.filter(name="answer").delete()
    entries = selectors.entries_of_session("s")
    assert [dict(entry.payloads) for entry in entries] == [{"request": request}, {}]
    assert [entry.leaf.kind for entry in selectors.entries_of_session("s", after=entries[0].id)] == ["call.result"]
    assert selectors.call_summary("unknown") is None


def intent(call: str, after: float | None = None) -> Event:
    return Event(kind="call.intent", call_id=call, tool="push", recover_after=after)


def open_ids(now: datetime, **options: object) -> list[str]:
    return sorted(call.call_id for call in open_calls(now=now, **options))  # type: ignore[arg-type]  # passed on


def test_a_call_past_its_time_or_of_a_dead_process_is_recovered(journal: Journal) -> None:
    now = datetime.now(UTC)
    journal.append_now(intent("brief", 5), intent("long", 3600), intent("unbounded"))
    assert open_ids(now) == []
    assert open_ids(now + timedelta(seconds=12)) == ["brief"]
    GatewayProcess.objects.update(heartbeat_at=now - timedelta(seconds=16))
    assert open_ids(now) == ["brief", "long", "unbounded"]
    [call] = [call for call in open_calls(now=now) if call.call_id == "brief"]
    assert (call.writer, call.leaf.tool) == (journal.process_id, "push")


def test_a_process_that_stopped_or_cannot_be_alive_leaves_its_calls_at_once(journal: Journal) -> None:
    now = datetime.now(UTC)
    with running() as other:
        other.append_now(intent("theirs"))
        journal.append_now(intent("ours"))
        assert open_ids(now) == []
        assert open_ids(now, exclusive=True, writer=journal.process_id) == ["theirs"]
    assert open_ids(now) == ["theirs"]
