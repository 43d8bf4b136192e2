"""kill -9 when a batch of a stream has just arrived: it comes again, in order, and nothing is lost."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.gateway import Gateway
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.syslog_receiver import SyslogReceiver, syslog_receiver
from tests.upstream import running
from tests.world import World, marker, until, world

pytestmark = [pytest.mark.promise("nothing-lost"), pytest.mark.promise("provable")]

PLACED = """SELECT e.leaf_hash FROM mcp_sessions_entry e JOIN mcp_sessions_logindex l ON l.entry_id = e.id
            WHERE l.log_index >= ? ORDER BY l.log_index"""


@pytest.fixture
def streamed(issuer: FakeIssuer, tmp_path: Path) -> Iterator[tuple[World, SyslogReceiver]]:
    """A gateway with a stream to a receiver of syslog."""
    with contextlib.ExitStack() as stack:
        upstream, receiver = stack.enter_context(running()), stack.enter_context(syslog_receiver())
        siem = {"format": "cef", "syslog": {"host": "127.0.0.1", "port": str(receiver.port), "tls": "false"}}
        blocks = spelled_out(
            connections={CONNECTION: connection(upstream.url)}, rules=[], channels={"streams": {"siem": siem}}
        )
        text = people.config_yaml(issuer.url, "", **blocks)
        here = stack.enter_context(world(tmp_path, issuer, {CONNECTION: upstream}, text))
        here.start()
        yield here, receiver


def ask(here: World, times: int) -> bool:
    """Call so many times; it is always done."""
    for _ in range(times):
        assert not here.caller(DAVE).call("query", {"sql": "select 1", "marker": marker()}).is_error
    return True


def test_a_stream_that_is_killed_sends_again_in_order_and_loses_nothing(
    streamed: tuple[World, SyslogReceiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, receiver = streamed
    serve = SyslogReceiver.serve

    def killing(self: SyslogReceiver, line: object) -> bool:
        whole = serve(self, line)  # type: ignore[arg-type]
        if gateway is not None:  # all of a batch is here, and the gateway does not know it yet
            gateway.kill()
        return whole

    gateway: Gateway | None = None
    ask(here, 2)
    until(lambda: ask(here, 1) and not receiver.messages.empty(), "the stream to begin, with what comes then", 90)
    monkeypatch.setattr(SyslogReceiver, "serve", killing)
    gateway = here.gateway
    with contextlib.suppress(Exception):  # it is killed in the midst of these
        ask(here, 20)
    until(lambda: here.gateway.process is None, "the gateway to be killed by its receiver", 60)
    gateway = None
    here.start()
    ask(here, 2)
    newest = here.stored.value("SELECT MAX(log_index) FROM mcp_sessions_logindex")
    came: list[tuple[int, str]] = []
    until(lambda: _arrived(receiver, came) > newest, "every entry to arrive", 240)

    seen: dict[int, str] = {}
    for place, digest in came:
        assert seen.setdefault(place, digest) == digest
    first = min(seen)
    assert len(came) > len(seen), "what had arrived when it was killed came again"
    assert list(seen) == sorted(seen), "whatever came first came in the order of the log"
    due = [bytes(digest).hex() for (digest,) in here.stored.rows(PLACED, first)]
    assert list(seen.values()) == due[: len(seen)]


def _arrived(receiver: SyslogReceiver, came: list[tuple[int, str]]) -> int:
    """Take what came; return the largest place."""
    while not receiver.messages.empty():
        found = re.search(r'index="(\d+)" leaf="([0-9a-f]{64})"', receiver.messages.get()["sd"])
        assert found is not None
        came.append((int(found[1]), found[2]))
    return max((place for place, _ in came), default=-1)
