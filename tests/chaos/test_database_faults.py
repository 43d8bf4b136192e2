"""PostgreSQL fails in every way under two web processes: calls are refused, nothing is forwarded, nothing is lost.

Around each fault the same story is told: one call is held, one runs at its upstream, and others are tried while the
fault lasts. A call may be refused or not answered; it may not be forwarded unless its intent was committed before.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest

from tests.chaos.conftest import Houses
from tests.chaos.house import CUT, House, Waiting
from tests.line import Held
from tests.people import DAVE
from tests.servers import PostgreSQL
from tests.world import World, marker, until

pytestmark = [pytest.mark.promise("fail-closed"), pytest.mark.promise("nothing-lost")]

Fault = Callable[[PostgreSQL, House], contextlib.AbstractContextManager[None]]


@pytest.fixture
def house(houses: Houses) -> House:
    """Two web processes on the server that is going to fail."""
    both = houses["postgresql"]
    both.start_what_is_dead()
    return both


@contextlib.contextmanager
def stopped(server: PostgreSQL, house: House) -> Iterator[None]:
    """Stopped in an orderly way, for as long as it lasts."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def crashed(server: PostgreSQL, house: House) -> Iterator[None]:
    """Restarted at once: every connection is cut, and it recovers from its log."""
    server.restart(signal.SIGQUIT)
    yield


@contextlib.contextmanager
def read_only(server: PostgreSQL, house: House) -> Iterator[None]:
    """Every new transaction is read-only, as after a failover to a standby."""
    _configure(server, "on")
    try:
        yield
    finally:
        _configure(server, "off")


def _configure(server: PostgreSQL, value: str) -> None:
    with psycopg.connect(server.url(), autocommit=True, options="-c default_transaction_read_only=off") as admin:
        admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        admin.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def crowded(server: PostgreSQL, house: House) -> Iterator[None]:
    """Others have taken every connection."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(psycopg.connect(server.url()))
            except psycopg.OperationalError:
                break
        yield


@contextlib.contextmanager
def cut(server: PostgreSQL, house: House) -> Iterator[None]:
    """Every connection of the gateway is ended by an administrator, listeners and sequencers too."""
    for _ in range(5):
        server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name <> 'psql' "
                   "AND pid <> pg_backend_pid() AND backend_type = 'client backend'")  # fmt: skip
        time.sleep(0.2)
    yield


FAULTS: dict[str, tuple[Fault, bool]] = {
    "stopped": (stopped, True),
    "crashed": (crashed, False),
    "read-only": (read_only, True),
    "crowded": (crowded, False),
    "cut": (cut, False),
}


SHORT = {("stopped", "later"), ("cut", "later")}
CASES = [
    pytest.param(name, ends, marks=[] if (name, ends) in SHORT else pytest.mark.chaos)
    for name in FAULTS
    for ends in ("meanwhile", "later")
]


@pytest.mark.parametrize(("name", "ends"), CASES)
def test_the_database_fails(house: House, server: PostgreSQL, name: str, ends: str) -> None:
    here, beside, (fault, closes) = house.here, house.beside, FAULTS[name]
    assert beside is not None
    upstream, mark = here.upstream, marker()
    waiting = [Waiting.begin(here), Waiting.begin(beside)]
    upstream.hold()
    running = here.caller(DAVE).begin("slow", {"marker": mark})
    upstream.wait_for(lambda it: it.markers[mark] == 1)

    with fault(server, house):
        tried = [_try(at) for at in (here, beside) for _ in range(2)]
        if closes:
            assert not any(upstream.markers[one] for one in tried), "forwarded without a record"
        for one in waiting:
            _decide(beside, one)
        if ends == "meanwhile":
            upstream.release()
            _answered(running)

    for at in (here, beside):
        until(lambda at=at: _ready(at), "the process to be ready again", 30)  # type: ignore[misc]
    if ends == "later":
        upstream.release()
        _answered(running)
    assert all(upstream.markers[one] <= 1 for one in tried)
    for one in waiting:
        _collect(beside, one)
    house.assert_history()


def _try(at: World) -> str:
    """Try a call that is allowed, and return its marker; any refusal will do, and no answer too."""
    mark = marker()
    with contextlib.suppress(*CUT):
        at.caller(DAVE).call("query", {"sql": "select 1", "marker": mark})
    return mark


def _decide(at: World, one: Waiting) -> None:
    """Try to approve; what was acknowledged must be there afterwards."""
    with contextlib.suppress(*CUT):
        at.decide(one.approval, "approve")


def _ready(at: World) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{at.gateway.url}/readyz", timeout=10, trust_env=False).status_code == 200
    return False


def _answered(running: Held) -> None:
    with contextlib.suppress(*CUT):
        running.answer()


def _collect(at: World, one: Waiting) -> None:
    """The held call gets its end, if need be after another decision, and has run once."""
    at.told.asked.append(one.approval)
    if at.approval(one.approval)["status"] == "pending":
        at.approve(one.approval)
    answer = one.held.answer()
    if answer.outcome != (None, None):
        again = at.caller(DAVE).call("echo", {"text": "please", "marker": one.mark}, holdgate_approval=one.approval)
        assert again.outcome[0] in {None, "outcome_unknown"}, (answer.body, again.body)
    assert at.upstream.markers[one.mark] <= 1
    assert at.upstream.markers[one.mark] == 1 or at.approval(one.approval)["status"] == "outcome_unknown"
