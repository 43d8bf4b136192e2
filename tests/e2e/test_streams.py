"""Streams of sessions: the standing one, and those of calls that their callers lost on the way."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.configuration import everything_config
from tests.e2e.test_server_requests import EMAIL, able, answer, listening, said
from tests.issuer import FakeIssuer
from tests.people import AGENT, DAVE
from tests.world import World, marker, world

pytestmark = [
    pytest.mark.promise("unchanged-clients"),
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]


def test_what_a_server_says_by_itself_comes_masked_and_goes_on_where_it_was_lost(everything_gateway: World) -> None:
    line, marks = able(everything_gateway), [marker() for _ in range(2)]
    with listening(line) as heard:
        line.call("announce", {"text": f"{marks[0]} of {EMAIL}"})
        first = heard.until("notifications/message")
    line.call("announce", {"text": marks[1]})
    strangers = [able(everything_gateway, who=AGENT), able(everything_gateway)]
    refused = [one.raw("GET", last_event_id=heard.ids[-1]).status_code for one in strangers]
    with listening(line, last_event_id=heard.ids[-1]) as again:
        second = again.until("notifications/message")

    assert heard.status == 200
    assert first["params"]["data"] == f"{marks[0]} of [email]"
    assert second["params"]["data"] == marks[1]
    assert refused == [400, 400]


def test_a_standing_stream_outlives_the_time_that_a_call_has(everything_gateway: World) -> None:
    line, mark = able(everything_gateway, "brief"), marker()
    with listening(line) as heard:
        begun = time.monotonic()
        while time.monotonic() < begun + 1.3:
            line.ask("ping")
        line.call("announce", {"text": mark})
        assert heard.until("notifications/message")["params"]["data"] == mark


def test_a_call_whose_stream_was_lost_is_heard_to_its_end(everything_gateway: World) -> None:
    line = able(everything_gateway)
    call = line.tool_call("test_tool_with_progress", {}, {"progressToken": marker()})
    with listening(line, call) as heard:
        place = heard.wait_for_id()  # the first event has a place and no message
    with listening(line, last_event_id=place) as again:
        progress = [again.until("notifications/progress")["params"]["progress"] for _ in range(3)]
        ended = again.next()
    with listening(line, last_event_id=again.ids[1]) as later:
        rest = [later.next(), later.next()]
    stranger = able(everything_gateway, who=AGENT).raw("GET", last_event_id=place)

    assert progress == [0, 50, 100]
    assert ended is not None
    assert ended["id"] == call["id"]
    assert ended["result"]["content"][0]["text"] == "Done."
    assert ended["result"]["_meta"]["holdgate/decision"]["verdict"] == "allow"
    assert [message and message.get("id") for message in rest] == [None, call["id"]]
    assert stranger.status_code == 400


def test_a_stream_that_the_server_ends_for_now_ends_for_the_caller_too(everything_gateway: World) -> None:
    line = able(everything_gateway)
    call = line.tool_call("test_reconnection", {})
    with listening(line, call) as heard:
        place = heard.wait_for_id()
        assert heard.next() is None
    with listening(line, last_event_id=place) as again:
        ended = again.next()

    assert ended is not None
    assert ended["result"]["content"][0]["text"] == "Reconnection test completed"


def test_a_standing_stream_ends_with_the_access_of_its_caller(
    everything_gateway: World, everything_upstream: str
) -> None:
    line, mark, fields = able(everything_gateway, "leaving"), marker(), {"content-type": "application/yaml"}
    text = everything_config(everything_gateway.issuer.url, everything_upstream, access=[{"groups": ["security"]}])
    with listening(line) as heard:
        assert not line.call("announce", {"text": mark, "after": 3}).is_error
        moved = everything_gateway.api(DAVE, "PUT", "policy/", content=text, headers=fields)
        assert moved.status_code == 200, moved.text
        assert mark not in str(heard.next())
        assert heard.next() is None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_call_is_heard_to_its_end_at_another_process(
    everything_upstream: str, issuer: FakeIssuer, postgresql_url: str, tmp_path: Path
) -> None:
    text = everything_config(issuer.url, everything_upstream)
    with world(tmp_path, issuer, {}, text, postgresql_url) as first:
        first.gateway.form = "web"
        first.gateway.prepare()
        first.start()
        with first.beside() as second:
            line = able(first)
            with listening(line, line.tool_call("test_tool_with_progress", {})) as heard:
                place = heard.wait_for_id()
            elsewhere = replace(line, base=second.gateway.url)
            with listening(elsewhere, last_event_id=place) as again:
                ended = again.next()
            with listening(line, line.tool_call("test_sampling", {"prompt": "x"})) as heard:
                asked = heard.until("sampling/createMessage")
                status = answer(elsewhere, asked, result=said("from elsewhere"))
                sampled = heard.next()
        first.gateway.stop()

    assert ended is not None
    assert ended["result"]["content"][0]["text"] == "Done."
    assert status == 202
    assert sampled is not None
    assert "from elsewhere" in sampled["result"]["content"][0]["text"]
