"""Finding calls in the record: what is found, what is not, in pages, after an erasure, and made anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from sessions.events import Event, Payload
from sessions.journal import Journal
from sessions.models import RecordedCall
from sessions.search import calls, index
from sessions.search.calls import Wanted
from sessions.search.terms import words
from tests.record import Log

ALICE, BOB = "a" * 32, "b" * 32


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["held", "drop", "read"]),
    ({"actors": (ALICE,)}, ["drop", "read"]),
    ({"actors": (ALICE, BOB)}, ["held", "drop", "read"]),
    ({"actors": ()}, []),
    ({"own": BOB}, ["held"]),
    ({"own": BOB, "actors": (ALICE,)}, []),
    ({"connection": "pay"}, ["held"]),
    ({"tool": "query", "verdict": "deny"}, ["drop"]),
    ({"verdict": "hold", "outcome": "approved"}, ["held"]),
    ({"outcome": "answered"}, ["read"]),
    ({"rule": "no-drops"}, ["drop"]),
    ({"masked": "email"}, ["read"]),
    ({"exposed": "iban"}, ["read"]),
    ({"exposed": "email"}, []),
    ({"text": "customers"}, ["drop", "read"]),
    ({"text": "CUST* select"}, ["read"]),
    ({"text": "4711 zürich"}, ["read"]),
    ({"text": "query"}, []),
    ({"text": "cust"}, []),
    ({"text": "--"}, []),
    ({"text": "\" OR 'x':* | !"}, []),
    ({"text": "sql", "connection": "pay"}, []),
]  # fmt: skip


def entry(kind: str, call: str, session: str = "s-1", **more: Any) -> Event:
    told = {"connection": "orders-db", "method": "tools/call", "tool": "query", "actor": ALICE}
    return Event(kind=kind, call_id=call, session=session, **{**told, **more})


def request(**arguments: Any) -> dict[str, Payload]:
    document = {"method": "tools/call", "params": {"name": "query", "arguments": arguments}}
    return {"request": Payload(json.dumps(document).encode())}


def found(**wanted: Any) -> list[str]:
    rows, following = calls.calls_of(Wanted(**wanted))
    assert following is None
    return [row.call_id for row in rows]


@pytest.fixture
def searchable(journal: Journal, log: Log) -> Journal:
    """Calls of two people on two servers: allowed, blocked, held and approved, with masked and exposed values."""
    journal.append_now(
        entry("call.intent", "read", payloads=request(sql="SELECT name FROM Customers -- Zürich", n=4711),
              facts={"verdict": "allow", "rules": ["reads"], "masked": ["email:2"]}),
    )  # fmt: skip
    journal.append_now(entry("call.result", "read", facts={"masked": ["email:40"], "exposed": ["iban:3"]}))
    journal.append_now(
        entry("call.blocked", "drop", payloads=request(sql="DROP TABLE customers"), facts={"rules": ["no-drops"]})
    )
    held = {"approval": "a-1", "rule": "ask"}
    journal.append_now(
        entry(
            "approval.requested",
            "held",
            "s-2",
            tool="refund",
            actor=BOB,
            connection="pay",
            facts=held,
            payloads=request(to="order 815"),
        ),
    )
    journal.append_now(
        entry("approval.approved", "held", "s-2", tool="refund", actor=ALICE, connection="pay", facts=held)
    )
    log.sequencer.run_once()
    assert index.index_up() == 0
    return journal


def test_each_filter_finds_what_fits_and_nothing_else(searchable: Journal) -> None:
    for wanted, expected in FILTERS:
        assert found(**wanted) == expected, wanted
        assert calls.count(Wanted(**wanted)) == (len(expected), True), wanted


def test_time_bounds_what_is_found(searchable: Journal) -> None:
    first, second = (RecordedCall.objects.get(call_id=name).at for name in ("read", "drop"))

    assert found(since=second) == ["held", "drop"]
    assert found(until=second) == ["read"]
    assert found(since=first, until=second, text="customers") == ["read"]


def test_no_word_of_a_call_passes_for_its_caller(searchable: Journal, log: Log) -> None:
    term = next(one for one in RecordedCall.objects.get(call_id="held").facets.split() if one.startswith("="))
    searchable.append_now(entry("call.intent", "forged", payloads=request(sql=f"{term} {term[1:]}")))
    log.sequencer.run_once()
    index.index_up()

    assert found(own=BOB) == ["held"]


def test_sessions_come_once_each_by_their_newest_call(journal: Journal, log: Log) -> None:
    for number in range(12):
        name = f"s-{number % 4}"
        journal.append_now(entry("call.intent", f"c-{number}", name, payloads=request(n=number % 2)))
    log.sequencer.run_once()
    index.index_up()
    pages: list[Any] = []
    before: int | None = 0
    while before is not None:
        page, before = calls.sessions_with(Wanted(tool="query"), before=before, limit=3)
        pages.append([(one.session.pk, one.calls[0].call_id) for one in page])

    assert pages == [[("s-3", "c-11"), ("s-2", "c-10"), ("s-1", "c-9")], [("s-0", "c-8")]]
    (only, other), following = calls.sessions_with(Wanted(text="1"))
    assert (only.session.pk, only.met, other.session.pk, following) == ("s-3", 3, "s-1", None)


def test_pages_follow_each_other_without_gap_or_repeat(journal: Journal, log: Log) -> None:
    journal.append_now(*(entry("call.intent", f"c-{number}") for number in range(25)))
    log.sequencer.run_once()
    index.index_up()
    seen: list[str] = []
    before: int | None = 0
    while before is not None:
        page, before = calls.calls_of(Wanted(tool="query"), before=before, limit=10)
        seen += [row.call_id for row in page]

    assert sorted(seen) == sorted(f"c-{number}" for number in range(25))
    assert len({row.id for row in RecordedCall.objects.all()}) == 25


def test_a_count_has_a_cap(searchable: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MOST_COUNTED", 2)

    assert calls.count(Wanted()) == (2, False)
    assert calls.count(Wanted(actors=(ALICE,))) == (2, True)


def test_what_comes_later_is_added_to_a_call_and_the_index_can_be_made_anew(searchable: Journal, log: Log) -> None:
    searchable.append_now(entry("call.intent", "held", "s-2", tool="refund", actor=BOB, connection="pay"))
    searchable.append_now(entry("call.failed", "held", "s-2", tool="refund", actor=BOB, connection="pay"))
    log.sequencer.run_once()
    assert index.behind() == 2
    index.index_up(steps=1, step=1)
    index.index_up()
    assert (found(outcome="failed"), found(outcome="approved"), found(text="order")) == (["held"], [], ["held"])
    before = list(RecordedCall.objects.order_by("id").values())

    index.again()
    assert found() == []
    index.index_up()

    assert list(RecordedCall.objects.order_by("id").values()) == before


def test_what_was_erased_from_the_index_is_found_no_more(searchable: Journal) -> None:
    RecordedCall.objects.filter(call_id="read").update(words="")

    assert found(text="zürich") == []
    assert found(masked="email") == ["read"]


def test_words_are_few_and_short() -> None:
    assert words({"Straße": ["ＡＢＣ", None, True, 1.5, "snake_case"]}) == ["1", "5", "abc", "case", "snake", "strasse"]
    assert len(words([f"w{number}" for number in range(9_000)])) == 2_000
    assert words("x" * 500) == ["x" * 64]


def test_the_index_is_that_of_this_database(searchable: Journal) -> None:
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO mcp_sessions_callsearch(mcp_sessions_callsearch) VALUES ('integrity-check')")
    assert RecordedCall.objects.count() == 3
