"""Clients that are slow, rude or confused: none of them costs the others anything, nor smuggles a call in."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests import people
from tests.blocks import connection, spelled_out
from tests.hostile import Hostile, Turn
from tests.hostile import head as answer_head
from tests.issuer import FakeIssuer
from tests.people import CONNECTION, DAVE
from tests.upstream import FakeUpstream, running
from tests.wire import Wire, head, request, statuses
from tests.world import World, marker, until, world

MEGABYTE = 1 << 20
LONGEST = 16 * MEGABYTE
NOTE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%s"}}\n\n' % (b"x" * 60_000)


@dataclass
class Crowd:
    """The gateway with short times for clients, and an upstream that says as much as it can."""

    here: World
    talker: Hostile
    said: int = 0  # bytes that the talker could send

    async def talk(self, turn: Turn) -> None:
        """Send notes without end."""
        await turn.send(answer_head(200, b"content-type: text/event-stream"))
        while not turn.reader.at_eof():
            await turn.send(NOTE)
            self.said += len(NOTE)

    def stands_still(self) -> bool:
        """Say whether the talker gets nothing off any more; it was stopped long before its answer was too large."""
        before = self.said
        time.sleep(0.3)
        assert self.said < LONGEST, "all of it was taken"
        return 0 < before == self.said

    def served(self) -> bool:
        """Say whether another caller is served."""
        return self.here.caller(DAVE).call("echo", {"text": "hello", "marker": marker()}).outcome == (None, None)

    def memory(self) -> int:
        """Return how many bytes of memory the gateway's process uses."""
        assert self.here.gateway.process is not None
        status = Path(f"/proc/{self.here.gateway.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024


@pytest.fixture(scope="module")
def crowd(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with running() as upstream, Hostile() as talker:
        connections = {
            CONNECTION: connection(upstream.url),
            "talker": connection(talker.url, timeout="30s", max_answer="16MiB"),
        }
        groups = {"platform": {"members": ["root@example.com"]}, "dba": {"members": [people.ALICE.email]}}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, groups=groups))
        folder, short = tmp_path_factory.mktemp("crowd"), {"HOLDGATE_REQUEST_SECONDS": "2"}
        short["HOLDGATE_STALLED_SECONDS"] = "3"
        with world(folder, issuer, {CONNECTION: upstream}, text, **short) as here:
            here.start()
            assert here.witness is not None
            here.witness.watch("talker", cast("FakeUpstream", talker))
            yield Crowd(here, talker)
            here.gateway.stop()


# --- slow in asking ---


@pytest.mark.parametrize("what", ["silent", "head", "header", "line ends", "body", "chunks", "second request"])
def test_a_request_that_does_not_come_is_given_up(crowd: Crowd, what: str) -> None:
    caller, mark = crowd.here.caller(DAVE), marker()
    message = caller.tool_call("echo", {"marker": mark})
    whole, small = head(caller, message, content_length="100"), itertools.repeat(b"x")
    begun, drip = {
        "silent": (b"", iter(())),
        "head": (b"", (whole[at : at + 1] for at in range(len(whole)))),
        "header": (b"POST /mcp/x HTTP/1.1\r\nx-note: ", small),
        "line ends": (b"", itertools.repeat(b"\r\n")),
        "body": (whole, small),
        "chunks": (head(caller, message, transfer_encoding="chunked"), itertools.repeat(b"1\r\n \r\n")),
        "second request": (request(caller, message), itertools.repeat(b"\r\n")),
    }[what]

    with Wire(caller.url) as wire:
        wire.send(begun)
        ended = wire.drip(drip, 0.1)
        rest = wire.rest()

    assert ended or not rest
    assert crowd.here.upstream.markers[mark] == (what == "second request")
    assert crowd.served()


def test_a_head_without_end_is_refused_long_before_it_fills_the_memory(crowd: Crowd) -> None:
    before = crowd.memory()
    with Wire(crowd.here.gateway.url) as wire:
        wire.send(b"POST /mcp/x HTTP/1.1\r\nx-note: ")
        assert wire.drip(itertools.repeat(b"x" * 65536, 4096), 0), "256 MiB of one header were taken"

    assert crowd.memory() - before < 32 * MEGABYTE
    assert crowd.served()


# --- slow in reading ---


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("reads", [False, True])
def test_who_does_not_read_stops_the_upstream_and_is_left(crowd: Crowd, era: str, reads: bool) -> None:
    caller, mark, talker = crowd.here.caller(DAVE, "talker", era=era), marker(), crowd.talker
    before, crowd.said, talker.script = crowd.memory(), 0, crowd.talk
    message = caller.tool_call("echo", {"marker": mark})

    with Wire(caller.url, small=True) as wire:
        wire.send(request(caller, message))
        wire.until(b"text/event-stream")
        until(lambda: crowd.stands_still(), "the upstream to be kept waiting")
        assert crowd.served()
        if reads:  # a byte now and then does not make a reader
            until(lambda: not wire.sock.recv(1) or talker.busy == 0, "the gateway to leave the slow reader")
        until(lambda: talker.busy == 0, "the gateway to leave who does not read")
        talker.script = None

    assert crowd.memory() - before < 64 * MEGABYTE
    until(lambda: talker.open == 0, "the upstream's connection to be closed")


# --- confused about where a request ends ---


@pytest.mark.parametrize(
    "fields",
    [
        {"content_length": "-1"},
        {"content_length": "abc"},
        {"content_length": "1, 5"},
        {"content_length": "5\r\ncontent-length: 6"},
        {"content_length": "0x10"},
        {"content_length": "99999999999999999999999999"},
        {"content_length": "5", "transfer_encoding": "chunked"},
        {"transfer_encoding": "chunked, identity"},
        {"transfer_encoding": "xchunked"},
    ],
)
def test_a_request_whose_end_is_doubtful_is_refused_with_all_that_follows(crowd: Crowd, fields: dict[str, str]) -> None:
    caller, mark = crowd.here.caller(DAVE), marker()
    message = caller.tool_call("echo", {"marker": mark})
    hidden = request(caller, message)
    with Wire(caller.url) as wire:
        wire.send(head(caller, message, **fields) + b"0\r\n\r\n" + hidden)
        found = wire.rest()

    assert statuses(found) in ([400], [413], [])
    assert crowd.here.upstream.markers[mark] == 0


def test_requests_in_one_piece_are_answered_in_their_order(crowd: Crowd) -> None:
    caller, marks = crowd.here.caller(DAVE), [marker() for _ in range(5)]
    messages = [caller.tool_call("echo", {"text": mark, "marker": mark}) for mark in marks]
    pieces = [request(caller, one, connection="close" if one is messages[-1] else "") for one in messages]
    with Wire(caller.url) as wire:
        wire.send(b"".join(pieces))
        found = wire.rest()

    assert statuses(found) == [200] * 5
    ids = re.findall(rb'"jsonrpc": ?"2.0", ?"id": ?(\d+)', found)
    assert [int(one) for one in ids] == [one["id"] for one in messages]
    assert [crowd.here.upstream.markers[mark] for mark in marks] == [1] * 5


@pytest.mark.promise("nothing-lost")
def test_the_record_tells_the_same_story_as_the_upstreams(crowd: Crowd) -> None:
    crowd.here.assert_history()
