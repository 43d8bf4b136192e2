"""The official TypeScript SDK, 1.x and 2.x, pointed at the gateway instead of the server. Nothing else is changed."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests import services
from tests.people import CONNECTION, DAVE
from tests.world import World, marker, until

pytestmark = [pytest.mark.needs_node, pytest.mark.promise("unchanged-clients")]

GUARD = 60.0
# Both generations in the legacy era, which is their default, and the second one in the modern era; with and without
# sessions, and with answers as JSON and as streams.
CLIENTS = [("v1", "sessions"), ("v2", "streams"), ("modern", CONNECTION)]
every_client = pytest.mark.parametrize(("kind", "connection"), CLIENTS)
# Shorter than the wait below, so that only the progress notes of the gateway keep the client on the line.
PATIENCE = 15_000


class Program:
    """A running `call.mjs`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put({"ended": self._process.wait()})

    def next(self) -> dict[str, Any]:
        """Return what the program says next."""
        return self._lines.get(timeout=GUARD)

    def begin(self, sql: str, mark: str, *, timeout: int = 30_000) -> None:
        """Let it call the tool `query`; what came of it is said later."""
        self.ask("query", {"sql": sql, "marker": mark}, timeout)

    def ask(self, tool: str, arguments: dict[str, Any], timeout: int = 30_000) -> None:
        """Let it call a tool."""
        assert self._process.stdin is not None
        call = {"tool": tool, "arguments": arguments, "timeout": timeout}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()

    def notes_and_result(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the progress notes of a call, and its result."""
        notes: list[dict[str, Any]] = []
        while "progress" in (said := self.next()):
            notes.append(said["progress"])
        assert "result" in said, said
        return notes, said["result"]

    def call(self, sql: str, mark: str) -> dict[str, Any]:
        """Call the tool `query` and return its result."""
        self.begin(sql, mark)
        return self.notes_and_result()[1]

    def end(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(GUARD)
        finally:
            self._process.kill()
            self._reader.join(GUARD)
            self._process.stdout.close()


@contextlib.contextmanager
def client(here: World, kind: str, connection: str, **headers: str) -> Iterator[Program]:
    """Connect the client of a generation as Dave."""
    node = services.node()
    if node is None:
        services.missing("Node.js with the packages of tests/node", "HOLDGATE_REQUIRE_NODE")
    line = here.caller(DAVE, connection)
    process = subprocess.Popen(
        [node, "call.mjs", kind, line.url],
        cwd=services.NODE_PROJECT,
        env={"TOKEN": line.token, "HEADERS": json.dumps(headers)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    program = Program(process)
    try:
        connected = program.next()
        assert ("list_connections" if connection == "gateway" else "query") in connected["tools"], connected
        yield program
    finally:
        program.end()


def text_of(result: dict[str, Any]) -> str:
    return "\n".join(block["text"] for block in result["content"])


def approval_of(result: dict[str, Any]) -> dict[str, Any]:
    return dict(result["_meta"]["holdgate/approval"])


@every_client
def test_an_allowed_call_comes_back_masked_and_fits_the_schema(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection) as program:
        result = program.call("select * from customers", mark)
    assert not result.get("isError")
    assert [row["email"] for row in result["structuredContent"]["rows"]] == ["masked@masked.invalid"] * 2
    assert "4111" not in json.dumps(result)
    assert result["_meta"]["holdgate/decision"]["verdict"] == "allow"
    assert here.upstreams[connection].markers[mark] == 1


@every_client
def test_a_blocked_call_is_a_tool_error_that_says_why(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection) as program:
        result = program.call("drop table customers", mark)
    assert result["isError"]
    assert "Changing the schema is not allowed here." in text_of(result)
    assert result["_meta"]["holdgate/decision"]["reason"] == "blocked"
    assert here.upstreams[connection].markers[mark] == 0


@every_client
def test_a_held_call_goes_on_when_it_is_approved(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection) as program:
        program.begin("delete from customers", mark)
        assert "Waiting for approval" in program.next()["progress"]["message"]
        assert here.upstreams[connection].markers[mark] == 0
        (approval,) = here.asked_for(mark)
        here.approve(approval)
        _, result = program.notes_and_result()
    assert not result.get("isError")
    assert approval_of(result)["id"] == approval
    assert here.upstreams[connection].markers[mark] == 1


@every_client
def test_a_denied_call_ends_with_the_comment_of_who_denied_it(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection) as program:
        program.begin("delete from customers", mark)
        (approval,) = here.asked_for(mark)
        here.decide(approval, "deny", comment="not during the audit")
        _, result = program.notes_and_result()
    assert result["isError"]
    assert "not during the audit" in text_of(result)
    assert result["_meta"]["holdgate/decision"]["reason"] == "denied"
    assert here.upstreams[connection].markers[mark] == 0


@every_client
def test_a_call_held_past_the_limit_is_joined_by_the_same_call(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection, prefer="wait=1") as program:
        pending = program.call("delete from customers", mark)
        assert pending["isError"]
        assert pending["_meta"]["holdgate/decision"]["reason"] == "pending"
        here.approve(approval_of(pending)["id"])
        result = program.call("delete from customers", mark)
    assert not result.get("isError")
    assert approval_of(result)["id"] == approval_of(pending)["id"]
    assert here.upstreams[connection].markers[mark] == 1


def test_progress_keeps_every_client_on_the_line_beyond_its_own_timeout(here: World) -> None:
    marks = {kind: marker() for kind, _ in CLIENTS}
    with contextlib.ExitStack() as stack:
        programs = {kind: stack.enter_context(client(here, kind, where)) for kind, where in CLIENTS}
        for kind, program in programs.items():
            program.begin("delete from customers", marks[kind], timeout=PATIENCE)
        notes = {kind: [program.next()["progress"] for _ in range(3)] for kind, program in programs.items()}
        for kind, program in programs.items():
            here.approve(here.asked_for(marks[kind])[0])
            more, result = program.notes_and_result()
            heard = [note["progress"] for note in [*notes[kind], *more]]
            assert not result.get("isError"), (kind, result)
            assert heard == sorted(set(heard)), (kind, heard)


@every_client
def test_a_client_that_loses_its_patience_runs_nothing_twice(kind: str, connection: str, here: World) -> None:
    mark = marker()
    with client(here, kind, connection) as program:
        program.begin("delete from customers", mark, timeout=2_000)  # shorter than from note to note
        program.next()
        assert "error" in program.next()
        (approval,) = here.asked_for(mark)
        until(lambda: not here.attached(approval), "the end of the first wait")
        program.begin("delete from customers", mark)
        assert approval in program.next()["progress"]["message"]
        here.approve(approval)
        _, result = program.notes_and_result()
    assert approval_of(result)["id"] == approval
    assert here.upstreams[connection].markers[mark] == 1


@pytest.mark.parametrize("kind", [kind for kind, _ in CLIENTS])
def test_the_gateways_own_tools_answer_every_client(kind: str, here: World) -> None:
    mark = marker()
    pending = here.caller(DAVE).call("query", {"sql": "delete from x", "marker": mark}, prefer="wait=0")
    approval = pending.approval["id"]
    with client(here, kind, "gateway") as program:
        # The client checks each answer against the output schema.
        program.ask("list_connections", {})
        _, listed = program.notes_and_result()
        program.ask("wait_for_approval", {"approval_id": approval, "seconds": 60})
        assert approval in program.next()["progress"]["message"]
        here.approve(approval)
        _, waited = program.notes_and_result()
    assert CONNECTION in {one["name"] for one in listed["structuredContent"]["connections"]}
    assert waited["structuredContent"]["approval"]["status"] == "approved"
    assert here.upstream.markers[mark] == 0
