"""The writer when it cannot know: a COMMIT whose answer never came is looked up before all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from django.db import OperationalError, connection, transaction

from sessions import leaf as leaves
from sessions.events import Event
from sessions.models import Entry
from sessions.sealing import Sealer
from sessions.writer import Job, RecordUnavailable, Writer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer() -> Writer:
    return Writer(Sealer(origin="holdgate-test", build="test", writer="w"), "w")


class Outage:
    """A database that takes a COMMIT, loses the answer, and then does not answer for a while."""

    def __init__(self) -> None:
        self.away = False
        self.stays_away = False
        self.takes_next = False

    def work(self) -> tuple[None, Sequence[Event]]:
        """Return an intent. Django runs the hook after the COMMIT, before the writer hears of it."""
        transaction.on_commit(self._lose)
        return None, [Event(kind="call.intent", call_id="doubtful")]

    def _lose(self) -> None:
        self.away = self.stays_away
        msg = "the connection was lost"
        raise OperationalError(msg)

    def __call__(self, execute: Callable[..., object], statement: str | bytes, *rest: object) -> object:
        """Stand before every statement of this thread."""
        if self.away:
            msg = "no answer"
            raise OperationalError(msg)
        if self.takes_next and connection.in_atomic_block:
            self.takes_next = False
            transaction.on_commit(self._lose)
        found = execute(statement, *rest)
        if self.takes_next and isinstance(statement, bytes) and statement.endswith(b"COMMIT"):
            self.takes_next = False
            self._lose()
        return found


@pytest.fixture
def outage() -> Iterator[Outage]:
    outage = Outage()
    with connection.execute_wrapper(outage):
        yield outage


def numbers() -> list[int]:
    return [leaves.decode(bytes(leaf)).n for leaf in Entry.objects.order_by("id").values_list("leaf", flat=True)]


def message() -> Job:
    return Job(events=(Event(kind="call.message"),))


def test_a_commit_whose_answer_was_lost_counts_when_it_happened(writer: Writer, outage: Outage) -> None:
    job = Job(work=outage.work)
    writer.commit([job])
    assert job.error is None
    assert writer.late == []
    writer.commit([message()])
    assert numbers() == [0, 1]


def test_until_a_doubtful_commit_is_settled_nothing_else_is_written(writer: Writer, outage: Outage) -> None:
    outage.stays_away = True
    job, refused, later = Job(work=outage.work), message(), message()
    writer.commit([job])
    assert isinstance(job.error, RecordUnavailable)
    writer.commit([refused])
    assert isinstance(refused.error, RecordUnavailable)
    outage.away = False
    writer.commit([later])
    assert later.error is None
    assert [event.call_id for event in writer.late] == ["doubtful"]
    assert numbers() == [0, 1]


def test_events_alone_whose_commit_was_taken_count_and_are_written_once(writer: Writer, outage: Outage) -> None:
    outage.takes_next = True
    jobs = [message(), message()]
    writer.commit(jobs)
    assert [job.error for job in jobs] == [None, None]
    assert not outage.takes_next
    writer.commit([message()])
    assert numbers() == [0, 1, 2]


def test_a_call_that_is_open_already_fails_alone_and_leaves_the_connection_as_it_was(writer: Writer) -> None:
    twice = [Job(events=(Event(kind="call.intent", call_id="a"),)) for _ in range(2)]
    writer.commit([message(), twice[0]])
    bad = [message(), twice[1], message()]
    writer.commit(bad)
    assert [job.error is None for job in bad] == [True, False, True]
    assert not connection.in_atomic_block
    assert numbers() == [0, 1, 2, 3]


def test_a_commit_that_did_not_happen_gives_its_numbers_back(writer: Writer, outage: Outage) -> None:
    outage.away = True
    lost, next_one = message(), message()
    writer.commit([lost])
    assert isinstance(lost.error, RecordUnavailable)
    outage.away = False
    writer.commit([next_one])
    assert next_one.error is None
    assert numbers() == [0]
