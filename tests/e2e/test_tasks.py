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


def _script_of_lists(tasks: list[str]) -> Any:
    """Return a server that makes a task of every call, and lists those of everybody, two on a page."""

    def about(task: str) -> dict[str, Any]:
        return {"taskId": task, "status": "working", "createdAt": "2026-01-01T00:00:00Z", "ttl": 1}

    def script(message: dict[str, Any]) -> list[dict[str, Any]] | None:
        params = message.get("params", {})
        if message["method"] == "tools/call":
            tasks.append(params["arguments"]["marker"])
            return [{"result": {"task": about(tasks[-1])}}]
        if message["method"] == "tasks/list":
            start = int(params.get("cursor", "0"))
            more = {"nextCursor": str(start + 2)} if start + 2 < len(tasks) else {}
            return [{"result": {"tasks": [about(task) for task in tasks[start : start + 2]], **more}}]
        return None

    return script


def test_a_list_shows_each_caller_its_own_tasks_page_by_page(here: World) -> None:
    line, stranger, marks = here.caller(DAVE), here.caller(AGENT), [marker() for _ in range(3)]
    here.upstream.script = _script_of_lists([])
    try:
        for one, mark in zip((line, stranger, line), marks, strict=True):
            one.ask("tools/call", {"name": "echo", "arguments": {"marker": mark}, "task": {}})
        first = line.ask("tasks/list")
        cursor = first.result["nextCursor"]
        second = line.ask("tasks/list", {"cursor": cursor})
        handle = second.result["tasks"][0]["taskId"]
        line.ask("tasks/get", {"taskId": handle})
        seen = here.upstream.requests[-1].message
        foreign = [stranger.ask("tasks/list", {"cursor": cursor}), line.ask("tasks/list", {"cursor": "2"})]
        theirs = stranger.ask("tasks/list")
    finally:
        here.upstream.script = None

    assert (len(first.result["tasks"]), len(second.result["tasks"]), len(theirs.result["tasks"])) == (1, 1, 1)
    assert not any(mark in answer.text for answer in (first, second, theirs) for mark in marks)
    assert seen["params"]["taskId"] == marks[2]
    assert [one.body["error"]["code"] for one in foreign] == [-32602] * 2


def _asking_task(task: str) -> Any:
    asked = {"q": {"method": "elicitation/create", "params": {"mode": "form", "message": "Who?"}}}
    about = {"taskId": task, "status": "input_required", "createdAt": "2026-01-01T00:00:00Z", "ttlMs": 1}

    def script(message: dict[str, Any]) -> list[dict[str, Any]] | None:
        if message["method"] == "tools/call":
            return [{"result": {"resultType": "task", **about}}]
        if message["method"] == "tasks/get":
            note = {"method": "notifications/tasks", "params": {**about, "inputRequests": asked}}
            return [note, {"result": {"resultType": "complete", **about}}]
        if message["method"] == "tasks/update":
            return [{"result": {"resultType": "complete"}}]
        return None

    return script


def test_what_a_task_is_told_is_judged_masked_and_of_its_caller_alone(here: World) -> None:
    task, line, stranger = marker(), here.caller(DAVE, era="modern"), here.caller(AGENT, era="modern")
    here.upstream.script = _asking_task(task)
    try:
        handle = line.ask("tools/call", {"name": "echo", "arguments": {}}).result["taskId"]
        asked = line.ask("tasks/get", {"taskId": handle})
        answers = {"q": {"action": "accept", "content": {"who": "jo@example.com"}}}
        told = line.ask("tasks/update", {"taskId": handle, "inputResponses": answers})
        sent = here.upstream.requests[-1].message
        refused = stranger.ask("tasks/update", {"taskId": handle, "inputResponses": answers})
        before = len(here.upstream.requests)
        answers["q"]["content"] = {"who": "drop it"}  # a rule that names no methods is about tools alone
        passed = line.ask("tasks/update", {"taskId": handle, "inputResponses": answers})
    finally:
        here.upstream.script = None

    assert "inputRequests" not in asked.notes[0]["params"]  # this connection lets its server ask nothing
    assert told.decision["verdict"] == passed.decision["verdict"] == "allow"
    assert sent["params"]["taskId"] == task
    assert "jo@example.com" not in str(sent)
    assert refused.body["error"]["code"] == -32602
    assert len(here.upstream.requests) == before + 1
