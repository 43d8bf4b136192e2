"""The list of sessions over very many calls: how long each kind of question takes. A process on a fresh database.

`python -m benchmarks.searching CALLS` migrates, makes that many calls, asks, and prints one line of JSON. What is made
are the rows that the list reads, not the entries behind them; how fast entries become rows is measured with real ones.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproj.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - after Django is set up
from django.db import connection, transaction  # noqa: E402

from benchmarks.child import say  # noqa: E402
from sessions import selectors  # noqa: E402
from sessions.models import RecordedCall, RecordedSession  # noqa: E402
from sessions.search import calls, index  # noqa: E402
from sessions.search.calls import Wanted  # noqa: E402

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLERS, CONNECTIONS, TOOLS, OF_A_SESSION = 400, 12, 60, 20
LEXICON = [
    f"{stem}{number}"
    for stem in ("order", "customer", "invoice", "table", "branch", "ticket")
    for number in range(5_000)
]


def fill(count: int) -> None:
    """Make calls over a year: skewed callers and tools, one in a thousand exposed, words from a lexicon of 30,000."""
    chance = random.Random(8)  # noqa: S311 - no secret
    batch, step = 5_000, timedelta(days=330) / count
    for first in range(0, count, batch):
        rows = [
            _call(chance, number, START + number * step, count) for number in range(first, min(count, first + batch))
        ]
        sessions = {row.session: row for row in reversed(rows)}
        with transaction.atomic():
            RecordedCall.objects.bulk_create(rows, batch_size=1_000)
            RecordedSession.objects.bulk_create(
                [RecordedSession(id=key, actor=row.actor, connection=row.connection, run="", started_at=row.at)
                 for key, row in sessions.items()], ignore_conflicts=True, batch_size=1_000,
            )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _call(chance: random.Random, number: int, at: datetime, count: int) -> RecordedCall:
    place = number // OF_A_SESSION
    of_session = random.Random(place)  # noqa: S311 - no secret
    actor, where = int(CALLERS * of_session.random() ** 3), int(CONNECTIONS * of_session.random() ** 2)
    tool = int(TOOLS * chance.random() ** 3)
    verdict = chance.choices(("allow", "hold", "deny", "refused"), (92, 5, 2, 1))[0]
    row = RecordedCall(
        id=index.first_id(at), call_id=f"c-{number}", session=f"s-{place}", connection=f"server-{where}",
        method="tools/call", tool="old" if number < count // 50 else f"tool-{tool}", actor=f"{actor:032x}", at=at,
        verdict=verdict, outcome="answered" if verdict == "allow" else "blocked", rules=[f"rule-{tool % 7}"],
        masked={"email": 3} if chance.random() < 0.3 else {}, exposed={"iban": 1} if chance.random() < 0.001 else {},
        words=" ".join(sorted({*(LEXICON[int(30_000 * chance.random() ** 2)] for _ in range(12)), "select", "from"})),
    )  # fmt: skip
    row.facets = " ".join(index.facets(row))
    return row


def questions() -> Iterator[tuple[str, Wanted]]:
    """Yield what is asked, by a name: frequent and rare, alone and together, also what hardly ever meets."""
    busy, quiet = f"{0:032x}", f"{CALLERS - 2:032x}"
    yield "everything", Wanted()
    yield "busy caller", Wanted(actors=(busy,))
    yield "quiet caller", Wanted(actors=(quiet,))
    yield "person of five accounts", Wanted(actors=tuple(f"{one:032x}" for one in range(100, 105)))
    yield "own calls", Wanted(own=quiet)
    yield "connection", Wanted(connection="server-3")
    yield "tool", Wanted(tool="tool-0")
    yield "tool of long ago", Wanted(tool="old")
    yield "verdict", Wanted(verdict="deny")
    yield "all but all", Wanted(verdict="allow")
    yield "masked class", Wanted(masked="email")
    yield "exposed class", Wanted(exposed="iban")
    yield "rule", Wanted(rule="rule-2")
    yield "frequent word", Wanted(text="select")
    yield "rare word", Wanted(text="ticket4999")
    yield "beginning of words", Wanted(text="invoice4*")
    yield "three words", Wanted(text="order1 customer1 select")
    yield "one hour", Wanted(since=START + timedelta(days=100), until=START + timedelta(days=100, hours=1))
    yield "month and tool", Wanted(tool="tool-1", since=START + timedelta(days=60), until=START + timedelta(days=90))
    yield "caller, tool, verdict", Wanted(actors=(busy,), tool="tool-5", verdict="hold")
    yield "hardly ever meet", Wanted(tool="old", connection="server-11", masked="email", exposed="iban")
    yield "never meet", Wanted(tool="old", since=START + timedelta(days=100))
    yield "nothing", Wanted(tool="no-such-tool")


def ask() -> dict[str, dict[str, float]]:
    """Return for each question the milliseconds of its page, of the page after it, and of its count; slowest of 3."""
    told = {}
    for name, wanted in questions():
        page, following = calls.sessions_with(wanted)
        told[name] = {
            "page": _slowest(partial(calls.sessions_with, wanted)),
            "next": _slowest(partial(calls.sessions_with, wanted, before=following)) if following else 0,
            "count": _slowest(partial(calls.count, wanted)),
            "sessions": len(page),
            "calls": calls.count(wanted)[0],
        }
    told["no filter"] = {"page": _slowest(selectors.recorded_sessions)}
    return told


def _slowest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return round(max(times), 1)


if __name__ == "__main__":
    call_command("migrate", verbosity=0, interactive=False)
    began = time.perf_counter()
    fill(int(sys.argv[1]))
    say({"seconds to make": round(time.perf_counter() - began), "ms": ask()})
