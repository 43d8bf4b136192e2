"""What a server asks of its caller in the middle of a call: passed on where it is allowed, masked both ways."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.conformance import everything
from tests.line import Line
from tests.people import AGENT, DAVE
from tests.world import World, marker

pytestmark = [
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

ABLE: dict[str, Any] = {"sampling": {}, "elicitation": {}, "roots": {}}
CARD, EMAIL = "4111 1111 1111 1111", "jo@example.com"


class Heard:
    """The stream of one answer, event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._lines = response.iter_lines()
        self.status = response.status_code
        self.ids: list[str] = []

    def next(self) -> dict[str, Any] | None:
        """Return the next message; None when the stream has ended. An event without data is only noted."""
        for line in self._lines:
            if line.startswith("id: "):
                self.ids.append(line.removeprefix("id: "))
            if line.startswith("data: {"):
                return dict(json.loads(line.removeprefix("data: ")))
        return None

    def until(self, method: str) -> dict[str, Any]:
        """Return the next message with this method."""
        while (message := self.next()) is not None:
            if message.get("method") == method:
                return message
        raise AssertionError(f"{method} never came")

    def wait_for_id(self) -> str:
        """Return the first event id of the stream."""
        for line in self._lines:
            if line.startswith("id: "):
                return line.removeprefix("id: ")
        raise AssertionError("no event had an id")


@contextlib.contextmanager
def listening(line: Line, message: Mapping[str, Any] | None = None, **headers: str) -> Iterator[Heard]:
    """Send a message, or ask for the standing stream, and give what is heard."""
    verb = "GET" if message is None else "POST"
    fields = line.headers(message or {"method": "", "params": {}}, headers)
    with (
        httpx.Client(timeout=30, trust_env=False) as client,
        client.stream(verb, line.url, json=message, headers=fields) as response,
    ):
        yield Heard(response)


def able(world: World, connection: str = "everything", who: Any = DAVE) -> Line:
    """Return a caller in a session, able to be asked everything."""
    return world.caller(who, connection).initialize(ABLE)


def answer(line: Line, asked: Mapping[str, Any], **outcome: Any) -> int:
    """Answer what was asked, and return the status of that."""
    return line.post({"jsonrpc": "2.0", "id": asked["id"], **outcome}).status


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "model": "m", "content": {"type": "text", "text": text}}


def test_a_sampling_request_and_its_answer_are_masked_both_ways_and_recorded(everything_gateway: World) -> None:
    line, mark = able(everything_gateway), marker()
    call = line.tool_call("test_sampling", {"prompt": f"{mark}: write to {EMAIL}"})
    with listening(line, call) as heard:
        asked = heard.until("sampling/createMessage")
        status = answer(line, asked, result=said(f"{mark} paid with {CARD}"))
        ended = heard.next()

    assert asked["params"]["messages"][0]["content"]["text"] == f"{mark}: write to [email]"
    assert status == 202
    assert everything.HEARD[-1] == f"{mark} paid with ****1111"
    assert ended is not None
    assert mark in ended["result"]["content"][0]["text"]
    stored = [content for _, content in everything_gateway.stored.contents()]
    for told in (f"{mark}: write to [email]", f"{mark} paid with ****1111"):
        assert any(told.encode() in content for content in stored)
    assert all(CARD.encode() not in content for content in stored)


def test_roots_and_a_form_reach_the_caller(everything_gateway: World) -> None:
    line, mark = able(everything_gateway), marker()
    with listening(line, line.tool_call("roots", {})) as heard:
        answer(line, heard.until("roots/list"), result={"roots": [{"uri": f"file:///srv/{mark}"}]})
        roots = heard.next()
    with listening(line, line.tool_call("test_elicitation", {"message": "Who?"})) as heard:
        asked = heard.until("elicitation/create")
        answer(line, asked, result={"action": "accept", "content": {"username": mark, "email": EMAIL}})
        form = heard.next()

    assert roots is not None
    assert roots["result"]["content"][0]["text"] == f"file:///srv/{mark}"
    assert form is not None
    assert json.loads(everything.HEARD[-1]) == {"username": mark, "email": "[email]"}


@pytest.mark.parametrize("tool", ["test_sampling", "roots"])
def test_what_the_connection_does_not_allow_never_reaches_the_caller(everything_gateway: World, tool: str) -> None:
    line = able(everything_gateway, "closed")

    ended = line.call(tool, {"prompt": "x"} if tool == "test_sampling" else {})

    assert [note["method"] for note in ended.notes if "id" in note] == []
    assert "result" not in ended.body or ended.is_error


def test_a_rule_keeps_an_answer_back_and_the_server_is_told(everything_gateway: World) -> None:
    line, before = able(everything_gateway), len(everything.HEARD)
    with listening(line, line.tool_call("test_sampling", {"prompt": "What next?"})) as heard:
        status = answer(line, heard.until("sampling/createMessage"), result=said("the secret plan"))
        ended = heard.next()

    assert status == 403
    assert ended is not None
    assert "error" in ended or ended["result"]["isError"]
    assert len(everything.HEARD) == before


def test_a_request_is_its_callers_own_to_answer(everything_gateway: World) -> None:
    line, before = able(everything_gateway), len(everything.HEARD)
    strangers = [able(everything_gateway, who=AGENT), able(everything_gateway), able(everything_gateway, "closed")]
    with listening(line, line.tool_call("test_sampling", {"prompt": "x"})) as heard:
        asked = heard.until("sampling/createMessage")
        stolen = [answer(one, asked, result=said("stolen")) for one in strangers]
        guessed = [line.post({"jsonrpc": "2.0", "id": one, "result": said("guessed")}).status for one in (0, 1, "hgab")]
        assert len(everything.HEARD) == before
        answer(line, asked, result=said("mine"))
        heard.next()

    assert stolen + guessed == [400] * 6
    assert everything.HEARD[before:] == ["mine"]
