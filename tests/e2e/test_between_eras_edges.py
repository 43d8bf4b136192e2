"""Between the eras where it is not plain: whose a state and a session is, what is closed, who leaves, what stands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests import people
from tests.blocks import connection, spelled_out
from tests.conformance import everything
from tests.e2e.test_server_requests import able, answer, listening
from tests.issuer import FakeIssuer
from tests.line import CAPABILITIES_KEY, Answer, Line
from tests.people import AGENT, DAVE
from tests.upstream import FakeUpstream
from tests.world import World, marker, world

pytestmark = [
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

ABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
LASTING = (("logging/setLevel", {"level": "info"}), ("resources/subscribe", {"uri": "test://x"}))
FILLED = {"action": "accept", "content": {"username": "jo", "email": "jo@example.com"}}


def modern(between: World, connection: str = "older", who: Any = DAVE) -> Line:
    return between.caller(who, connection, era="modern")


def ask(line: Line, tool: str, arguments: dict[str, Any], **more: Any) -> Answer:
    meta = {"_meta": {CAPABILITIES_KEY: ABLE}}
    return line.ask("tools/call", {"name": tool, "arguments": arguments, **meta, **more})


def given(asked: Answer, outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the next round."""
    return {
        "requestState": asked.result["requestState"],
        "inputResponses": dict.fromkeys(asked.result["inputRequests"], outcome),
    }


def test_without_the_setting_each_speaks_for_itself(between: World) -> None:
    """A server's own refusal reaches the caller, so that a client of both eras falls back by itself."""
    before = len(everything.OTHER_ERA)

    answers = [modern(between, "older-plain").ask("server/discover")]
    answers.append(between.caller(DAVE, "newer-plain").ask("tools/list"))

    assert ["error" in one.body for one in answers] == [True, True]
    assert everything.OTHER_ERA[before:] == ["2026-07-28", "2025-11-25"]


@pytest.mark.promise("bound-decision")
def test_a_state_is_good_for_one_round_of_one_caller_and_one_call(between: World) -> None:
    line, arguments = modern(between), {"message": marker()}
    asked = ask(line, "test_elicitation", arguments)
    more = given(asked, FILLED)
    before = len(everything.HEARD)

    refused = [
        ask(modern(between, who=AGENT), "test_elicitation", arguments, **more),
        ask(line, "test_sampling", {"prompt": "x"}, **more),
        ask(line, "test_elicitation", {"message": "another"}, **more),
        ask(line, "test_elicitation", arguments, requestState=more["requestState"]),
    ]
    done = ask(line, "test_elicitation", arguments, **more)
    refused.append(ask(line, "test_elicitation", arguments, **more))

    assert [(one.status, one.body["error"]["code"]) for one in refused] == [(400, -32602)] * 5
    assert done.said.startswith("Elicitation completed: action=accept")
    assert len(everything.HEARD) == before + 1
    assert asked.result["inputRequests"]["1"]["method"] == "elicitation/create"


@pytest.fixture
def pair(issuer: FakeIssuer, tmp_path: Path, postgresql_url: str) -> Iterator[tuple[World, World]]:
    """Two web processes of one installation."""
    with contextlib.ExitStack() as stack:
        older = stack.enter_context(everything.running("legacy"))
        newer = stack.enter_context(everything.running("modern"))
        asks = {"server_requests": ["elicitation"]}
        made = {
            "older": connection(older, protocol="2025-11-25", **asks),
            "newer": connection(newer, protocol="2026-07-28", **asks),
        }
        text = people.config_yaml(issuer.url, "", **spelled_out(connections=made))
        first = stack.enter_context(world(tmp_path, issuer, {}, text, postgresql_url))
        first.gateway.form = "web"
        first.gateway.prepare()
        first.start()
        yield first, stack.enter_context(first.beside())


def test_a_round_is_taken_up_by_another_process(pair: tuple[World, World]) -> None:
    one, other = pair
    arguments = {"message": marker()}
    asked = ask(modern(one), "test_elicitation", arguments)
    done = ask(modern(other), "test_elicitation", arguments, **given(asked, {"action": "decline"}))
    line = able(one, "newer")
    with listening(line, line.tool_call("test_input_required_result_elicitation", {})) as heard:
        question = heard.until("elicitation/create")
        told = Line(other.gateway.url, "newer", line.token, session=line.session)
        assert answer(told, question, result={"action": "accept", "content": {"name": "jo"}}) == 202
        ended = heard.next()

    assert done.said.startswith("Elicitation completed: action=decline")
    assert ended is not None
    assert ended["result"]["content"][0]["text"] == "Answered."


def test_who_does_not_answer_in_time_is_told_that_nobody_knows(between: World) -> None:
    line, arguments = modern(between, "older-brief"), {"message": marker()}
    asked = ask(line, "test_elicitation", arguments)
    # Nothing is seen of a time that is over until somebody comes; meanwhile the call would go on.
    time.sleep(1.2)
    later = ask(line, "test_elicitation", arguments, **given(asked, FILLED))

    assert later.outcome == ("upstream_timeout", "unknown")


def test_a_server_asks_only_what_the_connection_allows(between: World) -> None:
    older = ask(modern(between, "older-closed"), "test_sampling", {"prompt": "x"})
    line = able(between, "newer-closed")
    newer = line.call("test_input_required_result_sampling", {})

    assert older.body["error"]["code"] == -32601  # what the server was told, which it passed on
    assert newer.outcome == ("blocked", "unknown")


def test_what_is_not_translated_is_refused_with_a_sentence(between: World) -> None:
    line = able(between, "newer")
    without = between.caller(DAVE, "newer")
    refused = [line.ask("tasks/list"), *(without.ask(*one) for one in LASTING)]
    wrong = [
        line.ask("logging/setLevel", {"level": "loud"}),
        line.ask("resources/subscribe", {"uri": 5}),
        line.ask("resources/subscribe", {"uri": "x" * 5000}),
    ]

    assert [one.body["error"]["code"] for one in refused] == [-32601] * 3
    assert all(" has no " in one.body["error"]["message"] for one in refused)
    assert [one.body["error"]["code"] for one in wrong] == [-32602] * 3
    assert line.ask("ping").result == {}


def test_a_level_of_logs_is_said_with_each_request_by_any_process(between: World) -> None:
    line = able(between, "newer")

    def logged(line: Line) -> list[str]:
        notes = line.call("test_tool_with_logging", {}).notes
        return [note["params"]["data"] for note in notes if note["method"] == "notifications/message"]

    assert logged(line) == []
    assert line.ask("logging/setLevel", {"level": "info"}).result == {}
    assert len(logged(line)) == 3
    assert line.ask("logging/setLevel", {"level": "error"}).result == {}
    assert logged(line) == []


def test_a_watched_resource_is_heard_of_on_the_standing_stream(between: World) -> None:
    """It is watched before the stream is opened, and while it stands; and it is left again."""
    line = able(between, "newer")
    assert line.ask("resources/subscribe", {"uri": "test://early"}).result == {}
    with listening(line) as heard:

        def touched(uri: str) -> Any:
            assert line.call("touch", {"uri": uri}).said == "Touched."
            return heard.until("notifications/resources/updated")["params"]

        first = touched("test://early")
        assert line.ask("resources/subscribe", {"uri": "test://late"}).result == {}
        second = touched("test://late")
        assert line.ask("resources/unsubscribe", {"uri": "test://late"}).result == {}
        line.call("touch", {"uri": "test://late"})
        third = touched("test://early")

    assert [one["uri"] for one in (first, second, third)] == ["test://early", "test://late", "test://early"]
    assert "_meta" not in first


def _sessions(upstream: FakeUpstream, mark: str) -> set[bytes | None]:
    found = [dict(seen.headers) for seen in upstream.calls if mark.encode() in seen.body]
    return {headers.get(b"mcp-session-id") for headers in found}


def test_each_caller_has_a_hidden_session_which_is_used_again(between: World) -> None:
    upstream, mine, theirs = between.upstreams["watched"], marker(), marker()
    line = modern(between, "watched")
    answers = [line.call("echo", {"text": "a", "marker": mine}), line.call("echo", {"text": "b", "marker": mine})]
    answers.append(modern(between, "watched", AGENT).call("echo", {"text": "c", "marker": theirs}))

    assert [one.said for one in answers] == ["a", "b", "c"]
    assert all("mcp-session-id" not in one.headers for one in answers)
    assert len(_sessions(upstream, mine)) == len(_sessions(upstream, theirs)) == 1
    assert _sessions(upstream, mine) != _sessions(upstream, theirs)
    assert b"2026-07-28" not in b"".join(seen.body for seen in upstream.calls)


@pytest.mark.promise("nothing-lost")
def test_a_server_that_forgot_the_session_is_not_called_twice(between: World) -> None:
    upstream, line, mark = between.upstreams["watched"], modern(between, "watched"), marker()
    line.call("echo", {"text": "a"})
    upstream.live_sessions.clear()

    lost = line.call("echo", {"text": "b", "marker": mark})
    found = line.call("echo", {"text": "c", "marker": mark})

    assert lost.outcome == ("upstream_unavailable", "false")
    assert "send the call again" in lost.text
    assert found.said == "c"
    assert upstream.markers[mark] == 1


def test_who_hangs_up_cancels_at_a_server_of_the_older_era(between: World) -> None:
    upstream, mark = between.upstreams["watched"], marker()
    upstream.hold()
    call = modern(between, "watched").begin("slow", {"marker": mark})
    upstream.wait_for(lambda it: any(mark.encode() in seen.body for seen in it.calls))
    call.leave()
    upstream.wait_for(lambda it: any(b"notifications/cancelled" in seen.body for seen in it.requests))
    upstream.release()

    sent = json.loads(next(seen.body for seen in upstream.calls if mark.encode() in seen.body))
    told = json.loads(next(seen.body for seen in upstream.requests if b"notifications/cancelled" in seen.body))
    assert told["params"]["requestId"] == sent["id"]


def test_a_notice_of_the_older_era_ends_the_call_at_a_newer_server(between: World) -> None:
    line = able(between, "newer")
    call = line.tool_call("test_input_required_result_elicitation", {})
    with listening(line, call) as heard:
        heard.until("elicitation/create")
        line.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call["id"]}})
        ended = heard.next()

    assert ended is not None
    assert ended["result"]["_meta"]["holdgate/decision"]["reason"] == "outcome_unknown"


def test_changed_lists_are_heard_in_both_directions(between: World) -> None:
    heard: list[str] = []

    async def whole() -> None:
        line = between.caller(DAVE, "newer")
        headers = {"Authorization": f"Bearer {line.token}"}

        async def note(message: Any) -> None:
            heard.append(getattr(message, "method", ""))

        async with (
            httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30), trust_env=False) as http,
            Client(streamable_http_client(line.url, http_client=http), mode="legacy", message_handler=note) as client,
        ):
            for _ in range(100):
                await client.call_tool("test_trigger_tool_change", {})
                if heard:
                    return
                await asyncio.sleep(0.05)

    asyncio.run(whole())
    assert heard[0] == "notifications/tools/list_changed"


def test_a_standing_stream_of_the_newer_era_is_that_of_a_session(between: World) -> None:
    line = modern(between, "watched")
    with listening(line, line.message("subscriptions/listen", {"notifications": {"toolsListChanged": True}})) as heard:
        first = heard.next()

    assert first is not None
    assert first["method"] == "notifications/subscriptions/acknowledged"
