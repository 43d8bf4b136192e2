"""Callers who leave at every moment of a call: what was not begun does not run, what runs is told of, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from tests import people
from tests.blocks import connection, one_dba, spelled_out, word_rule
from tests.history import ENDS
from tests.hostile import Hostile, Turn
from tests.hostile import head as answer_head
from tests.issuer import FakeIssuer
from tests.line import JSON_ONLY, STREAM, Line
from tests.people import DAVE
from tests.upstream import FakeUpstream
from tests.upstream_tools import TOOLS
from tests.wire import Wire, request
from tests.world import World, marker, until, world

ERAS = ("legacy", "modern")
NOTE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"half way"}}\n\n'


@dataclass
class Stage:
    """The gateway, and an upstream that works until it is told to go on."""

    here: World
    upstreams: dict[str, Hostile]
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def upstream(self) -> Hostile:
        """The upstream of the usual connection."""
        return self.upstreams["stage"]

    async def works(self, turn: Turn) -> None:
        """Answer when the test says so; leave off when nobody listens any more."""
        await self._until_told(turn)
        await turn.answer(turn.message())

    async def streams(self, turn: Turn) -> None:
        """Say that half is done, and the rest when the test says so."""
        await turn.send(answer_head(200, b"content-type: text/event-stream", b"connection: close") + NOTE)
        await self._until_told(turn)
        await turn.send(b"data: " + turn.message() + b"\n\n")
        turn.writer.close()

    async def lists_late(self, turn: Turn) -> None:
        """Say which tools there are when the test says so."""
        await self._until_told(turn)
        await turn.answer(turn.message(result={"tools": TOOLS}))

    async def _until_told(self, turn: Turn) -> None:
        while not self.go_on.is_set() and not turn.reader.at_eof():  # noqa: ASYNC110 - two threads
            await asyncio.sleep(0.01)

    def caller(self, era: str, connection: str = "stage") -> Line:
        return self.here.caller(DAVE, connection, era=era)

    def delivered(self, approval: str) -> object:
        """Return when the result of this approval was delivered; None when nobody has it."""
        return self.here.stored.value("SELECT delivered_at FROM approvals_approvalrequest WHERE id = ?", approval)

    def kinds(self, mark: str) -> list[str]:
        """Return intent and end of the call with this marker, as the record has them."""
        rows = self.here.stored.rows(
            "SELECT e.call_id, e.kind, p.body FROM mcp_sessions_entry e "
            "LEFT JOIN mcp_sessions_payload p ON p.leaf_hash = e.leaf_hash AND p.name = 'request' ORDER BY e.id"
        )
        calls = {call for call, kind, body in rows if kind == "call.intent" and mark.encode() in bytes(body or b"")}
        return [kind for call, kind, _ in rows if call in calls and kind in {"call.intent", *ENDS}]


@pytest.fixture(scope="module")
def stage(issuer: FakeIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        names = ("stage", *(f"unlisted-{era}" for era in ERAS))
        upstreams = {name: stack.enter_context(Hostile()) for name in names}
        connections = {name: connection(one.url, timeout="10s") for name, one in upstreams.items()}
        rules = [word_rule("writes-need-a-dba", "hold", r"(?i)\bdelete\b", approval=one_dba())]
        groups = {"dba": {"members": [people.ALICE.email]}, "platform": {"members": ["root@example.com"]}}
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=connections, rules=rules, groups=groups))
        with world(tmp_path_factory.mktemp("stage"), issuer, {}, text) as here:
            here.start()
            assert here.witness is not None
            for name, one in upstreams.items():
                here.witness.watch(name, cast("FakeUpstream", one))
            made = Stage(here, upstreams)
            made.caller("legacy").call("echo", {"marker": marker()})
            yield made
            here.gateway.stop()


@pytest.fixture(autouse=True)
def _calm(stage: Stage) -> Iterator[None]:
    stage.go_on.clear()
    yield
    stage.upstream.script = stage.upstream.listing = None
    stage.go_on.set()


@pytest.mark.parametrize("era", ERAS)
def test_before_its_request_was_complete(stage: Stage, era: str) -> None:
    caller, mark = stage.caller(era), marker()
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", {"marker": mark}))[:-5])
        wire.reset()
    stage.here.noticed()

    assert (stage.upstream.times(mark), stage.kinds(mark)) == (0, [])


@pytest.mark.parametrize("era", ERAS)
def test_while_it_is_judged(stage: Stage, era: str) -> None:
    caller, mark = stage.caller(era, f"unlisted-{era}"), marker()
    upstream = stage.upstreams[caller.connection]
    upstream.listing = stage.lists_late
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", {"marker": mark})))
        until(lambda: upstream.requests, "the question for the tools")
        wire.reset()
    stage.here.noticed()
    stage.go_on.set()
    stage.here.noticed()

    assert caller.call("echo", {"marker": marker()}).outcome == (None, None)
    assert (upstream.times(mark), stage.kinds(mark)) == (0, [])


@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("moment", ["works", "streams"])
def test_while_the_upstream_works(stage: Stage, era: str, moment: str) -> None:
    caller, mark, upstream = stage.caller(era), marker(), stage.upstream
    upstream.script = getattr(stage, moment)
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", {"marker": mark})))
        until(lambda: upstream.times(mark) == 1, "the call at the upstream")
        if moment == "streams":
            wire.until(b"half way")
        wire.reset()
    if era == "modern":  # its leaving is the cancellation, and reaches the upstream
        until(lambda: upstream.busy == 0, "the upstream to be left")
    stage.here.noticed()
    stage.go_on.set()

    end = "call.cancelled" if era == "modern" else "call.result"
    until(lambda: stage.kinds(mark)[1:], "the end of the call")
    assert stage.kinds(mark) == ["call.intent", end]
    assert upstream.times(mark) == 1


@pytest.mark.promise("intent-first")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("era", ERAS)
def test_at_any_instant(stage: Stage, era: str) -> None:
    caller, marks = stage.caller(era), [marker() for _ in range(25)]
    for number, mark in enumerate(marks):
        with Wire(caller.url) as wire:
            wire.send(request(caller, caller.tool_call("echo", {"marker": mark})))
            time.sleep(number * 0.0015)
            wire.reset()
    stage.here.noticed()

    assert stage.here.caller(DAVE, "stage").call("echo", {"marker": marker()}).outcome == (None, None)
    stage.here.assert_history()
    for mark in marks:
        kinds = stage.kinds(mark)
        assert len(kinds) in (0, 2), kinds
        assert stage.upstream.times(mark) <= len(kinds) / 2
        assert kinds[1:] != ["call.cancelled"] or era == "modern"


@pytest.mark.promise("bound-decision")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("accept", [JSON_ONLY, STREAM])
def test_with_the_answer_unread(stage: Stage, era: str, accept: str) -> None:
    caller, mark = stage.caller(era), marker()
    arguments = {"sql": "delete", "marker": mark}
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", arguments), accept=accept))
        (approval,) = stage.here.asked_for(mark)
        stage.here.approve(approval)
        until(lambda: "call.result" in stage.kinds(mark), "the end of the call")
        stage.here.noticed()
    # Whoever closes with the answer unread resets the connection.
    until(lambda: stage.delivered(approval) is None, "the gateway to know that nobody has read the answer")

    again = caller.call("echo", arguments)

    assert again.approval["id"] == approval
    assert (again.said, stage.upstream.times(mark)) == ("done", 1)


@pytest.mark.promise("bound-decision")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["at once", "a moment later"])
def test_with_the_answer_unread_after_saying_the_end(stage: Stage, pause: float) -> None:
    """Python's HTTP clients say that they send no more, and close in a later turn of their loop."""
    caller, mark = stage.caller("modern"), marker()
    arguments = {"sql": "delete", "marker": mark}
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", arguments)))
        (approval,) = stage.here.asked_for(mark)
        stage.here.approve(approval)
        until(lambda: "call.result" in stage.kinds(mark), "the end of the call")
        stage.here.noticed()
        wire.finish()
        time.sleep(pause)
    until(lambda: stage.delivered(approval) is None, "the gateway to know that nobody has read the answer")

    again = caller.call("echo", arguments)

    assert again.approval["id"] == approval
    assert (again.said, stage.upstream.times(mark)) == ("done", 1)


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("era", ERAS)
def test_at_the_moment_of_its_answer_after_giving_up_before(stage: Stage, era: str) -> None:
    """A client with a limit of its own: what it got when it gave up once more, it may not have looked at."""
    caller, mark = stage.caller(era), marker()
    arguments = {"sql": "delete", "marker": mark}
    first = caller.begin("echo", arguments)
    approval = first.approval_id
    first.leave()
    until(lambda: stage.here.attached(approval) == "", "the gateway to see that the caller left")
    second = caller.begin("echo", arguments)
    assert second.approval_id == approval
    stage.here.approve(approval)
    assert second.answer().said == "done"
    stage.here.noticed()

    again = caller.call("echo", arguments, prefer="wait=0")

    assert (again.said, again.approval["id"], stage.upstream.times(mark)) == ("done", approval, 1)


@pytest.mark.promise("bound-decision")
@pytest.mark.parametrize("era", ERAS)
def test_while_it_is_held_without_a_stream(stage: Stage, era: str) -> None:
    caller, mark = stage.caller(era), marker()
    arguments = {"sql": "delete", "marker": mark}
    with Wire(caller.url) as wire:
        wire.send(request(caller, caller.tool_call("echo", arguments), accept=JSON_ONLY))
        (approval,) = stage.here.asked_for(mark)
        wire.reset()
    until(lambda: stage.here.attached(approval) == "", "the gateway to see that the caller left")

    stage.here.approve(approval)
    assert stage.upstream.times(mark) == 0, "it ran unattended"
    answer = caller.call("echo", arguments, accept=JSON_ONLY)

    assert (answer.outcome, answer.approval["id"]) == ((None, None), approval)
    assert stage.upstream.times(mark) == 1


@pytest.mark.promise("bound-decision")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("era", ERAS)
def test_between_the_decision_and_the_forwarding(stage: Stage, era: str) -> None:
    """The tools are looked up once more before the claim; the caller leaves while the upstream lets that wait."""
    caller, mark, upstream = stage.caller(era), marker(), stage.upstream
    arguments = {"sql": "delete", "marker": mark}
    held = caller.begin("echo", arguments)
    approval = held.approval_id
    upstream.listing, before = stage.lists_late, len(upstream.requests)
    stage.here.approve(approval)
    until(lambda: len(upstream.requests) > before, "the question for the tools")
    held.leave()
    until(lambda: stage.here.attached(approval) == "", "the gateway to see that the caller left")
    stage.go_on.set()
    stage.here.noticed()

    assert (upstream.times(mark), stage.here.approval(approval)["status"]) == (0, "approved")
    answer = caller.call("echo", arguments)
    assert (answer.outcome, answer.approval["id"]) == ((None, None), approval)
    assert upstream.times(mark) == 1


@pytest.mark.promise("bound-decision")
@pytest.mark.promise("nothing-lost")
@pytest.mark.parametrize("era", ERAS)
def test_in_the_moment_of_the_release(stage: Stage, era: str) -> None:
    caller, upstream = stage.caller(era), stage.upstream
    for number in range(8):
        mark = marker()
        arguments = {"sql": "delete", "marker": mark}
        held = caller.begin("echo", arguments)
        approval = held.approval_id
        approving = stage.here.aside(lambda id_=approval: stage.here.approve(id_))  # type: ignore[misc]
        time.sleep(number * 0.01)
        held.leave()
        approving.result(20)

        again = _settled(caller, arguments)

        assert again in {(None, None), ("pending", "false")}, "lost, or said to be unknown"
        assert upstream.times(mark) == 1
    stage.here.assert_history()


def _settled(caller: Line, arguments: dict[str, str]) -> tuple[str | None, str | None]:
    """Send the call again until it is not just being run any more; each is waited for a moment."""
    outcome = caller.call("echo", arguments, prefer="wait=1").outcome
    while outcome == ("pending", "unknown"):
        outcome = caller.call("echo", arguments, prefer="wait=1").outcome
    return outcome


@pytest.mark.promise("intent-first")
@pytest.mark.promise("bound-decision")
def test_the_record_tells_the_same_story_as_the_upstreams(stage: Stage) -> None:
    stage.here.assert_history()
