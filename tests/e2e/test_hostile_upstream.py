"""A hostile upstream, byte by byte: what callers are told, that nothing is sent twice and that nothing stays behind.

The gateway is a real process of its own, the upstream a bare TCP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import ENDS
from tests.hostile import Hostile, Turn, head, length, reset
from tests.hostile_messages import CANARY, SCRIPTS
from tests.hostile_scripts import EVENTS, event
from tests.issuer import FakeIssuer
from tests.line import Answer
from tests.people import DAVE
from tests.upstream import FakeUpstream, running
from tests.wire import Wire, request
from tests.world import World, marker, until, world

SECRET = "upstream-credential-Pw4TnYc8Rb"
END_OF = {"false": "call.failed", "true": "call.failed", "unknown": "call.unknown"}
# A stream is resumed a hundred times at most, and as many questions of a server are answered.
MOST_REQUESTS = 102
ERAS = ("legacy", "modern")
WORD = 10.0  # seconds for which an upstream waits until its last word was heard
NOTE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}'


@dataclass
class Siege:
    """The gateway, the hostile upstream beside a good one, and how many sockets were open before all began."""

    here: World
    hostile: Hostile
    unhurried: Hostile  # at a connection that gives it time
    sockets: int = 0

    def call(self, era: str, mark: str, connection: str = "hostile", sql: str = "select 1", **meta: Any) -> Answer:
        """Call a tool of the hostile upstream, or of what this connection names."""
        caller = self.here.caller(DAVE, connection, era=era)
        return caller.call("query" if connection == "good" else "echo", {"sql": sql, "marker": mark}, **meta)

    def ends(self, call_id: str) -> list[str]:
        """Return how the record says that a call ended."""
        rows = self.here.stored.rows("SELECT kind FROM mcp_sessions_entry WHERE call_id = ? ORDER BY id", call_id)
        return [kind for (kind,) in rows if kind in ENDS]

    def open_sockets(self) -> int:
        """Return how many sockets the gateway's process has."""
        assert self.here.gateway.process is not None
        found = 0
        for one in Path(f"/proc/{self.here.gateway.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(one).startswith("socket:")
        return found


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextlib.contextmanager
def _deaf() -> Iterator[int]:
    """Give a port that accepts no connection and refuses none: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as waiting:
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def siege(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with contextlib.ExitStack() as stack:
        good, hostile = stack.enter_context(running()), stack.enter_context(Hostile())
        unhurried = stack.enter_context(Hostile())
        short = {"timeout": "1s", "max_answer": "1MiB"}
        secret = {"header": "Authorization", "prefix": "Bearer ", "value": "env:UPSTREAM_TOKEN"}
        connections = {
            "good": connection(good.url),
            "hostile": connection(hostile.url, credential=secret, **short),
            "unhurried": connection(unhurried.url, timeout="30s"),
            "refused": connection(f"http://127.0.0.1:{_closed_port()}/mcp", **short),
            "unresolved": connection("http://no-such-host.invalid/mcp", **short),
            "no-tls": connection(hostile.url.replace("http://", "https://"), **short),
            "deaf": connection(f"http://127.0.0.1:{stack.enter_context(_deaf())}/mcp", **short),
        }
        rules = [word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())]
        groups = {"dba": {"members": [people.ALICE.email]}, "platform": {"members": ["root@example.com"]}}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, rules=rules, groups=groups))
        folder = tmp_path_factory.mktemp("siege")
        here = stack.enter_context(world(folder, issuer, {"good": good}, text, UPSTREAM_TOKEN=SECRET))
        here.start()
        assert here.witness is not None
        for name, upstream in (("hostile", hostile), ("unhurried", unhurried)):
            here.witness.watch(name, cast("FakeUpstream", upstream))
        made = Siege(here, hostile, unhurried)
        for era in ERAS:
            made.call(era, marker())
            made.call(era, marker(), "good")
        made.sockets = made.open_sockets()
        yield made
        here.gateway.stop()


@pytest.mark.promise("fail-closed")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize(("name", "era"), list(zip(SCRIPTS, itertools.cycle(ERAS), strict=False)))
def test_a_hostile_answer(siege: Siege, name: str, era: str) -> None:
    expected, mark, hostile = SCRIPTS[name], marker(), siege.hostile
    before = len(hostile.requests)
    hostile.script = expected.script
    try:
        answer = siege.call(era, mark)
    finally:
        hostile.script = None

    assert answer.outcome == (expected.reason, expected.executed)
    assert hostile.times(mark) == 1, "it was sent a second time"
    assert CANARY not in answer.text
    assert all(CANARY not in value for value in answer.headers.values())
    end = END_OF[expected.executed] if expected.executed else "call.result"
    assert siege.ends(answer.decision["call_id"]) == [end]
    until(lambda: hostile.busy == 0, "the end of the hostile answer: its connection was not closed")
    siege.here.noticed()
    assert len(hostile.requests) - before <= MOST_REQUESTS, "the gateway was made to send without end"
    # The very next call is served: nothing of the answer before is left for it.
    after = siege.call(era, marker())
    assert (after.outcome, after.said) == ((None, None), "done")


def _resets(writer: asyncio.StreamWriter) -> None:
    reset(writer)


def _answers_unasked(writer: asyncio.StreamWriter) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{}}'
    writer.write(head(200, b"content-type: application/json", length(body)) + body)


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize(
    ("on_connect", "allowed"),
    [
        # Whether a byte had left when the connection broke is a race between two machines: each answer says what was.
        (_resets, {("outcome_unknown", "unknown"), ("upstream_unavailable", "false")}),
        (_answers_unasked, {("upstream_unavailable", "false"), ("upstream_invalid", "unknown")}),
    ],
)
def test_a_connection_that_is_spoilt_before_it_is_used(
    siege: Siege, on_connect: Callable[[asyncio.StreamWriter], None], allowed: set[tuple[str, str]]
) -> None:
    mark, hostile = marker(), siege.hostile
    until(lambda: hostile.open == 0, "the idle connections to be closed")
    hostile.on_connect = on_connect
    try:
        answer = siege.call("modern", mark)
    finally:
        hostile.on_connect = None

    assert answer.outcome in allowed
    assert hostile.times(mark) <= (answer.outcome[1] == "unknown")
    assert siege.ends(answer.decision["call_id"]) == [END_OF[str(answer.outcome[1])]]
    assert siege.call("modern", marker()).said == "done"


@pytest.mark.promise("fail-closed")
@pytest.mark.parametrize("connection", ["refused", "unresolved", "no-tls", "deaf"])
def test_what_cannot_be_reached_was_not_executed(siege: Siege, connection: str) -> None:
    # No tool, so that none is looked up before.
    answer = siege.here.caller(DAVE, connection).ask("resources/read", {"uri": "file:///x"})

    assert answer.outcome == ("upstream_unavailable", "false")
    assert siege.ends(answer.decision["call_id"]) == ["call.failed"]


@pytest.mark.promise("unchanged-clients")
@pytest.mark.parametrize("era", ERAS)
def test_each_event_goes_on_before_the_next_one_comes(siege: Siege, era: str) -> None:
    """An upstream that says the next word only when its caller has heard the last: what is kept back ends neither."""
    caller, mark, upstream, heard = (
        siege.here.caller(DAVE, "unhurried", era=era),
        marker(),
        siege.unhurried,
        threading.Semaphore(0),
    )

    async def step_by_step(turn: Turn) -> None:
        await turn.send(head(200, EVENTS))
        for number in range(20):
            data = b"%d ada@example.com wrote" % number  # which has to be masked on its way
            await turn.send(event(NOTE % data))
            assert await asyncio.to_thread(heard.acquire, timeout=WORD), "the last event was kept back"
        await turn.send(event(turn.message("done")))

    upstream.script = step_by_step
    try:
        with Wire(caller.url) as wire:
            wire.send(request(caller, caller.tool_call("echo", {"marker": mark}), connection="close"))
            for number in range(20):
                wire.until(b"%d [email] wrote" % number)
                heard.release()
            assert b'"done"' in wire.rest()
    finally:
        upstream.script = None


@pytest.mark.promise("masked-everywhere")
@pytest.mark.promise("secrets-stay")
def test_nothing_that_was_withheld_is_written_down(siege: Siege) -> None:
    secrets = (CANARY.encode(), SECRET.encode())
    found = {table for table, row in siege.here.stored.contents() if any(secret in row for secret in secrets)}

    assert found == set()
    assert not any(CANARY in line or SECRET in line for line in siege.here.gateway.log)


def test_no_connection_stays_open(siege: Siege) -> None:
    assert siege.call("legacy", marker(), "good").outcome == (None, None)
    until(lambda: siege.hostile.open == 0, "the connections to the upstream to be closed")
    until(lambda: siege.open_sockets() <= siege.sockets, "the sockets of the gateway to be closed")


@pytest.mark.promise("intent-first")
@pytest.mark.promise("nothing-lost")
def test_the_record_tells_the_same_story_as_the_upstreams(siege: Siege) -> None:
    siege.here.assert_history()
