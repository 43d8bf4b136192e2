"""Tasks of servers, in the shapes of both eras: passed through, each under an id that is good for its caller alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.line import Line
from tests.people import AGENT, DAVE
from tests.world import World, marker

pytestmark = pytest.mark.promise("unchanged-clients")

ERAS = ["legacy", "modern"]
RELATED = "io.modelcontextprotocol/related-task"


def serve(here: World, task: str) -> None:
    """Let the server make a task of every call of `echo`, and know it afterwards."""
    about = {"taskId": task, "status": "working", "createdAt": "2026-01-01T00:00:00Z", "ttl": 1}

    def script(message: dict[str, Any]) -> list[dict[str, Any]] | None:
        params = message.get("params", {})
        if message["method"] == "tools/call" and "task" in params:
            return [{"result": {"resultType": "task", "task": about, **about}}]
        if message["method"].startswith("tasks/"):
            related = {"_meta": {RELATED: {"taskId": task}}}
            status = {"method": "notifications/tasks/status", "params": about}
            return [status, {"result": {**about, **related}}]
        return None

    here.upstream.script = script


def begin(line: Line) -> dict[str, Any]:
    return line.ask("tools/call", {"name": "echo", "arguments": {"text": "x"}, "task": {}}).result


def test_what_the_newer_era_has_dropped_goes_nowhere(here: World) -> None:
    task, before = marker(), len(here.upstream.requests)

    answer = here.caller(DAVE, era="modern").ask("tasks/result", {"taskId": task})

    assert (answer.status, answer.body["error"]["code"]) == (404, -32601)
    assert not any(task.encode() in seen.body for seen in here.upstream.requests[before:])


@pytest.mark.parametrize("era", ERAS)
def test_a_task_is_its_callers_own(here: World, era: str) -> None:
    task, line, stranger = marker(), here.caller(DAVE, era=era), here.caller(AGENT, era=era)
    serve(here, task)
    try:
        begun = begin(line)
        handle = begun["taskId"] if era == "modern" else begun["task"]["taskId"]
        got = line.ask("tasks/get", {"taskId": handle}, **({"mcp_name": handle} if era == "modern" else {}))
        seen = here.upstream.requests[-1]
        refused = [
            one.ask("tasks/get", {"taskId": known}) for one, known in ((stranger, handle), (line, task), (line, "x"))
        ]
    finally:
        here.upstream.script = None

    assert task not in str(begun)
    assert seen.message["params"]["taskId"] == task
    assert seen.header("mcp-name") == (task if era == "modern" else None)
    assert task not in got.text
    assert {got.result["_meta"][RELATED]["taskId"][:2], got.notes[0]["params"]["taskId"][:2]} == {"hg"}
    assert [one.body["error"]["code"] for one in refused] == [-32602] * 3
